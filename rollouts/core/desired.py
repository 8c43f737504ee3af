"""What each state wants of the cluster, and the actions that are missing for it. Level-triggered: only differences act."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollouts.api.names import FINALIZER, ROLLOUT_LABEL
from rollouts.core.actions import (
    Action,
    AddFinalizer,
    Adopt,
    Apply,
    ClearFailed,
    Delete,
    Evict,
    MarkFailed,
    Release,
    RemoveFinalizer,
    SetTraffic,
    StopTraffic,
    Unpause,
)
from rollouts.core.budget import budget_actions
from rollouts.core.canary import canary_deployment, canary_service
from rollouts.core.configuration import config_actions
from rollouts.core.context import ACK_PATIENCE, Context
from rollouts.core.experiment import missing, superfluous
from rollouts.core.machine import RELEASE, State
from rollouts.core.scaling import returned_for
from rollouts.core.traffic import backends, exposed, pods_to_come, shape

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["missing_actions", "wants_canary"]


def wants_canary(c: Context) -> bool:
    """Return whether the canary's objects have a reason to be there."""
    match c.notes.state:
        case State.INITIALIZING | State.HEALTHY | State.GONE:
            return False
        case State.SUPERSEDING | State.RESTORING:
            return not c.drained
        case State.ROLLED_BACK:
            return c.notes.quiet_since is None or c.in_state < c.spec.scale_down_delay_seconds
        case _:
            return True


def missing_actions(c: Context) -> tuple[Action, ...]:
    """Return what is missing, in the order in which it has to be done."""
    if c.notes.state is State.RESTORING:
        return (*_traffic(c), *budget_actions(c, wanted=wants_canary(c)), *_restore(c))
    if c.notes.state is State.GONE:
        return (RemoveFinalizer(),) if FINALIZER in c.o.subject.finalizers else ()
    if c.problem is not None:
        return tuple(_traffic(c)) if c.notes.workload and c.problem.reason != "Conflict" else ()
    return (
        *_news(c),
        *_adoption(c),
        *_canary(c),
        *budget_actions(c, wanted=wants_canary(c)),
        *missing(c),
        *_traffic(c),
        *_removal(c),
        *_workload(c),
        *_replacement(c),
        *config_actions(c),
    )


def _news(c: Context) -> Iterator[Action]:
    """Take the last release's mark off before all else: CI may ask `kubectl rollout status` right after it applied."""
    d = c.deployment
    releasing = c.notes.state in RELEASE | {State.SUPERSEDING} and c.revision != c.status.failed_revision
    if releasing and d.paused and d.marked_failed:
        yield ClearFailed(d.name, d.uid, f"Coalmine releases revision {c.revision} step by step")


def _adoption(c: Context) -> Iterator[Action]:
    if FINALIZER not in c.o.subject.finalizers:
        yield AddFinalizer()
    for stray in c.o.strays:
        yield Release(stray.name, stray.uid)
    if c.deployment.labels.get(ROLLOUT_LABEL) != c.o.subject.name:
        yield Adopt(c.deployment.name, c.deployment.uid)


def _canary(c: Context) -> Iterator[Action]:
    """Make the canary, with capacity for the weight that it has and for the one that comes."""
    serving = c.notes.state is State.ROLLING and c.notes.weight > 0
    if not (c.notes.state in RELEASE or serving) or c.revision != c.notes.target or c.o.service is None:
        return
    if c.o.canary is not None and not c.canary_is_target:
        if not c.o.canary.deleting and not c.notes.weight:
            yield Delete("apps/v1", "Deployment", c.o.canary.name, c.o.canary.uid)
        return
    service = canary_service(c.o.subject, c.names, c.deployment, c.o.service)
    have = c.o.canary_service
    if (
        have is None
        or dict(have.selector) != service["spec"]["selector"]
        or not _same_ports(have.ports, service["spec"]["ports"])
    ):
        yield Apply(service)
    replicas = pods_to_come(c)
    if c.o.canary is None or c.o.canary.replicas != replicas:
        deadline = c.spec.progress_deadline_seconds
        yield Apply(
            canary_deployment(c.o.subject, c.names, c.deployment, c.o.service, replicas=replicas, deadline=deadline)
        )


def _same_ports(have: list[dict[str, object]], want: list[dict[str, object]]) -> bool:
    return [{k: p.get(k) for k in w} for p, w in zip(have, want, strict=False)] == want and len(have) == len(want)


def _traffic(c: Context) -> Iterator[Action]:
    """Write the split. A weight above 0 is only ever asked for when the canary had the capacity (see the checks)."""
    t = c.o.traffic
    if t is None and c.notes.state is State.RESTORING:
        return
    with_canary = exposed(c) or (wants_canary(c) and c.o.canary_service is not None)
    weights = backends(c, with_canary=with_canary)
    wanted = SetTraffic(c.names.host, weights, c.spec.outlier_detection, shape(c))
    if t is None or wanted != SetTraffic(t.host, dict(t.weights), t.outlier_detection, t.shape):
        yield wanted


def _removal(c: Context) -> Iterator[Action]:
    """Remove the canary's objects, and an experiment's, once no proxy names them any more."""
    yield from superfluous(c)
    if wants_canary(c) or c.canary_gone or not _unnamed(c):
        return
    if c.o.canary is not None and not c.o.canary.deleting:
        yield Delete("apps/v1", "Deployment", c.o.canary.name, c.o.canary.uid)
    if c.o.canary_service is not None:
        yield Delete("v1", "Service", c.o.canary_service.name)


def _unnamed(c: Context) -> bool:
    t = c.o.traffic
    if t is None:
        return True
    patient = c.notes.state is State.RESTORING and returned_for(c) >= ACK_PATIENCE
    return c.names.canary_service not in t.weights and (t.acknowledged or patient)


def _workload(c: Context) -> Iterator[Action]:
    """Unpause the Deployment where it may go on; mark it where it failed."""
    d, version = c.deployment, c.deployment.resource_version
    state = c.notes.state
    rolls = state is State.ROLLING and c.revision == c.notes.target
    ends = state is State.REVERTING and c.reverted and c.notes.quiet_since is not None
    if d.paused and (rolls or ends):
        yield Unpause(d.name, version)
    if state is State.ROLLED_BACK and d.paused and not d.marked_failed and c.revision == c.notes.target:
        yield MarkFailed(
            d.name, version, f"Coalmine took revision {c.revision} ({', '.join(d.images)}) back: {c.notes.reason}"
        )


def _replacement(c: Context) -> Iterator[Action]:
    """Evict the canary pod that alone is worse. It is gone from the observation as soon as it is being deleted."""
    pod = c.notes.replaced
    known = c.o.canary_pods.get(pod.name) if pod else None
    if pod and known and known.uid == pod.uid and c.notes.state in RELEASE and c.now < pod.until:
        yield Evict(pod.name, pod.uid)


def _restore(c: Context) -> Iterator[Action]:
    """Leave a plain Deployment: traffic first, then the hold, then what is left of the canary, then the split."""
    if c.notes.quiet_since is None:
        return
    d = c.o.deployment
    for labelled in (*c.o.strays, *([d] if d else [])):
        if labelled.labels.get(ROLLOUT_LABEL) == c.o.subject.name:
            yield Release(labelled.name, labelled.uid)
    if d is not None and c.must_unpause and ROLLOUT_LABEL not in d.labels:
        yield Unpause(d.name, d.resource_version)
    yield from _removal(c)
    if c.canary_gone and c.o.traffic is not None:
        yield StopTraffic()
