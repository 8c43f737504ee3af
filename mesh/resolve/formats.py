r"""Envoy's placeholders in header values, such as ``%REQ(x-id)%``: an unknown one would stop a whole configuration.

Those that are known are passed on; every other ``%`` is meant as it is written, and doubled for Envoy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["envoy_format", "literal_parts"]

_PLAIN: Final = (
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_TLS_VERSION",
    "HOSTNAME",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_FLAGS",
    "ROUTE_NAME",
    "START_TIME",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_REMOTE_ADDRESS",
)
_KNOWN: Final = re.compile(
    rf"%(?:(?:{'|'.join(_PLAIN)})"
    r"|(?:REQ|RESP)\(:?[A-Za-z0-9_-]+(?:\?:?[A-Za-z0-9_-]+)?\)(?::[0-9]{1,4})?"
    r"|START_TIME\((?:[A-Za-z0-9 .:/T-]|%(?:[YmdHMSsFTzZ]|[1-9]?f))+\))%"
)
_PARTS: Final = re.compile(rf"(?P<known>{_KNOWN.pattern})|(?P<doubled>%%)|(?P<single>%[^%]*%?)")


def envoy_format(value: str) -> str:
    """Return a header's value as Envoy shall have it."""
    return _PARTS.sub(lambda m: m[0] if m["known"] or m["doubled"] else m[0].replace("%", "%%"), value)


def literal_parts(value: str) -> Iterator[str]:
    """Return what looks like a placeholder and is none that is known."""
    for found in _PARTS.finditer(value):
        if found["single"] and re.fullmatch(r"%[A-Z_]+(\(.*\))?(:\d+)?%", found["single"]):
            yield found["single"]
