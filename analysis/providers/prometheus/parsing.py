"""From Prometheus's JSON to counters: labels become pods, routes and kinds; ``le`` series become histograms."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from analysis.providers.buckets import Buckets, LayoutError, from_cumulative
from analysis.providers.series import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Identity", "Raw", "classic", "deduplicated", "identity", "natives", "shown", "totals"]

Raw = dict[str, Any]
"""One series of a result: ``metric`` with ``values`` and ``histograms``."""
Identity = frozenset[tuple[str, str]]
_QUIET: Final = frozenset({"__name__", "pod", "instance", "job", "namespace", "container", "endpoint", "service"})


def identity(labels: Mapping[str, str], *without: str) -> Identity:
    """Return what tells a series from others, leaving out some labels."""
    return frozenset((key, value) for key, value in labels.items() if key not in without)


def deduplicated(result: Iterable[Raw], replica_labels: Sequence[str]) -> list[Raw]:
    """Return each series once: of copies by several Prometheus replicas the one with the most samples.

    Their samples are not mixed: replicas scrape at different times, and a clock that is a little off would look like a
    counter that falls.
    """
    found: dict[Identity, Raw] = {}
    for raw in result:
        key = identity(raw["metric"], *replica_labels)
        if key not in found or _order(raw) > _order(found[key]):
            found[key] = raw
    return list(found.values())


def _order(raw: Raw) -> tuple[int, list[tuple[str, str]]]:
    return len(raw.get("values", ())) + len(raw.get("histograms", ())), sorted(raw["metric"].items())


def shown(labels: Mapping[str, str]) -> str:
    """Return a series for messages, without the labels that only say where it was scraped."""
    rest = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()) if key not in _QUIET)
    return f"{labels.get('__name__', '')}{{{rest}}}" if rest else labels.get("__name__", "")


def totals(raw: Raw) -> list[Sample]:
    """Return a counter's samples; of a native histogram, how many observations it has."""
    values = [Sample(float(time), float(value)) for time, value in raw.get("values", ())]
    return values + [Sample(float(time), float(found["count"])) for time, found in raw.get("histograms", ())]


def natives(raw: Raw, unit_ms: float) -> list[Sample]:
    """Return a native histogram's samples (exponential buckets, or custom ones)."""
    found = []
    for time, histogram in raw.get("histograms", ()):
        rows = [(float(low), float(high), float(count)) for _, low, high, count in histogram.get("buckets", ())]
        # The zero bucket is the only one that reaches across 0.
        value = Buckets(
            tuple(low * unit_ms for low, _, _ in rows),
            tuple(high * unit_ms for _, high, _ in rows),
            tuple(count for _, _, count in rows),
        )
        found.append(Sample(float(time), value))
    return found


def classic(group: Sequence[Raw], unit_ms: float) -> tuple[list[Sample], str]:
    """Return a classic histogram's samples from its ``le`` series, and what is wrong with it (or nothing)."""
    by_time: dict[float, dict[float, float]] = defaultdict(dict)
    for raw in group:
        bound = float(raw["metric"]["le"])
        for time, value in raw.get("values", ()):
            by_time[float(time)][bound] = float(value)
    found, problem = [], ""
    for time, counts in by_time.items():
        if any(math.isnan(count) for count in counts.values()):
            found.append(Sample(time, math.nan))
            continue
        try:
            found.append(Sample(time, from_cumulative(counts, unit_ms)))
        except LayoutError as error:
            found.append(Sample(time, None))
            problem = str(error)
    return found, problem
