"""What a node agent is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NodeConfig"]


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """Settings of one node agent.

    Attributes:
        kubeconfig: Credentials for the apiserver; the user needs what a kubelet needs, without the Node authorizer.
        state_dir: Folder that the agent owns: one folder for each pod, with its address, processes and logs.
        tls_cert: Certificate of the kubelet API, valid for 127.0.0.1 (PEM).
        tls_key: Its key.
        node_name: Name of the Node object.
        pod_cidr: Loopback network that pod addresses come from.
        port: Port of the kubelet API on 127.0.0.1; 0 takes a free one (the Node object says which).
        client_ca: CA that clients of the kubelet API (the apiserver) must have a certificate from. None lets
            every local client read logs.
        max_log_bytes: Size at which a container's log is rotated; one older file is kept.
        heartbeat_seconds: Time between renewals of the node's lease.
    """

    kubeconfig: Path
    state_dir: Path
    tls_cert: Path
    tls_key: Path
    node_name: str = "local"
    pod_cidr: str = "127.0.0.0/16"
    port: int = 0
    client_ca: Path | None = None
    max_log_bytes: int = 10 * 1024 * 1024
    heartbeat_seconds: float = 10.0
