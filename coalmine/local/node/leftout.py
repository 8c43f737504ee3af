"""Fields of a pod that a node with containers would heed and this one does not. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["left_out"]

_POD_FIELDS: Final = ("securityContext", "hostAliases", "dnsConfig", "affinity", "topologySpreadConstraints", "os")
_CONTAINER_FIELDS: Final = ("securityContext", "stdin", "tty", "volumeDevices")


def left_out(pod: Mapping[str, Any]) -> list[str]:
    """Name what the local node does not apply of a pod, so that nobody takes it for granted."""
    spec = pod["spec"]
    found = [f"spec.{field}" for field in _POD_FIELDS if spec.get(field)]
    for kind in ("initContainers", "containers"):
        for container in spec.get(kind) or ():
            where = f"{kind}[{container['name']}]"
            found += [f"{where}.{field}" for field in _CONTAINER_FIELDS if container.get(field)]
            if (container.get("resources") or {}).get("limits"):
                found.append(f"{where}.resources.limits")
            if (container.get("lifecycle") or {}).get("stopSignal"):
                found.append(f"{where}.lifecycle.stopSignal")
            if any(port.get("hostPort") for port in container.get("ports") or ()) and not spec.get("hostNetwork"):
                found.append(f"{where}.ports.hostPort")
    return found + (["spec.ephemeralContainers"] if spec.get("ephemeralContainers") else [])
