"""An experiment's fresh baseline: what is seen of it, how it is started, and which requests are compared meanwhile."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from analysis.model.counts import Arm
from rollouts.core.experiment import baseline_deployment
from rollouts.core.fresh import Fresh
from rollouts.core.machine import State
from rollouts.core.observed import Service, Workload
from rollouts.engine.kube import ConflictError, object_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet
    from typing import Any

    from analysis.model.counts import Window
    from rollouts.core.fresh import StartBaseline
    from rollouts.core.naming import Names
    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Cache
    from rollouts.engine.kube import Kube
    from rollouts.engine.measure import Known

__all__ = ["baseline_manifest", "compared", "fresh_baseline", "with_experiment"]

_UNDER_WAY: Final = frozenset({State.JUDGING, State.INCONCLUSIVE, State.AWAITING_APPROVAL})


def fresh_baseline(
    cache: Cache, subject: Subject, names: Names, deployment: Workload | None
) -> tuple[Fresh, tuple[str, ...]]:
    """Return what there is of an experiment, and what of somebody else's has a name that it needs."""
    raw_deployment = cache.deployments.get((subject.namespace, names.baseline_deployment))
    raw_service = cache.services.get((subject.namespace, names.baseline_service))
    wanted = subject.spec is not None and any(step.experiment for step in subject.spec.steps)
    others = {"Deployment": raw_deployment, "Service": raw_service}
    taken = tuple(f"{kind} {o['metadata']['name']}" for kind, o in others.items() if o and not subject.owns(o))
    stable = subject.status.stable.revision if subject.status.stable else ""
    sets = cache.replica_sets(subject.namespace, deployment.uid) if deployment else []
    found = Fresh(
        deployment=Workload(raw_deployment) if raw_deployment and subject.owns(raw_deployment) else None,
        service=Service(raw_service) if raw_service and subject.owns(raw_service) else None,
        replica_set=next((r.name for r in sets if r.revision == stable), ""),
    )
    return found, taken if wanted else ()


def with_experiment(known: Known, cache: Cache, subject: Subject, fresh: Fresh) -> Known:
    """Return what is known of the pods, with those of an experiment, and since when one is under way."""
    pods = cache.pods(subject.namespace, fresh.service.selector) if fresh.service else []
    started = {pod.name: dt.datetime.fromisoformat(pod.started).timestamp() for pod in pods}
    notes, index = subject.notes, subject.status.step_index
    steps = subject.spec.steps if subject.spec else ()
    running = notes.state in _UNDER_WAY and index is not None and index < len(steps) and steps[index].experiment
    return replace(
        known,
        started={**known.started, **started},
        arms={**known.arms, **dict.fromkeys(started, Arm.BASELINE)},
        fresh=frozenset(started),
        experiment_since=notes.step_starts[-1] if running and notes.step_starts else None,
    )


async def baseline_manifest(kube: Kube, subject: Subject, action: StartBaseline) -> dict[str, Any]:
    """Return the Deployment to be applied, with the template of the stable ReplicaSet.

    Raises:
        ConflictError: The ReplicaSet is gone meanwhile.
        KubeError: The API server refuses.
    """
    path = object_path("apps/v1", "ReplicaSet", subject.namespace, action.replica_set)
    found = await kube.request("GET", path)
    if found is None:
        raise ConflictError(404, "NotFound", f"ReplicaSet {action.replica_set} is gone")
    return baseline_deployment(action, found["spec"]["template"])


def compared(windows: Iterable[Window], fresh: AbstractSet[str], since: float | None) -> list[Window]:
    """Return the windows with the fresh pods as the only baseline, wherever there are any.

    Outside of experiments nothing changes: the baseline is what the stable Service gave.

    Args:
        windows: Counts of both versions.
        fresh: Names of the pods that were started afresh for an experiment.
        since: When the experiment that is under way began, Unix seconds; None when there is none.
    """
    return [_only(w, fresh) if _is_experiment(w, fresh, since) else w for w in windows]


def _is_experiment(window: Window, fresh: AbstractSet[str], since: float | None) -> bool:
    if since is not None and window.start >= since:
        return True
    return any(p.arm is Arm.BASELINE and p.attempts and p.pod in fresh for p in window.pods)


def _only(window: Window, fresh: AbstractSet[str]) -> Window:
    return replace(window, pods=tuple(p for p in window.pods if p.arm is Arm.CANARY or p.pod in fresh))
