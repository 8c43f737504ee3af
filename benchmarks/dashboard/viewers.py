"""Does it delay the controller's decisions when many people look at the dashboard?

    python -m benchmarks.dashboard.viewers [--rollouts 500] [--viewers 50] [--rounds 3] [--seconds 20] [--rate 20]

A real controller process on a real API server. All the time Rollouts at random get another workload, which does not exist
either: the controller looks, decides and writes the status. Measured is the time from the API server's answer to the change
until a watch brings the status for it, in turns without anybody and with VIEWERS pages that follow the whole list
and one Rollout each. The two are compared within one run; the machine's speed is in both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import ssl
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from kubernetes.aio import client, config
from rich.console import Console

from coalmine.local.cluster import LocalCluster
from coalmine.local.layout import CONTROLLER, KCM, MESH, NODE
from coalmine.local.progress import ConsoleProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from multiprocessing.synchronize import Event

GROUP = "/apis/coalmine.dev/v1alpha1"
IN_A_NAMESPACE = 10


def home(name: str) -> str:
    """Return a Rollout's namespace."""
    return f"bench-{int(name[1:]) // IN_A_NAMESPACE:03}"


@dataclass
class Turn:
    """What was measured in one turn."""

    looked_at: bool
    latencies: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    viewed_mebibytes: float = 0.0


class Api:
    """The API server, as the administrator."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.decided: dict[str, int] = {}
        """Generation that the status is of, by name."""
        self._waiting: dict[str, tuple[int, asyncio.Future[float]]] = {}

    async def open(self, namespace: str) -> None:
        """Create a namespace."""
        async with self._session.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}) as answer:
            answer.raise_for_status()

    async def create(self, name: str) -> None:
        """Create a Rollout without a workload."""
        body = {
            "apiVersion": "coalmine.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": name},
            "spec": {"workloadRef": {"name": f"{name}-0"}},
        }
        async with self._session.post(f"{GROUP}/namespaces/{home(name)}/rollouts", json=body) as answer:
            answer.raise_for_status()

    async def change(self, name: str, number: int) -> float:
        """Give a Rollout another workload; return the seconds until the controller's status for it is seen."""
        decided: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        headers = {"Content-Type": "application/merge-patch+json"}
        patch = {"spec": {"workloadRef": {"name": f"{name}-{number}"}}}
        path = f"{GROUP}/namespaces/{home(name)}/rollouts/{name}"
        async with self._session.patch(path, json=patch, headers=headers) as answer:
            answer.raise_for_status()
            generation = (await answer.json())["metadata"]["generation"]
        began = time.monotonic()
        if self.decided.get(name, 0) >= generation:
            return 0.0
        self._waiting[name] = generation, decided
        async with asyncio.timeout(300):  # on a machine that does much else
            return await decided - began

    async def watch(self) -> None:
        """Take in statuses until cancelled."""
        while True:
            params, forever = {"watch": "1"}, aiohttp.ClientTimeout()
            async with self._session.get(f"{GROUP}/rollouts", params=params, timeout=forever) as answer:
                if answer.status == HTTPStatus.TOO_MANY_REQUESTS:  # the kind is new: its storage is made
                    await asyncio.sleep(0.1)
                    continue
                answer.raise_for_status()
                await self._follow(answer.content)

    async def _follow(self, lines: aiohttp.StreamReader) -> None:
        async for line in lines:
            body = json.loads(line)["object"]
            name, observed = body["metadata"]["name"], (body.get("status") or {}).get("observedGeneration", 0)
            self.decided[name] = observed
            generation, decided = self._waiting.get(name, (0, None))
            if decided is not None and observed >= generation and not decided.done():
                del self._waiting[name]
                decided.set_result(time.monotonic())


@contextlib.asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """Connect to the API server and watch."""
    found = client.Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=found, persist_config=False)
    trust = ssl.create_default_context(cafile=found.ssl_ca_cert)
    trust.load_cert_chain(found.cert_file, found.key_file)
    connector = aiohttp.TCPConnector(ssl=trust)
    async with (
        aiohttp.ClientSession(found.host, connector=connector, read_bufsize=2**22) as session,
        asyncio.TaskGroup() as group,
    ):
        api = Api(session)
        watching = group.create_task(api.watch())
        yield api
        watching.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    while not condition():  # noqa: ASYNC110 - it has no event of ours
        await asyncio.sleep(0.1)


