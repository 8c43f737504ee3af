"""Addresses of services that the controller calls over HTTP."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import AfterValidator

__all__ = ["called_address"]


def called_address(example: str) -> AfterValidator:
    """Return a check that a text is an address which can be called.

    Args:
        example: A right one, for whoever wrote a wrong one.
    """

    def check(value: str) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not value.isprintable() or " " in value:
            msg = f"it is no address that can be called: write one like {example}"
            raise ValueError(msg)
        return value

    return AfterValidator(check)
