"""Both sources of endpoints, on a real API server, say the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest
import yaml

from mesh.ir.tracing import TracingSettings
from mesh.wiring.endpoints import PodEndpoints, SliceEndpoints
from mesh.wiring.kube import Kube
from mesh.wiring.sources import Sources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mesh.ir.services import Endpoint
    from mesh.wiring.endpoints import EndpointSource

pytestmark = pytest.mark.integration


class Watched:
    """Sources that are running."""

    def __init__(self, sources: Sources, changed: asyncio.Event) -> None:
        self.sources = sources
        self._changed = changed

    async def until(self, namespace: str, expected: list[tuple[str, int, bool]]) -> None:
        """Wait until these are the endpoints of Service payment."""
        async with asyncio.timeout(120):
            while self.brief(namespace) != expected:
                self._changed.clear()
                await self._changed.wait()

    def brief(self, namespace: str) -> list[tuple[str, int, bool]]:
        found: tuple[Endpoint, ...] = self.sources.world().endpoints.get((namespace, "payment"), {}).get(80, ())
        return [(e.pod, e.port, e.draining) for e in found]


@contextlib.asynccontextmanager
async def watched(kubeconfig: str, source: str) -> AsyncIterator[Watched]:
    kube = await Kube.connect(kubeconfig)
    changed = asyncio.Event()
    endpoints: EndpointSource = PodEndpoints() if source == "pods" else SliceEndpoints(kube, changed.set)
    sources = Sources.of(kube, endpoints, changed.set, lambda _: None, tracing=TracingSettings())
    tasks = [asyncio.create_task(r.run()) for r in sources.reflectors]
    try:
        await sources.synced()
        yield Watched(sources, changed)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await kube.close()


def pod(name: str) -> dict:
    ports = [{"containerPort": 8080}]
    containers = [{"name": "app", "image": "none", "ports": ports}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "payment"}, "finalizers": ["test.coalmine.dev/hold"]},
        "spec": {
            "nodeName": "elsewhere",
            "initContainers": [{"name": "coalmine-proxy", "image": "none", "restartPolicy": "Always"}],
            "containers": containers,
            "terminationGracePeriodSeconds": 0,
        },
    }


def slice_of(*, terminating: bool) -> dict:
    conditions = {"ready": not terminating, "serving": True, "terminating": terminating}
    other = {"ready": True, "serving": True, "terminating": False}

    def entry(name: str, address: str, state: dict) -> dict:
        return {"addresses": [address], "conditions": state, "targetRef": {"kind": "Pod", "name": name}}

    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "payment-1", "labels": {"kubernetes.io/service-name": "payment"}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080}],
        "endpoints": [entry("a", "10.9.0.1", conditions), entry("b", "10.9.0.2", other)],
    }


@pytest.mark.parametrize("source", ["pods", "endpointslices"])
async def test_endpoints_follow_the_cluster(source, cluster, kubectl, namespace):
    where = ("-n", namespace)

    def apply(*manifests: dict) -> None:
        kubectl("apply", *where, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    ports = [{"port": 80, "targetPort": 8080}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "payment"}}
    async with watched(str(cluster.kubeconfig), source) as seen:
        await asyncio.to_thread(apply, {**service, "spec": {"selector": {"app": "payment"}, "ports": ports}})
        await asyncio.to_thread(apply, pod("a"), pod("b"))
        assert seen.brief(namespace) == []
        for name, address in (("a", "10.9.0.1"), ("b", "10.9.0.2")):
            ready = [{"type": "Ready", "status": "True"}]
            status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}
            patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
            await asyncio.to_thread(kubectl, "patch", "pod", name, *where, *patch)
        await asyncio.to_thread(apply, slice_of(terminating=False))
        await seen.until(namespace, [("a", 15006, False), ("b", 15006, False)])
        await asyncio.to_thread(kubectl, "delete", "pod", "a", *where, "--wait=false")
        await asyncio.to_thread(apply, slice_of(terminating=True))
        await seen.until(namespace, [("a", 15006, True), ("b", 15006, False)])
    nothing = ("--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    for name in ("a", "b"):
        await asyncio.to_thread(kubectl, "patch", "pod", name, *where, *nothing)
