"""From OTLP's messages to points. No I/O.

Only the metrics that are asked for are looked at. What cannot be counted is refused, point by point, in words: a gauge, a
sum that may fall, an unknown temporality, a histogram whose buckets do not add up.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analysis.providers.opentelemetry.points import Attributes, Explicit, Exponential, Layout, Point, Stream, packed

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

__all__ = ["Decoded", "decode"]

_DELTA: Final = 1
_CUMULATIVE: Final = 2
_NO_RECORDED_VALUE: Final = 1
_SCALE: Final = 2
"""Finer exponential buckets are merged to this scale, at which ``exponential_bounds`` lie; it keeps them few."""
_MOST_BUCKETS: Final = 1000


class _RefusedError(Exception):
    """A point, or a whole metric, cannot be counted; the message says why."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One data point of a metric that was asked for.

    Attributes:
        resource: Who reports it.
        stream: Which stream of the reporter's.
        point: The point; None when it was refused.
        refused: Why.
    """

    resource: Attributes
    stream: Stream
    point: Point | None
    refused: str = ""


def decode(request: Any, wanted: Container[str]) -> Iterator[Decoded]:
    """Yield the data points of the metrics that are asked for.

    Args:
        request: An ``ExportMetricsServiceRequest``.
        wanted: Names of metrics.
    """
    for resource in request.resource_metrics:
        reporter: Attributes | None = None
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name in wanted:
                    reporter = reporter or _attributes(resource.resource.attributes)
                    yield from _metric(reporter, scope.scope.name, metric)


def _metric(reporter: Attributes, scope: str, metric: Any) -> Iterator[Decoded]:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    delta = getattr(data, "aggregation_temporality", 0) == _DELTA
    for raw in data.data_points:
        # A summary's points are read only to say that they are refused, so they have no attributes here.
        attributes = _attributes(getattr(raw, "attributes", ()))
        stream = Stream(metric.name, metric.unit, scope, attributes, delta, "histogram" in kind)
        try:
            yield Decoded(reporter, stream, _point(kind, data, raw))
        except _RefusedError as refused:
            yield Decoded(reporter, stream, None, str(refused))


def _point(kind: str, data: Any, raw: Any) -> Point:
    """Return a point.

    Raises:
        _RefusedError: It cannot be counted.
    """
    if kind in {"gauge", "summary"}:
        raise _RefusedError(f"is a {kind}, which counts nothing: name a counter or a histogram")
    if kind == "sum" and not data.is_monotonic:
        raise _RefusedError("is a sum that may fall (an UpDownCounter): name a counter or a histogram")
    if data.aggregation_temporality not in {_DELTA, _CUMULATIVE}:
        raise _RefusedError("does not say whether it is cumulative or delta: set aggregation_temporality")
    time, start = raw.time_unix_nano, raw.start_time_unix_nano or None
    if not time:
        raise _RefusedError("has a point without a time")
    if start is not None and start > time:
        raise _RefusedError("has a point that starts after its end")
    if start == time and data.aggregation_temporality == _CUMULATIVE:
        start = None  # a reporter that does not know the start: its first point is only where counting begins
    if raw.flags & _NO_RECORDED_VALUE:
        return Point(time, start, None)
    if kind == "sum":
        value = raw.WhichOneof("value")
        if value is None:
            raise _RefusedError("has a point without a value")
        return Point(time, start, float(getattr(raw, value)))
    layout, counts = _explicit(raw) if kind == "histogram" else _exponential(raw)
    return Point(time, start, float(raw.count), layout, None if layout is None else packed(counts))


def _explicit(raw: Any) -> tuple[Layout | None, list[float]]:
    counts, bounds = list(raw.bucket_counts), tuple(raw.explicit_bounds)
    if not counts and not bounds:
        return None, []
    if len(counts) != len(bounds) + 1 or len(counts) > _MOST_BUCKETS:
        raise _RefusedError(f"has {len(counts)} buckets with {len(bounds)} bounds")
    if any(not math.isfinite(bound) for bound in bounds) or any(a >= b for a, b in itertools.pairwise(bounds)):
        raise _RefusedError("has bounds that do not ascend")
    _add_up(counts, raw.count)
    return Explicit(bounds), counts


def _exponential(raw: Any) -> tuple[Layout, list[float]]:
    positive, below = list(raw.positive.bucket_counts), sum(raw.negative.bucket_counts) + raw.zero_count
    if len(positive) > _MOST_BUCKETS:
        raise _RefusedError(f"has {len(positive)} buckets")
    _add_up([below, *positive], raw.count)
    if not (math.isfinite(raw.zero_threshold) and raw.zero_threshold >= 0):
        raise _RefusedError(f"has a zero threshold of {raw.zero_threshold}")
    # Trailing and leading empty buckets are no difference between two layouts.
    filled = [index for index, count in enumerate(positive) if count]
    first, last = (filled[0], filled[-1] + 1) if filled else (0, 0)
    shift = max(0, raw.scale - _SCALE)
    offset = (raw.positive.offset + first) >> shift if filled else 0
    size = ((raw.positive.offset + last - 1) >> shift) - offset + 1 if filled else 0
    merged = [0.0] * size
    for index in range(first, last):
        merged[((raw.positive.offset + index) >> shift) - offset] += positive[index]
    layout = Exponential(raw.scale - shift, offset, size, raw.zero_threshold)
    try:
        layout.edges(1.0)
    except OverflowError as error:
        raise _RefusedError(f"has buckets at offset {raw.positive.offset} of scale {raw.scale}") from error
    return layout, [float(below), *merged]


def _add_up(counts: Iterable[int], count: int) -> None:
    if (inside := sum(counts)) != count:
        raise _RefusedError(f"has buckets that hold {inside} together, and a count of {count}")


def _attributes(found: Iterable[Any]) -> Attributes:
    return tuple(sorted((one.key, _text(one.value)) for one in found))


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    found = getattr(value, kind)
    if kind == "bool_value":
        return "true" if found else "false"
    if kind == "bytes_value":
        return str(found.hex())
    if kind == "array_value":
        return f"[{','.join(_text(one) for one in found.values)}]"
    if kind == "kvlist_value":
        return f"{{{','.join(f'{one.key}={_text(one.value)}' for one in found.values)}}}"
    return str(found)
