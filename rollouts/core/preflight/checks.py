"""The chain of checks before any traffic moves, each one question with a reason code. The list is the specification."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rollouts.api.preflight import PreflightReason, PreflightResult, PreflightStatus
from rollouts.core.preflight.facts import Facts, Finding, Kind
from rollouts.core.preflight.mesh import mutual_tls, outlier_detection, sidecars
from rollouts.core.preflight.metrics import metrics
from rollouts.core.preflight.owners import route
from rollouts.core.preflight.room import capacity, quota
from rollouts.core.preflight.workload import autoscalers, probes, service_ports

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollouts.core.context import Context

__all__ = ["CHECKS", "Answer", "Check", "examine"]

_K, _R = Kind, PreflightReason


@dataclass(frozen=True)
class Check:
    """One question.

    Attributes:
        name: What is asked, for the status.
        reason: Why it did not pass.
        ask: Answers it; None when all is well.
        kinds: What it must have read for that.
    """

    name: str
    reason: PreflightReason
    ask: Callable[[Context, Facts], Finding | None]
    kinds: tuple[Kind, ...] = ()


CHECKS: Final[tuple[Check, ...]] = (
    Check("Sidecars", _R.SIDECAR_MISSING, sidecars),
    Check("MutualTls", _R.MUTUAL_TLS_MISMATCH, mutual_tls, (_K.PEERS,)),
    Check("ServicePorts", _R.SERVICE_PORTS_MISMATCH, service_ports),
    Check("Probes", _R.PROBES_MISSING, probes),
    Check("Quota", _R.QUOTA_EXCEEDED, quota, (_K.QUOTAS,)),
    Check("Capacity", _R.CAPACITY_MISSING, capacity, (_K.BUDGETS,)),
    Check("OutlierDetection", _R.OUTLIER_DETECTION_UNSAFE, outlier_detection, (_K.DESTINATION_RULES,)),
    Check("Route", _R.ROUTE_OWNED, route, (_K.FLAGGER, _K.ARGO, _K.HTTP_ROUTES, _K.VIRTUAL_SERVICES)),
    Check("Autoscaler", _R.AUTOSCALER_CONFLICT, autoscalers, (_K.AUTOSCALERS,)),
    Check("Metrics", _R.METRICS_UNREACHABLE, metrics),
)


@dataclass(frozen=True)
class Answer:
    """A check's answer.

    Attributes:
        status: As people read it.
        passing: Whether it is only not known yet.
    """

    status: PreflightStatus
    passing: bool = False


def examine(c: Context, facts: Facts) -> tuple[Answer, ...]:
    """Return all answers, in the order of the list."""
    return tuple(_answer(check, c, facts) for check in CHECKS)


def _answer(check: Check, c: Context, facts: Facts) -> Answer:
    found = check.ask(c, facts) or _unread(check, facts)
    skipped = check.reason in c.spec.preflight.skip
    if found is not None and skipped:
        found = _overruled(found)
    if found is None:
        return Answer(PreflightStatus(check=check.name, result=PreflightResult.PASS))
    return Answer(
        PreflightStatus(check=check.name, result=found.result, reason=check.reason, message=found.message),
        found.passing,
    )


def _unread(check: Check, facts: Facts) -> Finding | None:
    """Return that a check could not be answered, which is told and never blocks."""
    why = next((facts.unread[kind] for kind in check.kinds if kind in facts.unread), "")
    return Finding(PreflightResult.UNKNOWN, f"could not be checked: {why}") if why else None


def _overruled(found: Finding) -> Finding | None:
    """Return what is left of an answer that spec.preflight.skip names: a warning where it would have blocked."""
    if found.result is not PreflightResult.FAIL:
        return None
    return replace(found, result=PreflightResult.WARN, message=f"overruled by spec.preflight.skip: {found.message}")
