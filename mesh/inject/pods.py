"""The sidecar in a pod: which pods get one, and the JSON Patch that adds it. Pure."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from mesh.api.capture import CAPTURE_PREFIX, CaptureSettings, read_capture, unknown_capture
from mesh.api.names import (
    ADMIN_PORT,
    GATEWAY_ROLE,
    INBOUND_EXTRA_PORT,
    INBOUND_PORT,
    INIT_CONTAINER,
    INJECT_LABEL,
    ISTIO_PROXY_CONTAINER,
    METRICS_PORT,
    OUTBOUND_PORT,
    PROBE_PORT,
    PROXY_CONTAINER,
    PROXY_UID,
    READY_PORT,
    STATUS_ANNOTATION,
)
from mesh.inject.choice import RefusedError, pod_choice
from mesh.inject.gateways import fill_gateway, is_gateway
from mesh.inject.probes import KEEP_ANNOTATION, rewrite_probes
from mesh.inject.proxyenv import proxy_environment
from mesh.inject.rules import init_container
from mesh.proxy.bootstrap import READY_PATH, ProxySettings, bootstrap, envoy_args
from mesh.proxy.identityfiles import MOUNT, VOLUME, volume, volume_mount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.ir.views import Capture
    from mesh.proxy.probes import AppProbe

__all__ = [
    "INIT_IMAGE",
    "INJECTED",
    "IPTABLES_RESTORE",
    "PROXY_IMAGE",
    "STATUS_ANNOTATION",
    "InjectConfig",
    "Injection",
    "RefusedError",
    "inject",
]

INJECTED: Final = "injected"
PROXY_IMAGE: Final = "docker.io/envoyproxy/envoy:distroless-v1.40.0"
INIT_IMAGE: Final = "registry.k8s.io/build-image/distroless-iptables:v0.9.1"
"""What Kubernetes' own kube-proxy stands on: a shell and iptables, which finds out whether nft or legacy is used."""
IPTABLES_RESTORE: Final = "iptables-restore"
_SINGLE_PORTS: Final = {ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, READY_PORT}
_DEFAULT_GRACE: Final = 30
_USER: Final = {"runAsGroup": PROXY_UID, "runAsNonRoot": True, "runAsUser": PROXY_UID}


@dataclass(frozen=True, slots=True)
class InjectConfig:
    """What the injector adds.

    Attributes:
        xds_address: ``host:port`` of the control plane as pods reach it.
        capture: ``env`` sets ``http_proxy`` in the app's containers; ``iptables`` redirects the pod's packets.
        envoy: The sidecar's command.
        image: The sidecar's image.
        init_image: Image of the init container that redirects packets.
        iptables_restore: Its ``iptables-restore`` command.
        drain_seconds: How long an app that is told to end keeps serving first, while the callers' proxies learn that it
            goes; 0 adds no such wait.
        log_level: Envoy's log level.
        mount_root: What precedes the paths of mounted files: empty in containers, whose file system is their own.
    """

    xds_address: str
    capture: Capture = "env"
    envoy: str = "envoy"
    image: str = PROXY_IMAGE
    init_image: str = INIT_IMAGE
    iptables_restore: str = IPTABLES_RESTORE
    drain_seconds: int = 3
    log_level: str = "warning"
    mount_root: str = ""


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
    if pod_choice(metadata) is False or _has_sidecar(metadata, spec):
        return Injection()
    if is_gateway(metadata):
        return _gateway(metadata, spec, config)
    _check(spec, config)
    if any(c["name"] == ISTIO_PROXY_CONTAINER for c in _all_containers(spec)):
        return Injection(warnings=("the pod has Istio's sidecar already: it gets none of ours",))
    changed = copy.deepcopy(spec)
    if config.capture == "iptables":
        added, warnings = _captured(metadata, changed, config)
    else:
        added, warnings = _proxied(metadata, changed, config)
    drains = [_drain(container, spec, config) for container in changed.get("containers") or []]
    operations = [_annotate(metadata), _set("/spec/initContainers", [*added, *(changed.get("initContainers") or [])])]
    operations.append(_set("/spec/volumes", [*(spec.get("volumes") or []), volume()]))
    for index, container in enumerate(spec.get("containers") or []):
        operations += _differences(f"/spec/containers/{index}", container, changed["containers"][index])
    if any(drains):
        operations.append(_set("/spec/terminationGracePeriodSeconds", _grace(spec) + config.drain_seconds))
    return Injection(tuple(operations), tuple(warnings))


