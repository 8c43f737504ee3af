"""Names that somebody may have meant."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["near_name"]

_LIKE: Final = 0.8
_DIGITS: Final = re.compile(r"\d+")


def near_name(name: str, known: Iterable[str]) -> str:
    """Return the object's name that one was meant to be; empty where it is rather another object's.

    ``orders-db`` is no slip for ``orders``, and ``v2`` is none for ``v1``.
    """
    alike = [k for k in known if k.count("-") == name.count("-") and _DIGITS.sub("", k) != _DIGITS.sub("", name)]
    return next(iter(difflib.get_close_matches(name, alike, n=1, cutoff=_LIKE)), "")
