"""Signatures of requests, as standardwebhooks.com describes them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from analysis.providers.base import ConfigurationError

__all__ = ["signature"]

_SHORTEST_KEY: Final = 24
_PREFIX: Final = "whsec_"


def signature(secret: str, key: str, timestamp: int, body: bytes, setting: str = "http.secretRef") -> str:
    """Return the ``webhook-signature`` of a request.

    Args:
        secret: ``whsec_`` and the key in base64.
        key: The request's ``webhook-id``.
        timestamp: Its ``webhook-timestamp``, Unix seconds.
        body: Its body.
        setting: Which setting names the secret, for messages.

    Raises:
        ConfigurationError: It is no such secret.
    """
    try:
        text = secret.removeprefix(_PREFIX).rstrip("=")
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) < _SHORTEST_KEY:
        msg = (
            f"{setting} holds no signing key: write whsec_ and then at least {_SHORTEST_KEY} bytes in base64 "
            '(echo "whsec_$(openssl rand -base64 32)")'
        )
        raise ConfigurationError(msg)
    digest = hmac.new(raw, f"{key}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
