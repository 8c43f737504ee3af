"""The watches: kopf feeds the cache and says which Rollouts to look at. Nothing of kopf's is written onto any object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import kopf
from pydantic import ValidationError

from mesh.api.names import MESH_GROUP, MESH_VERSION
from rollouts.api.names import GROUP, PLURAL, VERSION
from rollouts.api.validate import InvalidRollout, parse_rollout
from rollouts.core.naming import names_of
from rollouts.core.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rollouts.engine.cache import Cache, Key

__all__ = ["RESOURCES", "interested", "operate", "watches"]

RESOURCES: Final[tuple[tuple[str, str, str], ...]] = (
    (GROUP, VERSION, PLURAL),
    ("apps", "v1", "deployments"),
    ("apps", "v1", "replicasets"),
    ("", "v1", "pods"),
    ("", "v1", "services"),
    (MESH_GROUP, MESH_VERSION, "trafficsplits"),
    (GROUP, VERSION, "analysistemplates"),
    (GROUP, VERSION, "clusteranalysistemplates"),
)
_DELETED: Final = "DELETED"


def interested(cache: Cache, plural: str, event_type: str | None, body: Mapping[str, Any]) -> Iterator[Key]:
    """Return the Rollouts for which an object's change may matter."""
    metadata = body["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    if plural in {"analysistemplates", "clusteranalysistemplates"}:
        yield from _users(cache, namespace, name)
        return
    if plural == PLURAL:
        yield namespace, name
        for other in cache.rollouts_in(namespace):
            waits = name in ((other.get("spec") or {}).get("dependsOn") or ())
            if other["metadata"]["name"] != name and (waits or event_type != "MODIFIED"):  # a rival came or went
                yield namespace, other["metadata"]["name"]
        return
    owners = {o["name"] for o in metadata.get("ownerReferences") or ()}
    for rollout in cache.rollouts_in(namespace):
        rollout_name = rollout["metadata"]["name"]
        if {name, *owners} & {rollout_name, *_names(rollout)}:
            yield namespace, rollout_name


def _users(cache: Cache, namespace: str, name: str) -> Iterator[Key]:
    """Return the Rollouts that refer to a template; a cluster-wide one has no namespace."""
    for rollout in cache.rollouts_in(namespace) if namespace else cache.all_rollouts():
        references = ((rollout.get("spec") or {}).get("analysis") or {}).get("templates") or ()
        if any(r["templateName"] == name and bool(r.get("clusterScope")) is not bool(namespace) for r in references):
            yield rollout["metadata"]["namespace"], rollout["metadata"]["name"]


def _names(rollout: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        notes = Notes.read((rollout.get("status") or {}).get("internal") or {})
    except ValidationError:
        notes = Notes()
    try:
        spec = parse_rollout(rollout)
    except InvalidRollout:
        spec = None
    names = names_of(spec, notes)
    return (names.workload, names.host, names.canary_deployment, names.canary_service) if names else ()


def watches(
    cache: Cache,
    trigger: Callable[[Key], None],
    forget: Callable[[Key], None],
    warm: Callable[[], None],
    *,
    cluster_templates: bool = True,
) -> kopf.OperatorRegistry:
    """Return a registry whose handlers feed ``cache`` and call ``trigger``.

    kopf runs no event handler before every index has seen all objects that exist: ``warm`` is called from then on, and
    that is how the first decision comes after the whole cluster is known.

    Args:
        cache: What is fed.
        trigger: Called with a Rollout that is to be looked at.
        forget: Called with one that is gone.
        warm: See above.
        cluster_templates: Whether ClusterAnalysisTemplates are watched.
    """
    registry = kopf.OperatorRegistry()
    for group, version, plural in RESOURCES:
        if plural == "clusteranalysistemplates" and not cluster_templates:
            continue
        where = {"group": group, "version": version, "plural": plural, "registry": registry}
        _watch(where, cache, trigger, forget, warm)
    return registry


def _watch(
    where: dict[str, Any],
    cache: Cache,
    trigger: Callable[[Key], None],
    forget: Callable[[Key], None],
    warm: Callable[[], None],
) -> None:
    plural = where["plural"]

    # Both are coroutines: kopf would run a plain function in a thread, beside a decision that reads the cache.
    @kopf.index(id=f"known-{plural}", **where)
    async def known(body: kopf.Body, **_: Any) -> None:
        cache.put(plural, dict(body))

    @kopf.on.event(id=f"seen-{plural}", **where)
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        warm()
        body: dict[str, Any] = dict(event["object"])
        metadata = body["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        if event["type"] == _DELETED:
            cache.drop(plural, *key)
        else:
            cache.put(plural, body)
        if plural != "pods":
            for rollout in interested(cache, plural, event["type"], body):
                trigger(rollout)
        if plural == PLURAL and event["type"] == _DELETED:
            forget(key)


async def operate(
    registry: kopf.OperatorRegistry, kubeconfig: Path | None, namespaces: Sequence[str] = (), *, stop: Any
) -> None:
    """Run the watches until ``stop`` is set.

    Args:
        registry: What ``watches`` returned.
        kubeconfig: How to reach the API server; None in a pod.
        namespaces: Those that are watched; none: the whole cluster.
        stop: An asyncio.Event that ends them.
    """
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2, 5, 5, 5, 10, 10, 10)

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) if kubeconfig is None else kopf.login_with_kubeconfig(**kwargs)

    await kopf.operator(
        registry=registry,
        settings=settings,
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
        identity=None,
    )
