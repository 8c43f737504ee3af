"""One counter: its samples put in order, and how much it grew between them as far as that is known."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from analysis.providers.buckets import Buckets, LayoutError, to_bounds
from analysis.providers.series import Counting, Kind, Sample, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Change", "Cleaned", "clean", "increases"]


@dataclass(frozen=True, slots=True)
class Change:
    """What one counter did in the interval that ends at ``time``; ``counts`` is None where that is unknown."""

    series: Series
    time: float
    counts: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class _Clean:
    time: float
    counts: tuple[int, ...]
    start: float | None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """One counter's usable samples in order, each once, as integers at the judge's bounds.

    Attributes:
        series: The counter.
        samples: The samples.
        seen: When it was first there, usable or not; infinity for never.
    """

    series: Series
    samples: Sequence[_Clean]
    seen: float


def clean(series: Series, counting: Counting, until: float, problems: dict[str, None]) -> Cleaned:
    """Return a counter's usable samples up to ``until``. What cannot be used is left out, and said in ``problems``."""
    ordered = sorted(series.samples, key=lambda sample: sample.time)
    if ordered and ordered[-1].time > until + counting.away:
        _say(problems, series, f"has samples {ordered[-1].time - until:.0f} s ahead: set the clock of its reporter")
    ordered = [sample for sample in ordered if sample.time <= until]
    found: dict[float, _Clean | None] = {}
    if series.kind is not Kind.LATENCY or counting.bounds_ms:
        for number, sample in enumerate(ordered):
            counts = _counts(series, sample, counting, problems, last=number == len(ordered) - 1)
            if counts is None:
                continue
            one = _Clean(sample.time, counts, sample.start)
            if (other := found.setdefault(sample.time, one)) is not None and other.counts != counts:
                _say(problems, series, "has two values at the same time: two reporters share its name; none is counted")
                found[sample.time] = None
    samples = [one for one in found.values() if one is not None]
    return Cleaned(series, samples, ordered[0].time if ordered else math.inf)


def increases(
    cleaned: Cleaned, times: Sequence[float], counting: Counting, problems: dict[str, None]
) -> Iterator[Change]:
    """Yield what the counter did between its samples.

    Args:
        cleaned: Its samples.
        times: When its target was there, ascending.
        counting: Lengths.
        problems: Where it is said what is not counted.
    """
    series, samples = cleaned.series, cleaned.samples
    if series.delta:
        yield from _ranges(cleaned, counting, problems)
        return
    if not samples:
        return
    first = samples[0]
    if cleaned.seen == first.time and _began(first, times, counting):
        yield Change(series, first.time, first.counts)
    for old, new in pairwise(samples):
        yield Change(series, new.time, _increase(series, old, new, counting, problems, times=times))


def _began(first: _Clean, times: Sequence[float], counting: Counting) -> bool:
    """Whether a counter's first sample counts from a time shortly before it."""
    if first.start is not None and first.time - first.start <= counting.away:
        return True
    # Many reporters write the start of the process, not that of the counter.
    before = bisect.bisect_left(times, first.time)
    return before > 0 and first.time - times[before - 1] <= counting.away


def _ranges(cleaned: Cleaned, counting: Counting, problems: dict[str, None]) -> Iterator[Change]:
    """Yield what each sample of a delta counter counts; gaps between them are times in which nothing was counted.

    No later sample makes up for one that cannot be used.
    """
    usable = {sample.time for sample in cleaned.samples}
    if cleaned.series.kind is not Kind.LATENCY:
        for raw in cleaned.series.samples:
            if raw.value is not None and raw.time not in usable:
                yield Change(cleaned.series, raw.time, None)
    for sample in cleaned.samples:
        length = 0.0 if sample.start is None else sample.time - sample.start
        if length > counting.away:
            _say(problems, cleaned.series, f"counts over {length:.0f} s at once, which is too long to be a window's")
        yield Change(cleaned.series, sample.time, sample.counts if length <= counting.away else None)


def _increase(
    series: Series,
    old: _Clean,
    new: _Clean,
    counting: Counting,
    problems: dict[str, None],
    *,
    times: Sequence[float],
) -> tuple[int, ...] | None:
    if new.start is not None and new.start > old.time:
        return new.counts if _began(new, times, counting) else None
    if new.time - old.time > counting.away:
        return None
    difference = tuple(after - before for before, after in zip(old.counts, new.counts, strict=True))
    if min(difference) >= 0:
        return difference
    if sum(new.counts) <= sum(old.counts) / 2:
        return new.counts
    _say(
        problems,
        series,
        f"fell from {sum(old.counts)} to {sum(new.counts)}, which is no restart: the store lost samples, or two "
        "reporters share its name; that interval is not counted",
    )
    return None


def _counts(
    series: Series, sample: Sample, counting: Counting, problems: dict[str, None], *, last: bool
) -> tuple[int, ...] | None:
    value = sample.value
    if isinstance(value, Buckets):
        return _at_bounds(series, value, counting, problems)
    if value is None or (last and math.isnan(value)):
        return None  # a stale marker; stores that have no word for it pass it on as NaN
    if not math.isfinite(value) or value < 0:
        _say(problems, series, f"is {value:g}, which a counter never is; such samples are not counted")
        return None
    return (round(value),)


def _at_bounds(
    series: Series, buckets: Buckets, counting: Counting, problems: dict[str, None]
) -> tuple[int, ...] | None:
    if not (sum(buckets.counts) < math.inf and min(buckets.counts, default=0.0) >= 0):  # NaN is not less than anything
        _say(problems, series, "has a bucket that is NaN, infinite or negative; such samples are not counted")
        return None
    try:
        return to_bounds(buckets, counting.bounds_ms)
    except LayoutError as error:
        _say(problems, series, f"is a histogram that cannot be compared: {error}. Its latency is not judged")
        return None


def _say(problems: dict[str, None], series: Series, text: str) -> None:
    problems[f"pod {series.pod}: {series.name} {text}"] = None
