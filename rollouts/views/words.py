"""Times, images and numbers as people read them."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["age", "duration_words", "image_tag", "images_words", "percent", "seconds_of", "short", "unix"]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 31_536_000
_DIGEST: Final = 12


def unix(time: object) -> float | None:
    """Return the Unix seconds of an RFC 3339 time; None for what is none."""
    if not isinstance(time, str) or not time:
        return None
    try:
        return dt.datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None


def seconds_of(duration: object) -> float | None:
    """Return the seconds of a duration as it stands in a Rollout (``1m30s``); None for what is none."""
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        return float(duration)
    if not isinstance(duration, str) or not (parts := _DURATION.findall(duration)):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def duration_words(seconds: float) -> str:
    """Return a whole number of seconds in the form of a Rollout's durations: ``90s`` is ``1m30s``."""
    hours, rest = divmod(max(0, round(seconds)), _HOUR)
    minutes, whole = divmod(rest, _MINUTE)
    return "".join(f"{n}{u}" for n, u in ((hours, "h"), (minutes, "m"), (whole, "s")) if n) or "0s"


def age(seconds: float) -> str:
    """Return a duration as kubectl's AGE column has it: ``119s``, ``5m3s``, ``42m``, ``3h5m``, ``26h``, ``5d``."""
    s = max(0, int(seconds))
    for below, unit, letter, part, small in (
        (2 * _MINUTE, 1, "s", 0, ""),
        (10 * _MINUTE, _MINUTE, "m", 1, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if s < below:
            rest = s % unit // part if part else 0
            return f"{s // unit}{letter}" + (f"{rest}{small}" if rest else "")
    return f"{s // _YEAR}y"


def percent(value: Any) -> str:
    """Return a share without needless zeros (``10 %``, ``9.8 %``); ``–`` for None."""
    return "–" if value is None else f"{float(value):g} %"


def image_tag(image: str) -> str:
    """Return what tells an image's versions apart: its tag, or the beginning of its digest."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if tag:
        return tag
    return digest.removeprefix("sha256:")[:_DIGEST] or "latest"


def images_words(images: Iterable[str]) -> str:
    """Return the tags of a version's images, each once."""
    return ", ".join(dict.fromkeys(map(image_tag, images)))


def short(text: str, width: int) -> str:
    """Return a text of at most ``width`` characters, with an ellipsis where it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"
