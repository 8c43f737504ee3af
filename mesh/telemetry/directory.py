"""What the standard metrics call pods and Services. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from mesh.resolve.objects import version_of
from mesh.resolve.workloads import canonical_name, canonical_revision, workload_name

if TYPE_CHECKING:
    from mesh.ir.services import Workload
    from mesh.resolve.world import World

__all__ = ["NOBODY", "UNKNOWN", "Directory", "Known"]

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

UNKNOWN: Final = "unknown"
_SPARE: Final = 10_000
"""How many pods and versions that are gone are still known by name."""


class Known(NamedTuple):
    """A workload, as labels name it.

    Attributes:
        workload: Name of the Deployment, StatefulSet or the like.
        namespace: Its namespace.
        app: The ``app`` label of its pods.
        version: The version that their labels tell; of pods without any, that of their template.
        principal: Their SPIFFE id.
        service: Istio's canonical name.
        revision: Istio's canonical revision.
    """

    workload: str = UNKNOWN
    namespace: str = UNKNOWN
    app: str = UNKNOWN
    version: str = UNKNOWN
    principal: str = UNKNOWN
    service: str = UNKNOWN
    revision: str = "latest"


NOBODY: Final = Known(revision=UNKNOWN)


class Directory:
    """Pods, versions and callers by what sidecars report of them; those that are gone stay known for a while."""

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], Known] = {}
        self._behind: dict[tuple[str, str, str], Known] = {}
        self._service_of: dict[tuple[str, str], str] = {}
        self._by_principal: dict[str, Known] = {}

    def update(self, world: World) -> None:
        """Take what is known now."""
        pods = {key: _known(workload) for key, workload in world.workloads.items()}
        behind: dict[tuple[str, str, str], Known] = {}
        service_of: dict[tuple[str, str], str] = {}
        for (namespace, service), ports in sorted(world.endpoints.items()):
            for endpoint in (e for found in ports.values() for e in found):
                if (known := pods.get((namespace, endpoint.pod))) is not None:
                    behind[namespace, service, endpoint.version] = known
                    service_of.setdefault((namespace, endpoint.pod), service)
        self._pods = _kept(self._pods, pods)
        self._behind = _kept(self._behind, behind)
        self._service_of = _kept(self._service_of, service_of)
        callers: dict[str, set[Known]] = defaultdict(set)
        for known in pods.values():
            callers[known.principal].add(known)
        self._by_principal = {principal: _common(found) for principal, found in callers.items()}

    def pod(self, namespace: str, name: str) -> Known:
        """Return what a pod belongs to."""
        return self._pods.get((namespace, name), NOBODY)

    def behind(self, namespace: str, service: str, version: str) -> Known:
        """Return what a version of a Service is."""
        return self._behind.get((namespace, service, version), NOBODY)

    def service_of(self, namespace: str, pod: str) -> str:
        """Return the Service that a pod is behind, the first by name where there are several; empty for none."""
        return self._service_of.get((namespace, pod), "")

    def caller(self, principal: str) -> Known:
        """Return what runs under an identity: what all workloads that share it have in common."""
        return self._by_principal.get(principal, NOBODY)._replace(principal=principal or UNKNOWN)


def _known(workload: Workload) -> Known:
    labels = dict(workload.labels)
    return Known(
        workload=workload_name(workload),
        namespace=workload.namespace,
        app=labels.get("app") or UNKNOWN,
        version=version_of(workload.labels) or UNKNOWN,
        principal=workload.identity.uri if workload.meshed else UNKNOWN,
        service=canonical_name(workload),
        revision=canonical_revision(workload),
    )


def _common(found: set[Known]) -> Known:
    """Return what all have in common, and ``UNKNOWN`` for the rest."""
    columns = zip(*found, strict=True)
    return Known(*[column[0] if len(set(column)) == 1 else UNKNOWN for column in columns])


def _kept(before: dict[KeyT, ValueT], now: dict[KeyT, ValueT]) -> dict[KeyT, ValueT]:
    """Return both; of what is gone, as much as came last."""
    gone = {key: value for key, value in before.items() if key not in now}
    for key in list(gone)[: max(0, len(gone) - _SPARE)]:
        del gone[key]
    return {**gone, **now}
