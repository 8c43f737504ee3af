"""Weights, certificates, the root, pods and the control plane change while requests flow, and none of them fails."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import signal
from typing import Any

import pytest

from coalmine.local.layout import MESH

pytestmark = pytest.mark.integration

WEIGHTS = 100
ROTATIONS = 20
REPLACED = 50
SECRET = ("secret", "coalmine-ca", "-n", "coalmine-system")


async def change_weights(bench: Any, kube: Any, load: Any, *others: asyncio.Task[None]) -> None:
    """Change them so often, and on until the others are done."""
    for step in itertools.takewhile(lambda n: n < WEIGHTS or not all(o.done() for o in others), itertools.count()):
        share = (10, 50, 100, 0)[step % 4]
        await bench.weight(kube, share)
        await load.reaches("v1" if share < 50 else "v2")


async def watch_certificates(bench: Any, pods: asyncio.Task[None], root: asyncio.Task[None]) -> set[str]:
    """Return the certificates that the caller used until there were enough, and the rest is done as well."""
    serials: set[str] = set()
    while len(serials) <= ROTATIONS or not (pods.done() and root.done()):
        serials.add(await bench.serial())
        await asyncio.sleep(0.3)
    return serials


async def replace_pods(bench: Any) -> None:
    gone: set[str] = set()
    while len(gone) < REPLACED:
        found = [p for app in ("payment", "payment-canary") for p in await asyncio.to_thread(bench.pods, app)]
        gone |= {p["metadata"]["uid"] for p in found if "deletionTimestamp" not in p["metadata"]}
        names = ("deploy/payment", "deploy/payment-canary", "-n", bench.namespace)
        await asyncio.to_thread(bench.kubectl, "rollout", "restart", *names)
        await asyncio.to_thread(bench.available)


async def exchange_root(bench: Any) -> None:
    read = ("get", *SECRET, "-o", "jsonpath={.data.root-cert\\.pem}/{.data.next-cert\\.pem}/{.data.old-cert\\.pem}")
    before = await asyncio.to_thread(bench.kubectl, *read)
    rotate = ("annotate", *SECRET, "mesh.coalmine.dev/rotate-root=under-load", "--overwrite")
    await asyncio.to_thread(bench.kubectl, *rotate)
    async with asyncio.timeout(180):
        while True:
            found = await asyncio.to_thread(bench.kubectl, *read)
            if found.split("/")[0] != before.split("/")[0] and found.endswith("//"):
                return
            await asyncio.sleep(0.5)


async def test_nothing_fails_while_everything_changes(bench, kube, make_load):
    await bench.weight(kube, 50)
    before = await bench.counted()
    async with make_load() as load, asyncio.timeout(300), asyncio.TaskGroup() as group:
        pods = group.create_task(replace_pods(bench))
        root = group.create_task(exchange_root(bench))
        group.create_task(change_weights(bench, kube, load, pods, root))
        serials = group.create_task(watch_certificates(bench, pods, root))
    assert load.failed == {}
    assert len(serials.result()) > ROTATIONS
    sent = load.outcomes.total()
    assert min(load.outcomes["v1"], load.outcomes["v2"]) > sent / 10
    async with asyncio.timeout(120):
        while True:
            counted = await bench.counted() - before
            if counted.total() >= sent:
                break
            await asyncio.sleep(0.2)
    assert counted == {("200", "mutual_tls"): sent}


def kill(pid: int) -> None:
    """Kill and wait for the end."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([descriptor], [], [])
    os.close(descriptor)


async def test_nothing_fails_while_the_control_plane_is_killed_amid_changes(bench, kube, make_load, cluster):
    await bench.use_lasting_certificates()
    await bench.weight(kube, 50)
    async with make_load() as load:
        for share in (0, 100):
            changing = asyncio.create_task(bench.weight(kube, share))
            pid = cluster.pid(MESH)
            assert pid is not None
            await asyncio.to_thread(kill, pid)
            served = load.outcomes.total()
            await asyncio.to_thread(cluster.start, MESH)
            await changing
            await load.reaches("v2" if share else "v1", 20)
            assert load.outcomes.total() > served
    assert load.failed == {}
