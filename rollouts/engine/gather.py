"""From the cache to what one decision looks at."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from analysis.model.counts import Arm
from rollouts.api.names import FINALIZER
from rollouts.api.rollout import RolloutSpec, RolloutStatus
from rollouts.api.validate import InvalidRollout, parse_rollout
from rollouts.core.configuration import ConfigFacts
from rollouts.core.dependencies import Neighbour
from rollouts.core.hook_runs import HookFacts
from rollouts.core.metrics import Release, template_problem
from rollouts.core.naming import names_of
from rollouts.core.notes import Notes
from rollouts.core.observed import CanaryPod, Measured, Observed, Service, Subject, Workload
from rollouts.core.reverts import WriteBackFacts
from rollouts.core.scaling import ScalingFacts
from rollouts.engine.experiment import fresh_baseline, with_experiment
from rollouts.engine.measure import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollouts.api.people import Person
    from rollouts.core.naming import Names
    from rollouts.core.preflight.facts import Facts
    from rollouts.engine.cache import Cache, Key
    from rollouts.routers.base import Router

__all__ = ["gather", "known_pods", "read_status", "release_of", "subject_of"]


def read_status(raw: Mapping[str, Any]) -> RolloutStatus:
    """Return a Rollout's status. Fields that another version of the controller wrote are dropped.

    Raises:
        ValidationError: A field that we know holds something else.
    """
    known = {f.alias or name for name, f in RolloutStatus.model_fields.items()}
    return RolloutStatus.model_validate({k: v for k, v in raw.items() if k in known})


def subject_of(body: Mapping[str, Any]) -> Subject:
    """Return the Rollout as a decision sees it."""
    metadata = body["metadata"]
    spec: RolloutSpec | None = None
    error = ""
    try:
        spec = parse_rollout(body)
    except InvalidRollout as invalid:
        error = str(invalid)
    return Subject(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        spec=spec,
        spec_error=error,
        status=read_status(body.get("status") or {}),
        created=str(metadata.get("creationTimestamp", "")),
        annotations=metadata.get("annotations") or {},
        labels=metadata.get("labels") or {},
        finalizers=tuple(metadata.get("finalizers") or ()),
        deleting=bool(metadata.get("deletionTimestamp")) and FINALIZER in (metadata.get("finalizers") or ()),
    )


def _rival(cache: Cache, subject: Subject, names: Names) -> str:
    """Return an older Rollout of the same Deployment or Service."""
    for body in cache.rollouts_in(subject.namespace):
        metadata = body["metadata"]
        if metadata["uid"] == subject.uid or metadata.get("deletionTimestamp"):
            continue
        if not {names.workload, names.host} & _claimed(body):
            continue  # reading one takes a millisecond, and a namespace may have hundreds
        try:
            spec = parse_rollout(body)
            notes = Notes.read((body.get("status") or {}).get("internal") or {})
        except (InvalidRollout, ValidationError):
            continue
        other = names_of(spec, notes)
        older = (metadata["creationTimestamp"], metadata["name"]) < (subject.created, subject.name)
        if other and older and (other.workload == names.workload or other.host == names.host):
            return str(metadata["name"])
    return ""


def _claimed(body: Mapping[str, Any]) -> set[str]:
    """Return all names that can be a Rollout's Deployment or Service, as they are written."""
    spec, notes = body.get("spec") or {}, (body.get("status") or {}).get("internal") or {}
    workload = (spec.get("workloadRef") or {}).get("name")
    return {str(name) for name in (workload, spec.get("service"), notes.get("workload"), notes.get("host")) if name}


def _neighbours(cache: Cache, subject: Subject) -> dict[str, Neighbour]:
    """Return the namespace's other Rollouts, where this one waits for some."""
    if subject.spec is None or not subject.spec.depends_on:
        return {}
    others = (b for b in cache.rollouts_in(subject.namespace) if b["metadata"]["uid"] != subject.uid)
    return {body["metadata"]["name"]: _neighbour(cache, body) for body in others}


def _neighbour(cache: Cache, body: Mapping[str, Any]) -> Neighbour:
    try:
        other = subject_of(body)
        names = names_of(other.spec, other.notes)
    except ValidationError:
        return Neighbour("unreadable")
    raw = cache.deployments.get((other.namespace, names.workload)) if names else None
    stable = other.status.stable.revision if other.status.stable else ""
    return Neighbour(
        phase=other.status.phase.value,
        pending=raw is not None and Workload(raw).revision != stable,
        depends_on=other.spec.depends_on if other.spec else (),
    )


def _foreign_pods(cache: Cache, subject: Subject, deployment: Workload, service: Service) -> tuple[str, ...]:
    ours = {r.uid for r in cache.replica_sets(subject.namespace, deployment.uid)}
    return tuple(sorted(p.name for p in cache.pods(subject.namespace, service.selector) if p.owner not in ours))


