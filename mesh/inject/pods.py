"""The sidecar in a pod: which pods get one, and the JSON Patch that adds it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mesh.api.names import (
    ADMIN_PORT,
    INBOUND_EXTRA_PORT,
    INBOUND_PORT,
    INJECT_LABEL,
    OUTBOUND_PORT,
    PROXY_CONTAINER,
    READY_PORT,
)
from mesh.inject.proxyenv import proxy_environment
from mesh.proxy.bootstrap import READY_PATH, ProxySettings, bootstrap, envoy_args

if TYPE_CHECKING:
    from mesh.ir.views import Capture

__all__ = ["INJECTED", "STATUS_ANNOTATION", "InjectConfig", "Injection", "RefusedError", "inject"]

STATUS_ANNOTATION: Final = "coalmine.dev/status"
INJECTED: Final = "injected"
_DISABLED: Final = "disabled"
_ENABLED: Final = "enabled"
_SINGLE_PORTS: Final = {ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, READY_PORT}
_DEFAULT_GRACE: Final = 30


class RefusedError(ValueError):
    """The pod cannot be in the mesh as it is; the message names the field and what to do."""


@dataclass(frozen=True, slots=True)
class InjectConfig:
    """What the injector adds.

    Attributes:
        xds_address: ``host:port`` of the control plane as pods reach it.
        capture: ``env`` sets ``http_proxy`` in the app's containers.
        envoy: The sidecar's command.
        image: The sidecar's image.
        drain_seconds: How long an app that is told to end keeps serving first, while the callers' proxies learn that it
            goes; 0 adds no such wait.
        log_level: Envoy's log level.
    """

    xds_address: str
    capture: Capture = "env"
    envoy: str = "envoy"
    image: str = "docker.io/envoyproxy/envoy:distroless-v1.40.0"
    drain_seconds: int = 3
    log_level: str = "warning"


@dataclass(frozen=True, slots=True)
class Injection:
    """The answer for one pod.

    Attributes:
        patch: JSON Patch operations; empty where nothing is to be done.
        warnings: Shown to who created the pod.
    """

    patch: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = field(default=())


def inject(pod: dict[str, Any], config: InjectConfig) -> Injection:
    """Return what gives the pod its sidecar.

    A pod that opted out or has its sidecar already stays as it is.

    Args:
        pod: The Pod as the API server sends it to admission.
        config: What to add.

    Raises:
        RefusedError: The pod asks for a sidecar and cannot have one.
    """
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    if _opted_out(metadata) or _has_sidecar(metadata, spec):
        return Injection()
    _check(spec, config)
    operations = [_annotate(metadata)]
    sidecars = [_sidecar(config), *(spec.get("initContainers") or [])]
    operations.append(_set("/spec/initContainers", sidecars))
    warnings: list[str] = []
    drains = False
    for index, container in enumerate(spec.get("containers") or []):
        path = f"/spec/containers/{index}"
        environment, warning = proxy_environment(container)
        if environment is not None:
            operations.append(_set(f"{path}/env", environment))
        if warning:
            warnings.append(warning)
        if (lifecycle := _drain(container, spec, config)) is not None:
            drains = True
            operations.append(_set(f"{path}/lifecycle", lifecycle))
    if drains:
        operations.append(_set("/spec/terminationGracePeriodSeconds", _grace(spec) + config.drain_seconds))
    return Injection(tuple(operations), tuple(warnings))


def _set(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}  # "add" replaces what is there


def _opted_out(metadata: dict[str, Any]) -> bool:
    choices = {
        f"metadata.{kind}[{INJECT_LABEL}]": value
        for kind in ("labels", "annotations")
        if (value := (metadata.get(kind) or {}).get(INJECT_LABEL)) is not None
    }
    for where, value in choices.items():
        if value not in {_ENABLED, _DISABLED}:
            raise RefusedError(f"{where} is {value!r}: write {_ENABLED} or {_DISABLED}")
    return _DISABLED in choices.values()


def _has_sidecar(metadata: dict[str, Any], spec: dict[str, Any]) -> bool:
    named = [
        c for kind in ("initContainers", "containers") for c in spec.get(kind) or [] if c["name"] == PROXY_CONTAINER
    ]
    if not named:
        return False
    if (metadata.get("annotations") or {}).get(STATUS_ANNOTATION) == INJECTED:
        return True
    raise RefusedError(f"a container of the pod is called {PROXY_CONTAINER}, the sidecar's name: give it another one")


def _check(spec: dict[str, Any], config: InjectConfig) -> None:
    if config.capture == "iptables":
        raise RefusedError(
            "capture by iptables is not implemented yet: run `coalmine mesh serve --capture env`, "
            f"or label the pod {INJECT_LABEL}: {_DISABLED}"
        )
    if spec.get("hostNetwork"):
        raise RefusedError(
            "spec.hostNetwork: true: the sidecar's ports would be the node's; "
            f"set it to false, or label the pod {INJECT_LABEL}: {_DISABLED}"
        )
    ports = [
        (container["name"], port["containerPort"])
        for container in (*(spec.get("containers") or []), *(spec.get("initContainers") or []))
        for port in container.get("ports") or []
        if port.get("protocol", "TCP") == "TCP"
    ]
    reserved = _SINGLE_PORTS | set(range(INBOUND_EXTRA_PORT, INBOUND_EXTRA_PORT + len(ports)))
    for name, port in ports:
        if port in reserved:
            raise RefusedError(f"container {name} declares port {port}, which the sidecar needs: use another one")


def _annotate(metadata: dict[str, Any]) -> dict[str, Any]:
    if metadata.get("annotations"):
        return _set(f"/metadata/annotations/{STATUS_ANNOTATION.replace('/', '~1')}", INJECTED)
    return _set("/metadata/annotations", {STATUS_ANNOTATION: INJECTED})


def _sidecar(config: InjectConfig) -> dict[str, Any]:
    """A native sidecar: it starts before the app and ends after it."""
    settings = ProxySettings(config.xds_address, config.capture, log_level=config.log_level)
    ready = {"httpGet": {"path": READY_PATH, "port": READY_PORT}, "timeoutSeconds": 1}
    return {
        "name": PROXY_CONTAINER,
        "image": config.image,
        "restartPolicy": "Always",
        "command": [config.envoy],
        "args": ["--config-yaml", json.dumps(bootstrap(settings), separators=(",", ":")), *envoy_args(settings)],
        "env": [
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in (
                ("POD_IP", "status.podIP"),
                ("POD_NAME", "metadata.name"),
                ("POD_NAMESPACE", "metadata.namespace"),
            )
        ],
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {**ready, "periodSeconds": 5, "failureThreshold": 3},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
    }


def _grace(spec: dict[str, Any]) -> int:
    grace = spec.get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE if grace is None else int(grace)


def _drain(container: dict[str, Any], spec: dict[str, Any], config: InjectConfig) -> dict[str, Any] | None:
    """Return a lifecycle that keeps the app serving until no caller sends to it, or None to leave it as it is.

    A pod that wants to be gone at once (no grace period) and an app that waits by itself are left alone.
    """
    lifecycle = container.get("lifecycle") or {}
    if not config.drain_seconds or not _grace(spec) or lifecycle.get("preStop"):
        return None
    return {**lifecycle, "preStop": {"sleep": {"seconds": config.drain_seconds}}}
