"""How long a changed weight takes until every proxy has it, and what a connected proxy costs the control plane.

    python -m benchmarks.mesh.propagation [--clients 200] [--changes 60] [--services 0]

Real Envoys are among clients that speak the same protocol. The time begins when the control plane hears of the weight (its
loop, with its debounce, is in it; the API server's watch is not). Told apart are when clients get the new routes, when
real Envoys give the first answer of the other version, and when the last proxy has acknowledged. Target: p99 of at most
100 ms with 200 clients.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field

import aiohttp

from benchmarks.mesh.controlplane import CALLERS
from benchmarks.mesh.processes import app, cpu_ms, envoy, listens, machine, percentile, private_mib, python, said, tell

PAUSE = 0.2
"""Seconds between changes, so that each finds quiet proxies."""


@dataclass
class Times:
    """Milliseconds since the control plane heard of a weight.

    Attributes:
        got: Until a client had the new routes, for each client and change.
        answered: Until a real Envoy gave an answer of the other version, likewise.
        acknowledged: Until the last proxy had acknowledged, for each change.
    """

    got: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)


async def until(session: aiohttp.ClientSession, address: str, version: str) -> float:
    """Send one request after the other; return when the first answer of a version came."""
    while True:
        async with session.get("http://payment/", proxy=f"http://{address}:15001") as response:
            body = await response.text()
            if response.status != 200:
                raise RuntimeError(f"{response.status} {body}")
            if body == version:
                return time.monotonic()


async def run(clients: int, changes: int, services: int) -> int:
    block = f"127.{60 + os.getpid() % 60}"
    async with contextlib.AsyncExitStack() as stack:
        arguments = ("-m", "benchmarks.mesh.controlplane", block, str(clients), str(services))
        control = await stack.enter_async_context(python(*arguments))
        port = int((await said(control))[0])
        for address, version in ((f"{block}.1.1", "old"), (f"{block}.1.2", "new")):
            await stack.enter_async_context(app(address, version))
        sidecars = [(f"caller-{n}", f"{block}.0.{n}") for n in range(1, CALLERS + 1)]
        for name, address in (*sidecars, ("payment", f"{block}.1.1"), ("payment-canary", f"{block}.1.2")):
            await stack.enter_async_context(envoy(port, address, name))
            await listens(address, 15021)
        before = private_mib(control.pid)
        many = await stack.enter_async_context(python("-m", "benchmarks.mesh.clients", str(port), block, str(clients)))
        await said(many)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        times, used = Times(), 0.0
        for change in range(changes + 2):
            weight, version = ((100, "new"), (0, "old"))[change % 2]
            asking = [asyncio.create_task(until(session, address, version)) for _, address in sidecars]
            tell(control, weight)
            _, began, all_hold, connected = map(float, await said(control))
            got = [float(t) for t in await said(many)]
            answered = await asyncio.gather(*asking)
            if change == 1:  # the first ones warm the caches
                used = -cpu_ms(control.pid)
            if change >= 2:
                times.got += [(t - began) * 1000 for t in got]
                times.answered += [(t - began) * 1000 for t in answered]
                times.acknowledged.append((all_hold - began) * 1000)
            await asyncio.sleep(PAUSE)
        after, used = private_mib(control.pid), used + cpu_ms(control.pid)
    print(f"{machine()}; {clients} clients and {len(sidecars) + 2} Envoys, {services + 3} Services, {changes} changes")
    print(f"{'milliseconds':38}{'p50':>8}{'p90':>8}{'p99':>8}{'most':>8}")
    for name, found in (
        ("a client has the new routes", times.got),
        ("first answer through a real Envoy", times.answered),
        ("the last proxy has acknowledged", times.acknowledged),
    ):
        shares = "".join(f"{percentile(found, share):8.1f}" for share in (0.5, 0.9, 0.99))
        print(f"{name:38}{shares}{max(found):8.1f}")
    print(f"control plane: {used / changes / connected * 1000:.0f} µs of processor time for each proxy and change")
    each = (after - before) * 1024 / clients
    print(
        f"control plane: {before:.0f} MiB of its own with {len(sidecars) + 2} proxies, {each:.0f} KiB for each further one"
    )
    return 0 if connected == clients + len(sidecars) + 2 else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--services", type=int, default=0, help="Services beside the three that are used")
    found = parser.parse_args()
    raise SystemExit(asyncio.run(run(found.clients, found.changes, found.services)))
