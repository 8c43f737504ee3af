"""What a controller of many Rollouts costs, and how late its decisions come, all of them releasing at once.

    python -m benchmarks.controller.run [--rollouts 100 300 500] [--seconds 60] [--namespaces 10]

A real API server (etcd beside it) and the real controller with its real rights; Deployments, pods and the mesh only say
that they are there (``benchmarks.controller.hollow``), so what is measured is the controller. Every Rollout releases at
the same time, is judged each second on a hundred requests a second, and stays so while it is measured. Then some are
aborted: the time runs from the annotation to the TrafficSplit with weight 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from rich.console import Console

from benchmarks.controller.hollow import APPS, SPLITS, Api, Deployments, Splits, Telemetry, workload
from benchmarks.mesh.processes import machine, percentile
from coalmine.local.cluster import LocalCluster
from coalmine.local.layout import CONTROLLER, KCM, NODE
from coalmine.local.progress import ConsoleProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROLLOUTS = "/apis/coalmine.dev/v1alpha1"
ABORTED = 10
PATIENCE = 900.0


@dataclass
class World:
    """What is measured, and what is around it."""

    api: Api
    splits: Splits
    health: str
    process: asyncio.subprocess.Process

    async def metrics(self) -> tuple[dict[str, float], float, int]:
        """Return the controller's metrics, the seconds that the page took, and its size."""
        began = time.monotonic()
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.health}/metrics") as answer:
            text = await answer.text()
        took = time.monotonic() - began
        return (
            {m[1]: float(m[2]) for m in re.finditer(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)},
            took,
            len(text),
        )


def total(found: dict[str, float], name: str, *parts: str) -> float:
    return sum(v for k, v in found.items() if k.startswith(name) and all(p in k for p in parts))


def quantile(before: dict[str, float], after: dict[str, float], name: str, share: float) -> float:
    """Return an upper bound of a quantile from a histogram's buckets."""
    of_name = re.compile(rf'{name}_bucket\{{le="([^"]+)"\}}')
    found = ((of_name.fullmatch(key), value - before.get(key, 0.0)) for key, value in after.items())
    bounds = sorted((float(match[1]), count) for match, count in found if match)
    return next((bound for bound, count in bounds if count >= share * bounds[-1][1]), float("inf"))