def _gateway(metadata: dict[str, Any], spec: dict[str, Any], config: InjectConfig) -> Injection:
    """Fill in the proxy of a pod that is a gateway."""
    if any(known["name"] == VOLUME for known in spec.get("volumes") or []):
        raise RefusedError(f"a volume of the pod is called {VOLUME}, the proxy's name: give it another one")
    proxy = _sidecar(config, role="router")
    index, container, warnings = fill_gateway(spec, proxy, config.drain_seconds if _grace(spec) else 0)
    operations = [
        _annotate(metadata, GATEWAY_ROLE),
        {"op": "replace", "path": f"/spec/containers/{index}", "value": container},
    ]
    operations.append(_set("/spec/volumes", [*(spec.get("volumes") or []), volume()]))
    return Injection(tuple(operations), tuple(warnings))


def _proxied(metadata: Mapping[str, Any], spec: dict[str, Any], config: InjectConfig) -> tuple[list[Any], list[str]]:
    """Point the containers at the sidecar; return what goes before the init containers, and warnings."""
    warnings = []
    for container in spec.get("containers") or []:
        environment, warning = proxy_environment(container)
        if environment is not None:
            container["env"] = environment
        if warning:
            warnings.append(warning)
    moot = sorted(key for key in metadata.get("annotations") or {} if key.startswith(CAPTURE_PREFIX))
    warnings += [f"metadata.annotations[{key}] has no effect without capture by iptables" for key in moot]
    return [_sidecar(config)], warnings


def _captured(metadata: Mapping[str, Any], spec: dict[str, Any], config: InjectConfig) -> tuple[list[Any], list[str]]:
    """Point the probes at the sidecar; return what goes before the init containers, and warnings."""
    annotations = metadata.get("annotations") or {}
    try:
        settings = read_capture(annotations)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    warnings = [f"metadata.annotations[{name}] is not implemented: no effect" for name in unknown_capture(annotations)]
    probes: list[AppProbe] = []
    if annotations.get(KEEP_ANNOTATION) != "false":
        probes = _redirect_probes(spec, settings, warnings)
    return [init_container(settings, config.init_image, config.iptables_restore), _sidecar(config, probes)], warnings


def _redirect_probes(spec: dict[str, Any], settings: CaptureSettings, warnings: list[str]) -> list[AppProbe]:
    changes, probes, told = rewrite_probes(spec, settings.takes)
    warnings += told
    for path, value in changes:
        *parents, last = path.split("/")
        node: Any = spec
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node[part]
        node[last] = value
    return probes


def _differences(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_set(f"{path}/{key}", value) for key, value in after.items() if before.get(key) != value]


