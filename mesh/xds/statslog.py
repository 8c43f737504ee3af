"""Envoy's access loggers that count into its own stats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from google.protobuf import wrappers_pb2

from mesh.xds.messages import to_any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["STATS_PREFIX", "counter", "histogram", "stats_log"]

STATS_PREFIX: Final = "coalmine"
"""In front of the name of every stat that the mesh reads; the bootstrap's ``stats_matcher`` keeps those alone."""
_SCOPE_PREFIX: Final = STATS_PREFIX.encode()
# Config.stats_scope (6) = Scope{prefix (5)}: it replaces the deprecated stat_prefix, and xds-protos does not know it yet.
_SCOPE: Final = b"\x32" + bytes([len(_SCOPE_PREFIX) + 2]) + b"\x2a" + bytes([len(_SCOPE_PREFIX)]) + _SCOPE_PREFIX


def stats_log(
    counters: Iterable[stats_pb2.Config.Counter],
    histograms: Iterable[stats_pb2.Config.Histogram] = (),
    only: accesslog_pb2.AccessLogFilter | None = None,
) -> accesslog_pb2.AccessLog:
    """Return a logger that counts.

    Args:
        counters: What goes up.
        histograms: What is measured.
        only: Which requests; None takes all.
    """
    config = stats_pb2.Config(counters=list(counters), histograms=list(histograms))
    config.MergeFromString(_SCOPE)
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stats", filter=only, typed_config=to_any(config))


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
