"""Objects of a local cluster as the API server has them, read over one connection.

Tests that wait look some times a second; each call of kubectl would cost a fifth of a second of processor time.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from coalmine.local.cluster import LocalCluster

__all__ = ["Objects"]

_PATHS: Final = {
    "configmap": ("api/v1", "configmaps"),
    "pod": ("api/v1", "pods"),
    "resourcequota": ("api/v1", "resourcequotas"),
    "secret": ("api/v1", "secrets"),
    "service": ("api/v1", "services"),
    "deployment": ("apis/apps/v1", "deployments"),
    "replicaset": ("apis/apps/v1", "replicasets"),
    "pdb": ("apis/policy/v1", "poddisruptionbudgets"),
    "rollout": ("apis/coalmine.dev/v1alpha1", "rollouts"),
    "trafficsplit": ("apis/mesh.coalmine.dev/v1alpha1", "trafficsplits"),
    "gateway": ("apis/gateway.networking.k8s.io/v1", "gateways"),
    "httproute": ("apis/gateway.networking.k8s.io/v1", "httproutes"),
    "event": ("apis/events.k8s.io/v1", "events"),
}
_NOT_FOUND: Final = 404


class Objects:
    """Reads as the cluster's admin."""

    def __init__(self, cluster: LocalCluster) -> None:
        pki = cluster.layout.pki
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._kubectl = cluster.kubectl()
        self._client = httpx.Client(base_url=cluster.server, verify=context, trust_env=False, timeout=30.0)

    def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an object; None where there is none of that name."""
        return self._read(kind, namespace, f"/{name}")

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """Return an object.

        Raises:
            LookupError: There is none of that name.
        """
        found = self.find(kind, namespace, name)
        if found is None:
            raise LookupError(f"{kind} {namespace}/{name} not found")
        return found

    def all(self, kind: str, namespace: str, *, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        """Return all of a kind in a namespace, or those that selectors as kubectl's -l and --field-selector choose."""
        found = self._read(kind, namespace, "", labelSelector=labels, fieldSelector=fields)
        assert found is not None, f"{kind}: this cluster does not have that kind"
        items: list[dict[str, Any]] = found["items"]
        return items

    def pods(self, namespace: str, labels: str) -> list[dict[str, Any]]:
        """Return the pods with these labels that nobody has deleted yet."""
        return [p for p in self.all("pod", namespace, labels=labels) if "deletionTimestamp" not in p["metadata"]]

    def events(self, namespace: str, reason: str) -> list[dict[str, Any]]:
        """Wait until there are Events of a reason, and return them."""
        told = f"reason={reason}"
        self._kubectl("wait", "event", "-n", namespace, f"--field-selector={told}", "--for=create", "--timeout=120s")
        return self.all("event", namespace, fields=told)

    def log(self, namespace: str, pod: str, container: str) -> str:
        """Return what a container has written."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        return self._client.get(path, params={"container": container}).raise_for_status().text

    def close(self) -> None:
        self._client.close()

    def _read(self, kind: str, namespace: str, rest: str, **params: str) -> dict[str, Any] | None:
        root, plural = _PATHS[kind]
        answer = self._client.get(f"/{root}/namespaces/{namespace}/{plural}{rest}", params=params)
        if answer.status_code == _NOT_FOUND:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