def _all_containers(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [c for kind in ("initContainers", "containers") for c in spec.get(kind) or []]


def _set(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}  # "add" replaces what is there


def _has_sidecar(metadata: dict[str, Any], spec: dict[str, Any]) -> bool:
    if (metadata.get("annotations") or {}).get(STATUS_ANNOTATION) == GATEWAY_ROLE:
        return True
    named = [c["name"] for c in _all_containers(spec) if c["name"] in {PROXY_CONTAINER, INIT_CONTAINER}]
    if not named:
        return False
    if (metadata.get("annotations") or {}).get(STATUS_ANNOTATION) == INJECTED:
        return True
    raise RefusedError(f"a container of the pod is called {named[0]}, a name of the mesh's: give it another one")


def _check(spec: dict[str, Any], config: InjectConfig) -> None:
    if spec.get("hostNetwork"):
        raise RefusedError(
            "spec.hostNetwork: true: the sidecar's ports would be the node's; "
            f"set it to false, or label the pod {INJECT_LABEL}: disabled"
        )
    if any(known["name"] == VOLUME for known in spec.get("volumes") or []):
        raise RefusedError(f"a volume of the pod is called {VOLUME}, the sidecar's name: give it another one")
    ports = [
        (container["name"], port["containerPort"])
        for container in (*(spec.get("containers") or []), *(spec.get("initContainers") or []))
        for port in container.get("ports") or []
        if port.get("protocol", "TCP") == "TCP"
    ]
    if config.capture == "iptables":
        reserved = _SINGLE_PORTS | {PROBE_PORT, METRICS_PORT}
        _check_user(spec)
    else:
        reserved = _SINGLE_PORTS | set(range(INBOUND_EXTRA_PORT, INBOUND_EXTRA_PORT + len(ports)))
    for name, port in ports:
        if port in reserved:
            raise RefusedError(f"container {name} declares port {port}, which the sidecar needs: use another one")


def _check_user(spec: dict[str, Any]) -> None:
    """What runs as the sidecar's user is not captured."""
    contexts = [("spec.securityContext", spec.get("securityContext"))]
    contexts += [(f"container {c['name']}: securityContext", c.get("securityContext")) for c in _all_containers(spec)]
    for where, context in contexts:
        if (context or {}).get("runAsUser") == PROXY_UID:
            raise RefusedError(f"{where}.runAsUser is {PROXY_UID}, the sidecar's user: use another one")


def _annotate(metadata: dict[str, Any], made: str = INJECTED) -> dict[str, Any]:
    if metadata.get("annotations"):
        return _set(f"/metadata/annotations/{STATUS_ANNOTATION.replace('/', '~1')}", made)
    return _set("/metadata/annotations", {STATUS_ANNOTATION: made})


def _sidecar(
    config: InjectConfig, probes: Sequence[AppProbe] = (), role: Literal["sidecar", "router"] = "sidecar"
) -> dict[str, Any]:
    """A native sidecar: it starts before the app and ends after it."""
    folder = config.mount_root + MOUNT
    settings = ProxySettings(config.xds_address, config.capture, log_level=config.log_level, identity=folder, role=role)
    ready = {"httpGet": {"path": READY_PATH, "port": READY_PORT}, "timeoutSeconds": 1}
    return {
        "name": PROXY_CONTAINER,
        "image": config.image,
        "restartPolicy": "Always",
        "command": [config.envoy],
        "args": [
            "--config-yaml",
            json.dumps(bootstrap(settings, probes=probes), separators=(",", ":")),
            *envoy_args(settings),
        ],
        "env": [
            *(
                {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
                for name, path in (
                    ("POD_IP", "status.podIP"),
                    ("POD_NAME", "metadata.name"),
                    ("POD_NAMESPACE", "metadata.namespace"),
                )
            ),
            # What spans say of the pod; the rest comes with the listeners (mesh.xds.tracing).
            {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "k8s.pod.name=$(POD_NAME)"},
        ],
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {**ready, "periodSeconds": 5, "failureThreshold": 3},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [volume_mount()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            **(_USER if config.capture == "iptables" else {}),
        },
    }


def _grace(spec: dict[str, Any]) -> int:
    grace = spec.get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE if grace is None else int(grace)


def _drain(container: dict[str, Any], spec: dict[str, Any], config: InjectConfig) -> bool:
    """Keep the app serving until no caller sends to it; return whether that was needed.

    A pod that wants to be gone at once (no grace period) and an app that waits by itself are left alone.
    """
    lifecycle = container.get("lifecycle") or {}
    if not config.drain_seconds or not _grace(spec) or lifecycle.get("preStop"):
        return False
    container["lifecycle"] = {**lifecycle, "preStop": {"sleep": {"seconds": config.drain_seconds}}}
    return True
