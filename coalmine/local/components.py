"""How each component is started: its command line, its environment, and when it is ready. No I/O."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coalmine.local.layout import APISERVER, CONTROLLER, ETCD, KCM, MESH, NODE, Layout
from coalmine.local.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["GRACE_SECONDS", "NODE_NAME", "SERVICE_CIDR", "Programs", "commands", "service_address"]

NODE_NAME: Final = "local"
SERVICE_CIDR: Final = "10.96.0.0/16"
GRACE_SECONDS: Final[Mapping[str, float]] = {ETCD: 5, APISERVER: 5, KCM: 5, MESH: 10, NODE: 10, CONTROLLER: 10}
"""Seconds from SIGTERM to SIGKILL."""

_CONTROLLERS_OFF: Final = (
    # EndpointSlices refuse addresses of 127/8.
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    # A laptop that sleeps must not lose its pods when it wakes; there is no other node that they could go to.
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "device-taint-eviction-controller",
    # There is no cloud, no storage and no kubelet that asks for certificates.
    "cloud-node-lifecycle-controller",
    "node-ipam-controller",
    "node-route-controller",
    "service-lb-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-expander-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "volumeattributesclass-protection-controller",
    "ephemeral-volume-controller",
    "resourceclaim-controller",
    "resourcepoolstatusrequest-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "certificatesigningrequest-signing-controller",
    "podcertificaterequest-cleaner-controller",
    "ttl-controller",
)


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of what is started.

    Attributes:
        python: The interpreter, with the arguments that precede the module's name.
    """

    etcd: Path
    apiserver: Path
    controller_manager: Path
    envoy: Path | None
    python: tuple[str, ...]


def service_address() -> str:
    """Return the cluster IP of the Service ``kubernetes``: the range's first."""
    return str(ipaddress.ip_network(SERVICE_CIDR)[1])


def commands(layout: Layout, settings: Settings, programs: Programs) -> dict[str, tuple[str, ...]]:
    """Return the command line of every component."""
    coalmine = (*programs.python, "coalmine")
    return {
        ETCD: (str(programs.etcd), *_etcd(layout, settings)),
        APISERVER: (str(programs.apiserver), *_apiserver(layout, settings)),
        KCM: (str(programs.controller_manager), *_controller_manager(layout, settings)),
        NODE: (*coalmine, "local", "node", *_node(layout, settings)),
        MESH: (*coalmine, "mesh", "serve", *_mesh(layout, settings, programs.envoy)),
        CONTROLLER: (*coalmine, "controller", "run", *_controller(layout, settings)),
    }


