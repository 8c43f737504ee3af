"""Services and Pods as the Kubernetes API serves them, read into the intermediate representation."""

from __future__ import annotations

import re
from typing import Any, Final

from mesh.api.capture import read_capture
from mesh.api.names import GATEWAY_ROLE, INIT_CONTAINER, PROXY_CONTAINER, STATUS_ANNOTATION
from mesh.ir.services import ContainerPort, Protocol, Service, ServicePort, Workload
from mesh.resolve.kinds import ROUTES_ANNOTATION

__all__ = ["EGRESS_ANNOTATION", "read_pod", "read_service", "version_of"]

EGRESS_ANNOTATION: Final = "mesh.coalmine.dev/egress"
"""On a pod: the hosts that it calls, with commas. Its sidecar then knows only those; without it, all."""

_CRON_JOB: Final = re.compile(r"(.+)-\d{8,10}")
_TCP: Final = frozenset({"tcp", "tls", "https", "mongo", "mysql", "redis", "postgres"})
"""Names (Istio's convention) of protocols that are not HTTP in the clear."""
_VERSION_LABELS: Final = (
    "service.istio.io/canonical-revision",
    "app.kubernetes.io/version",
    "version",
    "pod-template-hash",
)


def read_service(manifest: dict[str, Any]) -> Service:
    """Return a Service; ports that are not TCP are left out, since the mesh carries none of them."""
    meta, spec = manifest["metadata"], manifest.get("spec", {})
    ips = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return Service(
        namespace=meta["namespace"],
        name=meta["name"],
        ports=tuple(
            ServicePort(
                name=p.get("name", ""),
                port=p["port"],
                target=p.get("targetPort", p["port"]),
                protocol=_protocol(p.get("appProtocol") or p.get("name", "")),
            )
            for p in spec.get("ports") or ()
            if p.get("protocol", "TCP") == "TCP"
        ),
        selector=tuple(sorted((spec.get("selector") or {}).items())),
        addresses=tuple(ip for ip in ips if ip and ip != "None"),
        uid=meta.get("uid", ""),
        kinds=(meta.get("annotations") or {}).get(ROUTES_ANNOTATION, ""),
    )


def read_pod(manifest: dict[str, Any]) -> Workload:
    """Return a Pod as a workload."""
    meta, spec, status = manifest["metadata"], manifest.get("spec", {}), manifest.get("status", {})
    containers = spec.get("containers") or []
    every = [*(spec.get("initContainers") or []), *containers]
    annotations = meta.get("annotations") or {}
    egress = annotations.get(EGRESS_ANNOTATION)
    captured = any(c["name"] == INIT_CONTAINER for c in every)
    gateway = annotations.get(STATUS_ANNOTATION) == GATEWAY_ROLE
    return Workload(
        namespace=meta["namespace"],
        name=meta["name"],
        address=status.get("podIP", ""),
        labels=tuple(sorted((meta.get("labels") or {}).items())),
        ports=tuple(
            ContainerPort(name=p.get("name", ""), number=p["containerPort"], protocol=_protocol(p.get("name", "")))
            for c in containers
            if c["name"] != PROXY_CONTAINER
            for p in c.get("ports") or ()
            if p.get("protocol", "TCP") == "TCP"
        ),
        node=spec.get("nodeName", ""),
        phase=status.get("phase", "Pending"),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()),
        terminating="deletionTimestamp" in meta,
        meshed=gateway or any(c["name"] == PROXY_CONTAINER for c in every),
        service_account=spec.get("serviceAccountName") or "default",
        egress=None if egress is None else tuple(sorted({h.strip() for h in egress.split(",") if h.strip()})),
        captured=captured,
        bypassed=_bypassed(annotations, containers) if captured else frozenset(),
        gateway=gateway,
        owner=_owner(meta),
        host=status.get("hostIP", ""),
    )


def _owner(meta: dict[str, Any]) -> tuple[str, str]:
    """Return kind and name of what made a pod.

    A CronJob's Jobs are called after it and the minute, so that the pods tell it without a look at Jobs.
    """
    owner = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
    if owner is None:
        return ("", "")
    kind, name = owner["kind"], owner["name"]
    template = (meta.get("labels") or {}).get("pod-template-hash")
    if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
        return "Deployment", name.removesuffix(f"-{template}")
    if kind == "Job" and (found := _CRON_JOB.fullmatch(name)):
        return "CronJob", found[1]
    return kind, name


def _bypassed(annotations: dict[str, str], containers: list[dict[str, Any]]) -> frozenset[int]:
    """Return the ports that callers reach without the sidecar."""
    try:
        settings = read_capture(annotations)
    except ValueError:  # the injector had refused it: changed afterwards, which changes nothing
        return frozenset()
    declared = {p["containerPort"] for c in containers for p in c.get("ports") or ()}
    return frozenset(n for n in {*declared, *settings.inbound_ports_excluded} if not settings.takes(n))


def version_of(labels: tuple[tuple[str, str], ...]) -> str:
    """Return the version that a pod's labels tell; empty when they tell none."""
    known = dict(labels)
    return next((known[name] for name in _VERSION_LABELS if known.get(name)), "")


def _protocol(name: str) -> Protocol:
    return "tcp" if name.split("-", 1)[0].lower() in _TCP else "http"
