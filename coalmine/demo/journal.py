"""What the cluster said and when: the moments at which something changed. No I/O; the caller gives the time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

from coalmine.demo.releases import image_version
from mesh.api.trafficsplit import TrafficSplitSpec, TrafficSplitStatus
from rollouts.api.names import CANARY_SUFFIX
from rollouts.api.rollout import HistoryEntry, Phase, RolloutStatus

__all__ = [
    "DECIDED",
    "Acknowledged",
    "Ended",
    "Journal",
    "Moment",
    "PhaseChanged",
    "WeightSet",
    "moment_words",
    "parse_time",
]

DECIDED: Final = frozenset({Phase.PROMOTING, Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.HEALTHY})
"""Phases that come after the decision about a release."""


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """The Rollout's phase changed."""

    time: float
    phase: Phase
    version: str
    message: str


@dataclass(frozen=True, slots=True)
class WeightSet:
    """The controller asked for this share, in percent."""

    time: float
    weight: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Every affected proxy has this share, in percent."""

    time: float
    weight: int
    proxies: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A release came into the Rollout's history."""

    time: float
    entry: HistoryEntry

    @property
    def version(self) -> str:
        """The image tag."""
        return image_version(self.entry.images)


Moment = PhaseChanged | WeightSet | Acknowledged | Ended


@dataclass(slots=True)
class Journal:
    """Everything that changed, in order of arrival.

    Attributes:
        moments: The changes so far.
        rollout: The Rollout's status as it stands.
        split: The TrafficSplit's spec as it stands; None while there is none.
        split_status: Its status.
    """

    moments: list[Moment] = field(default_factory=list)
    rollout: RolloutStatus = field(default_factory=RolloutStatus)
    split: TrafficSplitSpec | None = None
    split_status: TrafficSplitStatus = field(default_factory=TrafficSplitStatus)
    _weight_set: int = 0
    _weight_acknowledged: int = 0

    def take_rollout(self, status: RolloutStatus, now: float) -> tuple[Moment, ...]:
        """Take the Rollout's status as seen at ``now`` and return what changed."""
        before, self.rollout = self.rollout, status
        news: list[Moment] = []
        version = image_version(status.canary.images) if status.canary else ""
        if status.phase is not before.phase:
            news.append(PhaseChanged(now, status.phase, version, status.message))
        known = {(e.revision, e.started_at) for e in before.history}
        news += [Ended(now, e) for e in status.history if (e.revision, e.started_at) not in known]
        self.moments += news
        return tuple(news)

    def take_split(self, spec: TrafficSplitSpec | None, status: TrafficSplitStatus, now: float) -> tuple[Moment, ...]:
        """Take the TrafficSplit as seen at ``now`` and return what changed; no split means no canary traffic."""
        self.split, self.split_status = spec, status
        news: list[Moment] = []
        weight = canary_weight({b.service: b.weight for b in spec.backends}) if spec else 0
        if weight != self._weight_set:
            self._weight_set = weight
            news.append(WeightSet(now, weight))
        if status.acknowledged:
            acknowledged = canary_weight(status.acknowledged.weights)
            if acknowledged != self._weight_acknowledged:
                self._weight_acknowledged = acknowledged
                time = min(now, parse_time(status.acknowledged.time, otherwise=now))
                news.append(Acknowledged(time, acknowledged, status.proxies.affected))
        self.moments += news
        return tuple(news)

    @property
    def weight_since(self) -> float:
        """Since when the acknowledged share is in force, Unix seconds; 0 if it always was."""
        return next((m.time for m in reversed(self.moments) if isinstance(m, Acknowledged)), 0.0)

    @property
    def weight_set(self) -> int:
        """The canary's share that the controller asked for, in percent."""
        return self._weight_set

    @property
    def weight_acknowledged(self) -> int:
        """The canary's share that every affected proxy last acknowledged, in percent."""
        return self._weight_acknowledged


def canary_weight(weights: dict[str, int]) -> int:
    """Return the canary's share in percent among weights by backend."""
    return sum(weight for service, weight in weights.items() if service.endswith(CANARY_SUFFIX))


def parse_time(text: str, *, otherwise: float) -> float:
    """Return Unix seconds of an RFC 3339 time, or ``otherwise`` when it is only to the second."""
    if "." not in text:
        return otherwise
    return dt.datetime.fromisoformat(text).timestamp()


def moment_words(moment: Moment) -> str:
    """Return the moment as one line for people."""
    match moment:
        case PhaseChanged(phase=phase, message=message):
            return f"rollout is {phase}" + (f": {message}" if message else "")
        case WeightSet(weight=weight):
            return f"weight set to {weight} %"
        case Acknowledged(weight=weight, proxies=proxies):
            return f"weight {weight} % in force at every proxy ({proxies} of {proxies})"
        case Ended(entry=entry):
            return f"{image_version(entry.images) or entry.revision} {entry.outcome}: {entry.reason}"
