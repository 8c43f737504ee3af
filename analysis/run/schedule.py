"""When a metric is measured. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.api.metric import Metric

__all__ = ["next_time"]


def next_time(metric: Metric, *, began: float, taken: int, now: float) -> float | None:
    """Return when a metric is measured next.

    Measurements stand on a grid from the release's start, so that a restart does not shift them; one that was missed is
    left out, not made up for. Only a Job is asked for again with the same time until it has answered, also after a
    restart: its time is its identity, and another time would be another Job.

    Args:
        metric: Its delay, interval and count.
        began: When the release began, Unix seconds.
        taken: Measurements taken so far.
        now: Unix seconds; the answer is later than this, or the first measurement's time. A Job's may be past.

    Returns:
        Unix seconds; None when it is not measured any more.
    """
    if metric.count is not None and taken >= metric.count:
        return None
    first = began + metric.initial_delay
    if metric.provider.job is not None:
        return first + metric.interval * taken
    if now < first:
        return first
    return first + metric.interval * (math.floor((now - first) / metric.interval) + 1)
