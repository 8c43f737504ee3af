"""What services say when they do not answer: the reason in their own words, and when to come back."""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["retry_after", "said"]

_LONGEST: Final = 300
_REASONS: Final = ("message", "Message", "error_description", "reason", "detail", "error", "errors", "title")
# A number of seconds from now is far below these, a Unix time far above.
_UNIX_SECONDS: Final = 1e9
_UNIX_MICROSECONDS: Final = 1e14


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a service asks to be left alone.

    Args:
        headers: Of its answer, by lower-case name. ``Retry-After`` (RFC 9110) is seconds or a date;
            ``X-RateLimit-Reset`` is seconds from now (Datadog), a Unix time (New Relic) or one in microseconds (Dynatrace).
        now: Unix seconds.

    Returns:
        Seconds, at least 0; None when the headers do not say.
    """
    value = headers.get("retry-after", "").strip()
    seconds = _number(value)
    if seconds is not None:
        return seconds
    if value:
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - now)
        except ValueError:
            pass
    reset = _number(headers.get("x-ratelimit-reset", ""))
    if reset is None or reset < _UNIX_SECONDS:
        return reset
    return max(0.0, (reset / 1e6 if reset > _UNIX_MICROSECONDS else reset) - now)


def said(text: str) -> str:
    """Return a service's own words for what went wrong, from the body of its answer, in one short line."""
    try:
        words = _reason(json.loads(text))
    except (ValueError, RecursionError):
        # An error page: its title says it best.
        title = re.search(r"<title>(.*?)</title>", text[:20_000], re.IGNORECASE | re.DOTALL)
        words = title[1] if title else re.sub(r"<[^<>]*>", " ", text[:2_000])
    line = " ".join(words.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _reason(document: Any) -> str:
    match document:
        case str():
            return document
        case dict():
            return next((found for key in _REASONS if (found := _reason(document.get(key)))), "")
        case list():
            return "; ".join(filter(None, map(_reason, document[:3])))
        case _:
            return ""


def _number(text: str) -> float | None:
    found = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*", text)
    return float(found[1]) if found else None
