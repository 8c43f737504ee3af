"""A gateway's pod: its one container is the proxy, filled in by the injector as Istio's template ``gateway`` does it.

The author writes a container ``istio-proxy`` with the image ``auto`` and what they care about (resources, ports,
environment); the injector adds the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mesh.api.names import ISTIO_PROXY_CONTAINER
from mesh.inject.choice import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TEMPLATES_ANNOTATION", "fill_gateway", "is_gateway"]

TEMPLATES_ANNOTATION: Final = "inject.istio.io/templates"
_TEMPLATE: Final = "gateway"
_AUTO: Final = "auto"


def is_gateway(metadata: Mapping[str, Any]) -> bool:
    """Say whether a pod asks to be a gateway.

    Raises:
        RefusedError: It asks for another template.
    """
    wanted = (metadata.get("annotations") or {}).get(TEMPLATES_ANNOTATION)
    if wanted not in {None, _TEMPLATE, "sidecar"}:
        raise RefusedError(f"metadata.annotations[{TEMPLATES_ANNOTATION}] is {wanted!r}: write {_TEMPLATE} or sidecar")
    return wanted == _TEMPLATE


def fill_gateway(
    spec: Mapping[str, Any], proxy: Mapping[str, Any], drain_seconds: int
) -> tuple[int, dict[str, Any], list[str]]:
    """Return the index of the proxy's container, the container, and warnings.

    Args:
        spec: The pod's.
        proxy: A sidecar's container.
        drain_seconds: How long the proxy keeps serving when it is told to end, while callers learn that it goes.

    Raises:
        RefusedError: There is no such container.
    """
    containers = spec.get("containers") or []
    index = next((i for i, c in enumerate(containers) if c["name"] == ISTIO_PROXY_CONTAINER), None)
    if index is None:
        raise RefusedError(f"a gateway's pod needs a container called {ISTIO_PROXY_CONTAINER} with the image {_AUTO}")
    own = containers[index]
    warnings = [
        f"container {ISTIO_PROXY_CONTAINER}: {name} has no effect, the proxy has its own"
        for name in ("command", "args")
        if own.get(name)
    ]
    filled = {k: v for k, v in proxy.items() if k not in {"name", "restartPolicy", "startupProbe"}}
    named = {e["name"] for e in proxy["env"]}
    filled |= {k: v for k, v in own.items() if k not in {"command", "args", "env", "volumeMounts", "image"}}
    filled["env"] = [*proxy["env"], *(e for e in own.get("env") or [] if e["name"] not in named)]
    filled["volumeMounts"] = [*(own.get("volumeMounts") or []), *proxy["volumeMounts"]]
    filled["image"] = proxy["image"] if own.get("image") in {None, _AUTO} else own["image"]
    if drain_seconds and not (own.get("lifecycle") or {}).get("preStop"):
        filled["lifecycle"] = {**(own.get("lifecycle") or {}), "preStop": {"sleep": {"seconds": drain_seconds}}}
    return index, filled, warnings