def look(url: str, names: list[str], ready: Event, end: Event, read: Any) -> None:
    """Be many pages, in a process of their own."""

    async def page(session: aiohttp.ClientSession, name: str) -> None:
        topics = f"rollouts,rollout/{home(name)}/{name}"
        async with session.get(f"{url}api/v1/stream?topics={topics}") as answer:
            answer.raise_for_status()
            while chunk := await answer.content.readany():
                read.value += len(chunk)

    async def pages() -> None:
        unlimited = aiohttp.ClientTimeout(), aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=unlimited[0], connector=unlimited[1]) as session:
            tasks = [asyncio.create_task(page(session, name)) for name in names]
            await until(lambda: read.value >= len(names) * 1000)
            ready.set()
            await until(end.is_set)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(pages())


def cpu(pid: int) -> float:
    """Return the processor time of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def turn(api: Api, names: list[str], arguments: argparse.Namespace, pid: int, *, looked_at: bool) -> Turn:
    """Change Rollouts for a while, and return how long each decision took."""
    measured, tasks, number = Turn(looked_at), [], random.randrange(10**6)
    began, end = cpu(pid), time.monotonic() + arguments.seconds
    order = random.sample(names, len(names))
    while time.monotonic() < end:
        number += 1
        tasks.append(asyncio.create_task(api.change(order[number % len(order)], number)))
        await asyncio.sleep(1 / arguments.rate)
    measured.latencies = list(await asyncio.gather(*tasks))
    measured.cpu_seconds = cpu(pid) - began
    return measured


async def measure(cluster: LocalCluster, arguments: argparse.Namespace, console: Console) -> list[Turn]:
    """Take turns without and with pages."""
    names = [f"r{number:04}" for number in range(arguments.rollouts)]
    turns: list[Turn] = []
    pid = cluster.pid(CONTROLLER)
    if pid is None:
        raise RuntimeError("the controller does not run")
    async with connect(cluster.kubeconfig) as api:
        await asyncio.gather(*(api.open(namespace) for namespace in sorted(set(map(home, names)))))
        for start in range(0, len(names), 20):
            await asyncio.gather(*(api.create(name) for name in names[start : start + 20]))
        await until(lambda: all(api.decided.get(name) for name in names))
        console.print(f"{len(names)} Rollouts are looked after")
        await turn(api, names, arguments, pid, looked_at=False)  # warm-up
        for _ in range(arguments.rounds):
            turns.append(await turn(api, names, arguments, pid, looked_at=False))
            spawn = get_context("spawn")
            ready, end, read = spawn.Event(), spawn.Event(), spawn.Value("q", 0)
            seen = [random.choice(names) for _ in range(arguments.viewers)]
            process = spawn.Process(target=look, args=(cluster.dashboard_url, seen, ready, end, read), daemon=True)
            process.start()
            await until(ready.is_set)
            before = read.value
            found = await turn(api, names, arguments, pid, looked_at=True)
            found.viewed_mebibytes = (read.value - before) / 2**20
            turns.append(found)
            end.set()
            await asyncio.to_thread(process.join, 30)
    return turns


def report(turns: list[Turn], console: Console) -> dict[str, float]:
    """Print the two side by side, and return the ratios."""
    found = {}
    for looked_at in (False, True):
        latencies = sorted(x for t in turns if t.looked_at is looked_at for x in t.latencies)
        found[looked_at] = {
            "median": statistics.median(latencies),
            "p95": latencies[int(0.95 * len(latencies))],
            "p99": latencies[int(0.99 * len(latencies))],
            "cpu": sum(t.cpu_seconds for t in turns if t.looked_at is looked_at) / len(latencies),
        }
        words = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in found[looked_at].items())
        console.print(f"{'with' if looked_at else 'without'} pages: {words} ({len(latencies)} decisions)")
    ratios = {name: found[True][name] / found[False][name] for name in found[True]}
    console.print("with / without: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    console.print(f"the pages were sent {sum(t.viewed_mebibytes for t in turns):.0f} MiB")
    return ratios


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=500)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a turn")
    parser.add_argument("--rate", type=float, default=20.0, help="changes a second")
    parser.add_argument("--json", type=Path, help="write the ratios to this file")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster("bench-dashboard", Path(folder), progress=ConsoleProgress(console))
        try:
            cluster.up(skip=[KCM, NODE, MESH])
            turns = asyncio.run(measure(cluster, arguments, console))
        finally:
            cluster.down(delete=True)
    ratios = report(turns, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(ratios, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
