"""Probes of a captured pod, rewritten to the sidecar's probe port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mesh.api.names import PROBE_PORT
from mesh.proxy.probes import GRPC_PATH, AppProbe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["KEEP_ANNOTATION", "Rewritten", "rewrite_probes"]

KEEP_ANNOTATION: Final = "sidecar.istio.io/rewriteAppHTTPProbers"
"""On a pod: ``false`` leaves its probes as they are."""
_PROBES: Final = {"startupProbe": "startupz", "livenessProbe": "livez", "readinessProbe": "readyz"}
_HOOKS: Final = {"postStart": "poststartz", "preStop": "prestopz"}
Rewritten = tuple[list[tuple[str, dict[str, Any]]], list[AppProbe], list[str]]
"""Paths below the pod's spec with what belongs there, what the sidecar must pass on, and warnings."""


def rewrite_probes(spec: Mapping[str, Any], captured: Callable[[int], bool]) -> Rewritten:
    """Return a pod's probes and lifecycle hooks, as the kubelet is to use them.

    Those of kind ``exec``, those that name a host of their own, and those of ports that are not captured stay.

    Args:
        spec: The pod's.
        captured: Says whether calls to a port are captured.
    """
    changes: list[tuple[str, dict[str, Any]]] = []
    probes: list[AppProbe] = []
    warnings: list[str] = []
    grpc: set[int] = set()
    for path, container, handler, name in _handlers(spec):
        found = _app_probe(container, handler, f"/app-health/{container['name']}/{name}")
        if found is None or not captured(found.port):
            continue
        if found.kind == "GRPC":
            grpc.add(found.port)
            if len(grpc) > 1:
                warnings.append(
                    f"container {container['name']}: its gRPC probe asks a second port ({found.port}), which is not "
                    "rewritten: under STRICT it fails; use one port for gRPC probes"
                )
                grpc.remove(found.port)
                continue
        changes.append((path, _rewritten(handler, found)))
        if found not in probes:
            probes.append(found)
    return changes, probes, warnings


def _handlers(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], dict[str, Any], str]]:
    """Yield path, container, the probe or hook, and its name in the sidecar's paths."""
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or []):
            for field, name in _PROBES.items():
                if handler := container.get(field):
                    yield f"{kind}/{index}/{field}", container, handler, name
            for field, name in _HOOKS.items():
                if handler := (container.get("lifecycle") or {}).get(field):
                    yield f"{kind}/{index}/lifecycle/{field}", container, handler, name


def _app_probe(container: Mapping[str, Any], handler: Mapping[str, Any], path: str) -> AppProbe | None:
    seconds = int(handler.get("timeoutSeconds") or 1)
    if http := handler.get("httpGet"):
        port = _port(container, http.get("port"))
        if port is None or http.get("host"):
            return None
        kind: Any = "HTTPS" if str(http.get("scheme", "HTTP")).upper() == "HTTPS" else "HTTP"
        return AppProbe(path, kind, port, urlsplit(http.get("path") or "/").path or "/")
    if tcp := handler.get("tcpSocket"):
        port = _port(container, tcp.get("port"))
        return None if port is None or tcp.get("host") else AppProbe(path, "TCP", port, seconds=seconds)
    if grpc := handler.get("grpc"):
        return AppProbe(GRPC_PATH, "GRPC", int(grpc["port"]))
    return None


def _rewritten(handler: Mapping[str, Any], probe: AppProbe) -> dict[str, Any]:
    rest = {key: value for key, value in handler.items() if key not in {"httpGet", "tcpSocket", "grpc"}}
    if probe.kind == "GRPC":
        return {**rest, "grpc": {**handler["grpc"], "port": PROBE_PORT}}
    if probe.kind == "TCP":
        return {**rest, "httpGet": {"path": probe.path, "port": PROBE_PORT}}
    http = handler["httpGet"]
    query = urlsplit(http.get("path") or "/").query
    kept = {key: value for key, value in http.items() if key not in {"scheme", "path", "port"}}
    return {**rest, "httpGet": {**kept, "path": probe.path + (f"?{query}" if query else ""), "port": PROBE_PORT}}


def _port(container: Mapping[str, Any], port: Any) -> int | None:
    """Return the number of a port, which may be named; None for a name that the container does not declare."""
    if isinstance(port, int):
        return port
    named = (p["containerPort"] for p in container.get("ports") or [] if p.get("name") == port)
    return next(named, int(port) if isinstance(port, str) and port.isdecimal() else None)
