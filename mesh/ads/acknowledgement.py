"""The status of a TrafficSplit, from what its proxies hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from mesh.api.trafficsplit import Acknowledged, Condition, Proxies, Rejection, TrafficSplitStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ProxyState", "SplitState", "status_of"]

_SHOWN: Final = 5
"""Proxies named in a status."""


@dataclass(frozen=True, slots=True)
class ProxyState:
    """What one affected proxy holds of a split.

    Attributes:
        name: ``namespace/pod``.
        generation: The generation that it has acknowledged; None without a stream or an acknowledgement.
        refusal: What it said when it refused the current one.
    """

    name: str
    generation: int | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class SplitState:
    """A TrafficSplit and its proxies.

    Attributes:
        generation: The current generation.
        weights: Its weights by backend.
        problem: Why it is not applied; empty when it is.
        proxies: The proxies that call its host.
    """

    generation: int
    weights: Mapping[str, int]
    problem: str
    proxies: Sequence[ProxyState]


def status_of(state: SplitState, previous: TrafficSplitStatus, now: str) -> TrafficSplitStatus:
    """Return the status to show.

    ``acknowledged`` stays what it was until every affected proxy holds the current generation: a proxy that comes,
    goes or reconnects changes the counts, not what was once acknowledged.

    Args:
        state: The split and its proxies.
        previous: The status that the object has.
        now: RFC 3339.
    """
    missing = sorted(p.name for p in state.proxies if state.problem or p.generation != state.generation)
    refusals = sorted((p.name, p.refusal) for p in state.proxies if p.refusal is not None)
    acknowledged = previous.acknowledged
    if not missing and not state.problem and (acknowledged is None or acknowledged.generation != state.generation):
        acknowledged = Acknowledged(generation=state.generation, weights=dict(state.weights), time=now)
    return TrafficSplitStatus(
        observed_generation=state.generation,
        acknowledged=acknowledged,
        proxies=Proxies(
            affected=len(state.proxies),
            acknowledged=len(state.proxies) - len(missing),
            missing=tuple(missing[:_SHOWN]),
        ),
        rejections=tuple(
            Rejection(proxy=name, message=text, generation=state.generation) for name, text in refusals[:_SHOWN]
        ),
        conditions=_conditions(state, missing, refusals, previous, now),
    )


_Truth = Literal["True", "False"]


def _conditions(
    state: SplitState,
    missing: list[str],
    refusals: list[tuple[str, str]],
    previous: TrafficSplitStatus,
    now: str,
) -> tuple[Condition, ...]:
    """Return the conditions that kstatus knows, with the time of the last change kept."""
    ready, stalled, reason, message = _summary(state, missing, refusals)
    reconciling: _Truth = "False" if ready == "True" or stalled == "True" else "True"
    found = []
    for kind, value in (("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)):
        old = next((c for c in previous.conditions if c.type == kind and c.status == value), None)
        found.append(
            Condition(
                type=kind,
                status=value,
                reason=reason,
                message=message,
                observed_generation=state.generation,
                last_transition_time=old.last_transition_time if old else now,
            )
        )
    return tuple(found)


def _summary(state: SplitState, missing: list[str], refusals: list[tuple[str, str]]) -> tuple[_Truth, _Truth, str, str]:
    """Return the truth of Ready and Stalled, the reason and the sentence."""
    total = len(state.proxies)
    if state.problem:
        return "False", "True", "NotApplied", state.problem
    if refusals:
        name, text = refusals[0]
        return "False", "True", "Refused", f"{len(refusals)} of {total} proxies refused this; {name} said: {text}"
    if missing:
        return (
            "False",
            "False",
            "Waiting",
            f"{total - len(missing)} of {total} proxies hold this; waiting for {missing[0]}",
        )
    return "True", "False", "Acknowledged", f"all {total} proxies that call this host hold these weights"