def _flags(values: Mapping[str, object]) -> Sequence[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def _etcd(layout: Layout, settings: Settings) -> Sequence[str]:
    pki, ports = layout.pki, settings.ports
    client, peer = f"https://{LOOPBACK}:{ports.etcd}", f"https://{LOOPBACK}:{ports.etcd_peer}"
    return _flags(
        {
            "name": "local",
            "data-dir": layout.etcd_data,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"local={peer}",
            "cert-file": pki / "etcd-server.crt",
            "key-file": pki / "etcd-server.key",
            "trusted-ca-file": pki / "ca.crt",
            "client-cert-auth": "true",
            "peer-cert-file": pki / "etcd-server.crt",
            "peer-key-file": pki / "etcd-server.key",
            "peer-trusted-ca-file": pki / "ca.crt",
            "peer-client-cert-auth": "true",
            # A power cut may cost a local cluster its last changes; in return it is fast on any disk.
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
    )


def _apiserver(layout: Layout, settings: Settings) -> Sequence[str]:
    pki, ports = layout.pki, settings.ports
    return _flags(
        {
            "etcd-servers": f"https://{LOOPBACK}:{ports.etcd}",
            "etcd-cafile": pki / "ca.crt",
            "etcd-certfile": pki / "etcd-client.crt",
            "etcd-keyfile": pki / "etcd-client.key",
            "bind-address": LOOPBACK,
            "advertise-address": LOOPBACK,
            "secure-port": ports.apiserver,
            "tls-cert-file": pki / "apiserver-server.crt",
            "tls-private-key-file": pki / "apiserver-server.key",
            "client-ca-file": pki / "ca.crt",
            "kubelet-certificate-authority": pki / "ca.crt",
            "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
            "kubelet-client-key": pki / "apiserver-kubelet-client.key",
            "kubelet-preferred-address-types": "InternalIP",
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": pki / "service-account.pub",
            "service-account-signing-key-file": pki / "service-account.key",
            "authorization-mode": "Node,RBAC",
            # Without the node-lifecycle controller nobody would take this plugin's not-ready taint off again.
            "disable-admission-plugins": "TaintNodesByCondition",
            "service-cluster-ip-range": SERVICE_CIDR,
            "allow-privileged": "true",
            # An EndpointSlice for 127.0.0.1 would be refused.
            "endpoint-reconciler-type": "none",
            # A local cluster ends at once, without waiting for clients that hold watches.
            "shutdown-delay-duration": "0s",
            "shutdown-send-retry-after": "false",
        }
    )


def _controller_manager(layout: Layout, settings: Settings) -> Sequence[str]:
    pki = layout.pki
    return _flags(
        {
            "kubeconfig": layout.kubeconfig(KCM),
            "controllers": ",".join(("*", *(f"-{name}" for name in _CONTROLLERS_OFF))),
            "bind-address": LOOPBACK,
            "secure-port": settings.ports.controller_manager,
            "tls-cert-file": pki / "controller-manager-server.crt",
            "tls-private-key-file": pki / "controller-manager-server.key",
            "service-account-private-key-file": pki / "service-account.key",
            "root-ca-file": pki / "ca.crt",
            "use-service-account-credentials": "true",
            "leader-elect": "false",
        }
    )


def _node(layout: Layout, settings: Settings) -> Sequence[str]:
    return _flags(
        {
            "kubeconfig": layout.kubeconfig(NODE),
            "node-name": NODE_NAME,
            "pod-cidr": settings.pod_cidr,
            "state-dir": layout.node_state,
            "tls-cert": layout.pki / "node-server.crt",
            "tls-key": layout.pki / "node-server.key",
            "client-ca": layout.pki / "ca.crt",
            "port": settings.ports.node,
        }
    )


def _mesh(layout: Layout, settings: Settings, envoy: Path | None) -> Sequence[str]:
    ports = settings.ports
    flags = {
        "kubeconfig": layout.kubeconfig(MESH),
        "xds-address": f"{LOOPBACK}:{ports.mesh_xds}",
        "http-address": f"{LOOPBACK}:{ports.mesh_http}",
        "webhook-address": f"{LOOPBACK}:{ports.mesh_webhook}",
        **_webhook_certificate(layout),
        "endpoints": "pods",
        "capture": "env",
        # Pods are processes here: what is mounted for them lies under their working folder, and is fresh in seconds.
        "mount-root": ".",
        "root-hold-seconds": 15,
    }
    return _flags(flags if envoy is None else {**flags, "envoy": envoy})


def _controller(layout: Layout, settings: Settings) -> Sequence[str]:
    ports = settings.ports
    return _flags(
        {
            "kubeconfig": layout.kubeconfig(CONTROLLER),
            "mesh-url": f"http://{LOOPBACK}:{ports.mesh_http}",
            "hold": "auto",
            "webhook-address": f"{LOOPBACK}:{ports.controller_webhook}",
            **_webhook_certificate(layout),
            "health-address": f"{LOOPBACK}:{ports.controller_health}",
            "http-address": f"{LOOPBACK}:{ports.controller_http}",
        }
    )


def _webhook_certificate(layout: Layout) -> Mapping[str, object]:
    pki = layout.pki
    return {"tls-cert": pki / "webhook-server.crt", "tls-key": pki / "webhook-server.key", "ca-file": pki / "ca.crt"}