def known_pods(cache: Cache, namespace: str, service: Service | None, canary_service: Service | None) -> Known:
    """Return what is known of the pods behind the Services."""
    started: dict[str, float] = {}
    arms: dict[str, Arm] = {}
    for found, arm in ((service, Arm.BASELINE), (canary_service, Arm.CANARY)):
        for pod in cache.pods(namespace, found.selector) if found else ():
            started[pod.name] = dt.datetime.fromisoformat(pod.started).timestamp()
            arms[pod.name] = arm
    return Known(started, arms)


def release_of(cache: Cache, subject: Subject, names: Names) -> Release:
    """Return the Rollout with the templates that it refers to."""
    references = subject.spec.analysis.templates if subject.spec and subject.spec.analysis.enabled else ()
    metadata = {
        "name": subject.name,
        "namespace": subject.namespace,
        "labels": subject.labels,
        "annotations": subject.annotations,
    }
    templates = {
        (r.template_name, r.cluster_scope): cache.templates.get(
            ("" if r.cluster_scope else subject.namespace, r.template_name)
        )
        for r in references
    }
    return Release(metadata, names, references, templates, cache.cluster_templates)


def _canary_pods(cache: Cache, namespace: str, service: Service | None) -> dict[str, CanaryPod]:
    pods = cache.pods(namespace, service.selector) if service else ()
    return {p.name: CanaryPod(uid=p.uid, node=p.node, trouble=p.trouble) for p in pods}


def gather(
    cache: Cache,
    router: Router,
    subject: Subject,
    measure: Callable[[Notes, Known], Measured],
    *,
    full: str = "",
    scaling: ScalingFacts | None = None,
    config: ConfigFacts | None = None,
    preflight: Facts | None = None,
    hooks: HookFacts | None = None,
    write_back: WriteBackFacts | None = None,
    people: tuple[Person, ...] = (),
) -> Observed:
    """Return all that one decision may look at.

    Args:
        cache: What the watches have told.
        router: Reads the split.
        subject: The Rollout, as it was read or written last.
        measure: Answers what was measured, given the notes and what is known of the pods.
        full: Why no release may start beside those of other Rollouts.
        scaling: Of disruption budgets.
        config: Of ConfigMaps and Secrets.
        preflight: What the checks before any traffic moves look at.
        hooks: How hooks go.
        write_back: What came of reverting in git.
        people: Who has which names.
    """
    notes = subject.notes
    names = names_of(subject.spec, notes)
    if names is None:
        return Observed(subject)
    namespace = subject.namespace

    taken: list[str] = []

    def find(kind: dict[Key, dict[str, Any]], name: str) -> dict[str, Any] | None:
        return kind.get((namespace, name))

    def own(kind: dict[Key, dict[str, Any]], what: str, name: str) -> dict[str, Any] | None:
        found = find(kind, name)
        if found and not subject.owns(found):
            taken.append(f"{what} {name}")
            return None
        return found

    raw_deployment, raw_service = find(cache.deployments, names.workload), find(cache.services, names.host)
    raw_canary = own(cache.deployments, "Deployment", names.canary_deployment)
    raw_canary_service = own(cache.services, "Service", names.canary_service)
    raw_split = find(cache.splits, router.name(subject))
    deployment = Workload(raw_deployment) if raw_deployment else None
    fresh, taken_by_others = fresh_baseline(cache, subject, names, deployment)
    service = Service(raw_service) if raw_service else None
    canary_service = Service(raw_canary_service) if raw_canary_service else None
    sets = cache.replica_sets(namespace, deployment.uid) if deployment else []
    running: dict[str, int] = {}
    for replica_set in sets:
        if replica_set.replicas:
            running[replica_set.revision] = running.get(replica_set.revision, 0) + replica_set.replicas
    ours = {names.workload, names.canary_deployment}
    return Observed(
        subject=subject,
        deployment=deployment,
        service=service,
        canary=Workload(raw_canary) if raw_canary else None,
        canary_service=canary_service,
        canary_pods=_canary_pods(cache, namespace, canary_service),
        traffic=router.observe(raw_split) if raw_split else None,
        running=running,
        images={r.revision: r.images for r in sets},
        fresh=fresh,
        measured=measure(
            notes, with_experiment(known_pods(cache, namespace, service, canary_service), cache, subject, fresh)
        ),
        rival=_rival(cache, subject, names),
        foreign_pods=_foreign_pods(cache, subject, deployment, service) if deployment and service else (),
        taken=next(iter((*taken, *taken_by_others)), ""),
        template_problem=template_problem(release_of(cache, subject, names)),
        neighbours=_neighbours(cache, subject),
        full=full,
        scaling=scaling or ScalingFacts(),
        config=config or ConfigFacts(),
        preflight=preflight,
        hooks=hooks or HookFacts(),
        write_back=write_back or WriteBackFacts(),
        people=people,
        strays=tuple(Workload(d) for d in cache.labelled(namespace, subject.name) if d["metadata"]["name"] not in ours),
    )
