"""The Secrets that gateways may show, where whoever asks may read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.resolve.objects import read_pod
from mesh.resolve.problems import ref_of
from mesh.wiring.gatewaysecrets import ScopedKind, read_credential
from mesh.wiring.kinds import SECRETS
from mesh.wiring.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh.ir.gateways import Credential
    from mesh.ir.services import ServiceKey
    from mesh.wiring.kube import Kube

__all__ = ["gateway_secrets"]


async def gateway_secrets(kube: Kube, manifests: Iterable[dict[str, Any]]) -> dict[ServiceKey, Credential] | None:
    """Return the certificates in the namespaces that gateways have theirs in; None where they may not be read.

    Args:
        kube: The client.
        manifests: All objects of the cluster.
    """
    wanted = set[str]()
    for manifest in manifests:
        if manifest["kind"] == "Pod" and (pod := read_pod(manifest)).gateway:
            wanted.add(pod.namespace)
        elif manifest["kind"] == "Gateway":
            wanted |= _referred(manifest)
    found: dict[ServiceKey, Credential] = {}
    try:
        for namespace in sorted(wanted):
            for secret in (await kube.list_all(ScopedKind.of(SECRETS, namespace)))[0]:
                if credential := read_credential(secret):
                    ref = ref_of(secret)
                    found[ref.namespace, ref.name] = credential
    except KubeError:
        return None
    return found


def _referred(gateway: dict[str, Any]) -> set[str]:
    """Return the namespaces of the Secrets that a Gateway of the Gateway API refers to."""
    listeners = (gateway.get("spec") or {}).get("listeners") or ()
    refs = [ref for x in listeners for ref in (x.get("tls") or {}).get("certificateRefs") or ()]
    return {ref.get("namespace") or gateway["metadata"]["namespace"] for ref in refs}
