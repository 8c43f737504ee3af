"""A control plane of its own process, as ``coalmine mesh serve`` is one, but that its objects come from here.

    python -m benchmarks.mesh.controlplane BLOCK CLIENTS SERVICES

Discovery, its loop, the gate and certificates are the real ones; there is no API server, and no TLS to the proxies. It
prints its port; each line that it reads is the canary's new weight, and when every connected proxy holds it, it prints the
generation and the monotonic times at which it heard of the weight and of the last acknowledgement.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import time
from typing import TYPE_CHECKING, Any

from mesh.ads.server import AdsServer
from mesh.ca.authority import Authority
from mesh.ca.roots import first
from mesh.ir.services import ContainerPort, Service, ServicePort, Workload
from mesh.resolve.endpoints import PodIndex, from_pods
from mesh.resolve.rules import read_traffic_split
from mesh.resolve.world import World
from mesh.telemetry import otlp
from mesh.telemetry.store import TelemetryStore
from mesh.wiring.control import Control
from mesh.wiring.garbage import collect_rarely
from mesh.xds.resources import pack
from mesh.xds.snapshots import SnapshotBuilder
from mesh.xds.telemetry import attempt_access_logs, request_access_logs
from mesh.xds.tls import LEAF, ROOTS, leaf_secret, roots_secret

if TYPE_CHECKING:
    from mesh.xds.resources import Resource

CALLERS = 4
"""Pods that call, each with an Envoy where the benchmark starts one."""


def pods(block: str, clients: int) -> list[Workload]:
    """Return the pods: callers at BLOCK.0.1 and on, payment, its canary, one without a sidecar, and clients."""
    port = (ContainerPort("http", 8080),)

    def pod(name: str, address: str, app: str, *, meshed: bool = True) -> Workload:
        labels = (("app", app),)
        return Workload(
            "shop",
            name,
            address,
            labels=labels,
            ports=port,
            phase="Running",
            ready=True,
            meshed=meshed,
            service_account=app,
        )

    found = [pod(f"caller-{n}", f"{block}.0.{n}", "caller") for n in range(1, CALLERS + 1)]
    found += [pod("payment", f"{block}.1.1", "payment"), pod("payment-canary", f"{block}.1.2", "payment-canary")]
    found.append(pod("plain", f"{block}.1.3", "plain", meshed=False))
    return found + [pod(f"client-{n}", f"{block}.{2 + n // 250}.{1 + n % 250}", "client") for n in range(clients)]


class Objects:
    """What the control plane observes: pods and Services that stay, and a split whose weights change."""

    def __init__(self, block: str, clients: int, services: int) -> None:
        names = ["payment", "payment-canary", "plain", *(f"service-{n}" for n in range(services))]
        port = (ServicePort("http", 80, 8080),)
        self.services = {("shop", n): Service("shop", n, port, selector=(("app", n),)) for n in names}
        self.workloads = {w.key: w for w in pods(block, clients)}
        index = PodIndex(self.workloads.values())
        self.endpoints = {key: from_pods(s, index) for key, s in self.services.items()}
        self.generation = 0
        self.canary = 0

    async def synced(self) -> None:
        """All is known from the start."""

    def world(self) -> World:
        meta = {"name": "payment", "namespace": "shop", "uid": "split", "generation": self.generation}
        weights = {"payment": 100 - self.canary, "payment-canary": self.canary}
        backends = [{"service": name, "weight": weight} for name, weight in weights.items()]
        split = read_traffic_split(
            {"kind": "TrafficSplit", "metadata": meta, "spec": {"service": "payment", "backends": backends}}
        )
        return World(self.services, self.workloads, self.endpoints, traffic_splits=(split,))


class Waiter:
    """Tells when every connected proxy holds a generation."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    async def until(self, ads: AdsServer, generation: int) -> float:
        missing = set(ads.connected)
        while missing:
            self.changed.clear()
            now = time.monotonic()
            missing = {p for p in missing if (s := ads.session(p)) is not None and s.generation("split") != generation}
            if missing:
                await self.changed.wait()
        return now


async def serve(block: str, clients: int, services: int) -> None:
    authority = Authority(first(dt.datetime.now(dt.UTC)), clock=lambda: dt.datetime.now(dt.UTC))
    trust = pack(ROOTS, roots_secret(authority.roots.trusted))
    packed: dict[str, tuple[Resource, ...]] = {}

    def secrets(workload: Workload) -> tuple[Resource, ...]:
        name = f"{workload.namespace}/{workload.name}"
        if name not in packed:
            leaf = authority.workload(name, workload.identity)
            packed[name] = (pack(LEAF, leaf_secret(leaf.chain, leaf.key)), trust)
        return packed[name]

    objects, waiter = Objects(block, clients, services), Waiter()
    builder = SnapshotBuilder(request_logs=request_access_logs(), attempt_logs=attempt_access_logs())
    control = Control(builder, lambda: ads.publish(), secrets)  # noqa: PLW0108 - it is made below
    ads = AdsServer(control.snapshot, clock=time.monotonic, changed=waiter.changed.set, refused=control.refused)
    otlp.add_to_server(ads.grpc, TelemetryStore(clock=time.time))
    port = await ads.start("127.0.0.1:0")
    given: Any = objects
    work = [asyncio.create_task(task) for task in (control.run(given), collect_rarely())]
    print(port, flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        began = time.monotonic()
        objects.canary, objects.generation = int(line), objects.generation + 1
        control.changed()
        print(objects.generation, began, await waiter.until(ads, objects.generation), len(ads.connected), flush=True)
    for task in work:
        task.cancel()
    await ads.stop()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
