"""Envoy's access loggers that count into its own stats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from google.protobuf import wrappers_pb2

from mesh.xds.messages import to_any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["STATS_PREFIX", "Bounds", "counter", "histogram", "stats_log"]

STATS_PREFIX: Final = "coalmine"
"""In front of the name of every stat that the mesh reads; the bootstrap's ``stats_matcher`` keeps those alone."""
# Config.stats_scope is an envoy.type.v3.Scope: it replaces the deprecated stat_prefix, and xds-protos does not know it yet.
_SCOPE: Final = 6
_MAX_COUNTERS: Final = 1
_EVICTED: Final = bytes([4 << 3, 1])  # enable_eviction: true
_SCOPE_PREFIX: Final = 5
_SHARED: Final = 6  # sharing_name


class Bounds(NamedTuple):
    """What keeps stats whose tags could have any value from growing: one bound for all loggers of a name.

    Attributes:
        name: What is bounded together.
        counters: How many there may be; what is beyond is not counted.
    """

    name: str
    counters: int


def stats_log(
    counters: Iterable[stats_pb2.Config.Counter],
    histograms: Iterable[stats_pb2.Config.Histogram] = (),
    only: accesslog_pb2.AccessLogFilter | None = None,
    bounds: Bounds | None = None,
) -> accesslog_pb2.AccessLog:
    """Return a logger that counts.

    Args:
        counters: What goes up.
        histograms: What is measured.
        only: Which requests; None takes all.
        bounds: Of stats that may become many: those that stand still are dropped, too. None bounds nothing.
    """
    config = stats_pb2.Config(counters=list(counters), histograms=list(histograms))
    config.MergeFromString(_field(_SCOPE, _scope(bounds)))
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stats", filter=only, typed_config=to_any(config))


def _scope(bounds: Bounds | None) -> bytes:
    prefix = _field(_SCOPE_PREFIX, STATS_PREFIX.encode())
    if bounds is None:
        return prefix
    most = wrappers_pb2.UInt32Value(value=bounds.counters).SerializeToString()
    return _field(_MAX_COUNTERS, most) + _EVICTED + prefix + _field(_SHARED, bounds.name.encode())


def _field(number: int, value: bytes) -> bytes:
    """Return a protobuf field of type string, bytes or message, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


def counter(name: str, tags: Mapping[str, str], value_format: str = "") -> stats_pb2.Config.Counter:
    """Return a counter.

    Args:
        name: Full name of the stat, ``STATS_PREFIX`` included.
        tags: Format of each tag's value.
        value_format: Format of what is added; empty adds one.
    """
    if value_format:
        return stats_pb2.Config.Counter(stat=_stat(name, tags), value_format=value_format)
    return stats_pb2.Config.Counter(stat=_stat(name, tags), value_fixed=wrappers_pb2.UInt64Value(value=1))


def histogram(name: str, tags: Mapping[str, str], unit: int, value_format: str) -> stats_pb2.Config.Histogram:
    """Return a histogram of a formatted value, in ``stats_pb2.Config.Histogram.Unit``."""
    return stats_pb2.Config.Histogram(stat=_stat(name, tags), unit=unit, value_format=value_format)


def _stat(name: str, tags: Mapping[str, str]) -> stats_pb2.Config.Stat:
    made = [stats_pb2.Config.Tag(name=tag, value_format=value) for tag, value in tags.items()]
    return stats_pb2.Config.Stat(name=name.removeprefix(f"{STATS_PREFIX}."), tags=made)
