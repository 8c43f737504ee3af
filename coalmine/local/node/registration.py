"""The Node object and the lease that keeps it Ready."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from coalmine.local.node.containers import timestamp
from coalmine.local.node.environment import HOST_IP
from coalmine.local.node.kube import ApiError

if TYPE_CHECKING:
    from coalmine.local.node.config import NodeConfig
    from coalmine.local.node.kube import KubeApi

__all__ = ["Registration", "node_capacity"]

_LOG: Final = logging.getLogger(__name__)
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_LEASE_SECONDS: Final = 40
_RETRY_SECONDS: Final = 0.5
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def node_capacity() -> dict[str, str]:
    """Return this machine's processors and memory, and how many pods it takes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": str(os.cpu_count() or 1), "memory": f"{memory // 1024}Ki", "pods": "250"}


class Registration:
    """Keeps the Node object true and its lease fresh."""

    def __init__(self, api: KubeApi, config: NodeConfig, *, port: int) -> None:
        self._api = api
        self._config = config
        self._port = port
        self._since = timestamp(datetime.now(UTC))

    @property
    def labels(self) -> dict[str, str]:
        """The node's labels, that a pod's nodeSelector may name."""
        return {
            "kubernetes.io/hostname": self._config.node_name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        }

    async def run(self) -> None:
        """Register, then send heartbeats for ever. An apiserver that is away is tried again."""
        while True:
            try:
                await self._register()
                await self._renew()
            except ApiError as error:
                _LOG.warning("node %s: %s; trying again", self._config.node_name, error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                await asyncio.sleep(self._config.heartbeat_seconds)

    async def _register(self) -> None:
        path = f"/api/v1/nodes/{self._config.node_name}"
        try:
            await self._api.patch(f"{path}/status", {"status": self._status()})
        except ApiError as error:
            if error.status != 404:  # noqa: PLR2004 - Not Found
                raise
            metadata = {"name": self._config.node_name, "labels": self.labels}
            await self._api.create("/api/v1/nodes", {"metadata": metadata, "status": self._status()})

    async def _renew(self) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self._config.node_name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": now}
        try:
            await self._api.patch(f"{_LEASES}/{self._config.node_name}", {"spec": spec})
        except ApiError as error:
            if error.status != 404:  # noqa: PLR2004 - Not Found
                raise
            await self._api.create(_LEASES, {"metadata": {"name": self._config.node_name}, "spec": spec})

    def _status(self) -> dict[str, Any]:
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "AgentReady",
            "message": "the local node agent runs pods as processes",
            "lastTransitionTime": self._since,
            "lastHeartbeatTime": timestamp(datetime.now(UTC)),
        }
        return {
            "addresses": [
                {"type": "InternalIP", "address": HOST_IP},
                {"type": "Hostname", "address": self._config.node_name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "capacity": node_capacity(),
            "allocatable": node_capacity(),
            "conditions": [ready],
            "nodeInfo": {
                "architecture": self.labels["kubernetes.io/arch"],
                "operatingSystem": "linux",
                "kernelVersion": platform.release(),
                "osImage": "this machine, without containers",
                "containerRuntimeVersion": "local://1",
                "kubeletVersion": "v1.36.0-coalmine",
                "kubeProxyVersion": "",
                "bootID": "",
                "machineID": "",
                "systemUUID": "",
            },
        }
