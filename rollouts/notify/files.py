"""Secrets in files: read at each use, so that one that is renewed counts at once; never kept, never logged."""

from __future__ import annotations

from pathlib import Path

from rollouts.notify.base import LaterError, RefusedError

__all__ = ["read_secret"]


def read_secret(path: str, setting: str) -> str:
    """Return what a file holds, without the white space around it.

    Args:
        path: The file.
        setting: Which setting names it, for messages.

    Raises:
        LaterError: It cannot be read now, as while a Secret is mounted anew.
        RefusedError: It is empty.
    """
    try:
        value = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LaterError(f"{setting}: {path} cannot be read: {error}") from None
    if not value or not value.isprintable():
        raise RefusedError(f"{setting}: {path} holds no secret: write it there, in one line")
    return value