async def until(what: str, condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not await condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {PATIENCE:.0f} s: {what}")
        await asyncio.sleep(1)


async def make(api: Api, names: list[tuple[str, str]]) -> None:
    """Make the namespaces, and in each what Rollouts need."""
    for namespace in sorted({n for n, _ in names}):
        await api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        account = {"metadata": {"name": "default"}}
        await api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    gate = asyncio.Semaphore(16)

    async def one(namespace: str, name: str) -> None:
        async with gate:
            service = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
            body: dict[str, Any] = {"metadata": {"name": name}, "spec": service}
            await api.call("POST", f"/api/v1/namespaces/{namespace}/services", body)
            await api.call("POST", f"{APPS}/namespaces/{namespace}/deployments", workload(namespace, name, "shop:1"))
            spec = {
                "workloadRef": {"name": name},
                "steps": [{"setWeight": 10}],
                "analysis": {"minStepDuration": "2h", "maxStepDuration": "3h"},
            }
            kind = {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout"}
            body = {**kind, "metadata": {"name": name}, "spec": spec}
            await api.call("POST", f"{ROLLOUTS}/namespaces/{namespace}/rollouts", body)

    await asyncio.gather(*(one(*key) for key in names))


@contextlib.asynccontextmanager
async def controller(cluster: LocalCluster, mesh: int, folder: Path) -> AsyncIterator[tuple[str, Any]]:
    """Run one; its log is in the folder."""
    health = f"127.0.0.1:{cluster.settings.ports.controller_health}"
    command = [sys.executable, "-m", "coalmine", "controller", "run"]
    command += [f"--kubeconfig={cluster.kubeconfig_for(CONTROLLER)}", f"--mesh-url=http://127.0.0.1:{mesh}"]
    log = await asyncio.to_thread((folder / "controller.log").open, "wb")
    process = await asyncio.create_subprocess_exec(*command, f"--health-address={health}", stdout=log, stderr=log)
    try:
        yield health, process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        log.close()


async def run(count: int, seconds: float, namespaces: int, cluster: LocalCluster) -> None:
    folder = cluster.layout.root
    names = [(f"team-{n % namespaces}", f"app-{n}") for n in range(count)]
    async with contextlib.AsyncExitStack() as stack:
        api = Api(cluster.server, cluster.layout.pki)
        stack.push_async_callback(api.close)
        telemetry = Telemetry()
        port, runner = await telemetry.serve()
        stack.push_async_callback(runner.cleanup)
        splits, deployments = Splits(api), Deployments(api)
        work = [telemetry.tick()]
        work += [api.watch(f"{APPS}/deployments", deployments.seen), api.watch(f"{SPLITS}/trafficsplits", splits.seen)]
        tasks = [asyncio.create_task(w) for w in work]
        stack.callback(lambda: [task.cancel() for task in tasks])
        health, process = await stack.enter_async_context(controller(cluster, port, folder))
        world = World(api, splits, health, process)
        await make(api, names)
        measuring = asyncio.create_task(measure(world, names, seconds))
        done, _ = await asyncio.wait({measuring, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:  # whatever is around it ends only by an error
            task.result()


async def in_phase(world: World, phase: str, wanted: int) -> bool:
    try:
        found, _, _ = await world.metrics()
    except aiohttp.ClientError:
        if world.process.returncode is not None:
            raise RuntimeError("the controller has ended") from None
        return False
    return (
        total(found, "coalmine_rollout_phase", f'phase="{phase}"', 'state="Judging"' * (phase != "Healthy")) >= wanted
    )


async def measure(world: World, names: list[tuple[str, str]], seconds: float) -> None:
    count = len(names)
    await until("all are adopted", lambda: in_phase(world, "Healthy", count))
    await asyncio.sleep(5)  # the phase is told before the Deployment is labelled
    rest, _, _ = await world.metrics()
    began = time.monotonic()
    for namespace, name in names:
        change = {"spec": {"template": workload(namespace, name, "shop:2")["spec"]["template"]}}
        await world.api.merge(f"{APPS}/namespaces/{namespace}/deployments/{name}", change)
    await until("all are judged", lambda: in_phase(world, "Progressing", count))
    started = time.monotonic() - began
    await asyncio.sleep(30)  # the first evidence is stored, and the caches are warm
    before, _, _ = await world.metrics()
    began = time.monotonic()
    await asyncio.sleep(seconds)
    after, page, size = await world.metrics()
    took = time.monotonic() - began
    aborted = [await abort(world, key) for key in names[:ABORTED]]

    def rate(name: str, *parts: str) -> float:
        return (total(after, name, *parts) - total(before, name, *parts)) / took

    lag, look = "coalmine_controller_reconcile_lag_seconds", "coalmine_controller_reconcile_duration_seconds"
    writes = sum(
        rate("coalmine_controller_api_requests_total", f'verb="{v}"') for v in ("PUT", "POST", "PATCH", "DELETE")
    )
    memory, idle = after["process_resident_memory_bytes"], rest["process_resident_memory_bytes"]
    print(f"{count} Rollouts in {len({n for n, _ in names})} namespaces, all releasing at once; {machine()}")
    for what, value in (
        ("all were judged after", f"{started:.0f} s"),
        ("processor time", f"{rate('process_cpu_seconds_total'):.2f} cores"),
        ("memory, at rest and while all release", f"{idle / 2**20:.0f} and {memory / 2**20:.0f} MiB"),
        ("memory for each release", f"{(memory - idle) / count / 2**10:.0f} KiB"),
        ("looks", f"{rate(f'{look}_count'):.0f} a second"),
        ("a look takes, p50 and p99", bounds(before, after, look)),
        ("it comes late by, p50 and p99", bounds(before, after, lag)),
        ("requests to the API server", f"{rate('coalmine_controller_api_requests_total'):.0f} a second"),
        ("of them writes", f"{writes:.1f} a second"),
        ("abort → weight 0 is written, p50 and most", f"{percentile(aborted, 0.5):.2f} and {max(aborted):.2f} s"),
        ("the page of metrics", f"{page:.2f} s, {size / 2**10:.0f} KiB"),
    ):
        print(f"  {what:44}{value}")


def bounds(before: dict[str, float], after: dict[str, float], name: str) -> str:
    p50, p99 = (quantile(before, after, name, share) for share in (0.5, 0.99))
    return f"at most {p50:g} and {p99:g} s"


async def abort(world: World, key: tuple[str, str]) -> float:
    """Abort one release; return the seconds until its split has the weight 0."""
    namespace, name = key
    began = time.monotonic()
    note = {"metadata": {"annotations": {"coalmine.dev/abort": uuid.uuid4().hex}}}
    await world.api.merge(f"{ROLLOUTS}/namespaces/{namespace}/rollouts/{name}", note)
    while world.splits.weights[key][0] != 0:
        await asyncio.sleep(0.005)
        if time.monotonic() - began > PATIENCE:
            raise RuntimeError(f"{name} was not taken back")
    return world.splits.weights[key][1] - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, nargs="+", default=[100, 300, 500])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--namespaces", type=int, default=10)
    found = parser.parse_args()
    progress = ConsoleProgress(Console(stderr=True))
    for count in found.rollouts:
        with tempfile.TemporaryDirectory(prefix="coalmine-bench-controller-") as folder:
            cluster = LocalCluster(f"bench-{uuid.uuid4().hex[:6]}", Path(folder) / "cluster", progress=progress)
            try:
                cluster.up(bare=True, skip=(KCM, NODE))
                asyncio.run(run(count, found.seconds, found.namespaces, cluster))
            finally:
                cluster.down()


if __name__ == "__main__":
    main()
