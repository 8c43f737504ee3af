"""Counts: what the judge is given. Any source of metrics is turned into these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Arm", "PodCounts", "Window"]


class Arm(StrEnum):
    """Which version a pod runs."""

    CANARY = "canary"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class PodCounts:
    """Counts of one pod during one window.

    Attributes:
        arm: The version that the pod runs.
        pod: The pod's name; empty for requests that reached no pod (they count for the arm, not for a pod).
        attempts: Tries that reached for the pod, retries included.
        errors: Of those, the ones that failed (5xx, reset, refused, timed out).
        latency: Attempts by latency bucket, one more than the policy's bounds; empty where latency is not known.
        requests: Final answers to callers, after retries. For display and the actual share; never judged.
        request_errors: Of those, the failed ones.
        route: Which kind of request, where telemetry tells (a route's name, or method and route class). Arms are only
            compared within a route, so that a canary that happens to get the slow routes is not blamed for them.
    """

    arm: Arm
    pod: str
    attempts: int
    errors: int
    latency: tuple[int, ...] = ()
    requests: int = 0
    request_errors: int = 0
    route: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """One span of time, in Unix seconds, with both arms' counts in it. Windows never overlap."""

    start: float
    end: float
    pods: tuple[PodCounts, ...]
