"""What a sidecar adds to a request: directly, through one Envoy, and through two with mutual TLS, in one run.

    python -m benchmarks.mesh.hop [--seconds 20] [--rate 200]

The three take turns request by request, so that what else the machine does hits them alike: read the differences.
Targets: two hops add at most 0.7 ms at p50 and 2 ms at p99; a sidecar has at most 16 MiB of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from typing import cast

from benchmarks.mesh.processes import app, cpu_ms, envoy, listens, machine, percentile, private_mib, python, said

CONNECTIONS = 8
WARM = 200


class Connection(asyncio.Protocol):
    """Sends a request and times its answer."""

    def __init__(self, request: bytes, times: list[float]) -> None:
        self._request = request
        self._times = times
        self._transport: asyncio.WriteTransport
        self._began = 0.0
        self._got = b""
        self.busy = False
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def send(self) -> None:
        self.busy, self._got, self._began = True, b"", time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if found and body.endswith(b"ok"):
            self._times.append(time.perf_counter() - self._began)
            self.failed += not head.startswith(b"HTTP/1.1 200")
            self.busy = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.failed += self.busy


async def connect(address: str, port: int, url: str, times: list[float]) -> list[Connection]:
    host = url.removeprefix("http://").partition("/")[0] or address
    request = f"GET {url} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Connection(request, times), address, port) for _ in range(CONNECTIONS)]
    return [protocol for _, protocol in made]


async def measure(routes: dict[str, list[Connection]], rate: float, seconds: float) -> int:
    """Send requests at an even pace, each route in its turn; return how many found no free connection."""
    began, sent, late = time.perf_counter(), 0, 0
    while (now := time.perf_counter() - began) < seconds:
        while sent < now * rate:
            for connections in routes.values():
                free = next((c for c in connections if not c.busy), None)
                if free is None:
                    late += 1
                else:
                    free.send()
            sent += 1
        await asyncio.sleep(0.0005)
    await asyncio.sleep(0.5)
    return late


async def run(seconds: float, rate: float) -> int:
    block = f"127.{60 + os.getpid() % 60}"
    async with contextlib.AsyncExitStack() as stack:
        control = await stack.enter_async_context(python("-m", "benchmarks.mesh.controlplane", block, "0", "0"))
        port = int((await said(control))[0])
        for address in (f"{block}.1.1", f"{block}.1.3"):
            await stack.enter_async_context(app(address, "ok"))
            await listens(address, 8080)
        sidecars = {}
        for name, address in (("caller-1", f"{block}.0.1"), ("payment", f"{block}.1.1")):
            sidecars[name] = await stack.enter_async_context(envoy(port, address, name))
            await listens(address, 15021)
        times: dict[str, list[float]] = {"direct": [], "one hop, plaintext": [], "two hops, mutual TLS": []}
        direct, one, two = times.values()
        routes = {
            "direct": await connect(f"{block}.1.3", 8080, "/", direct),
            "one": await connect(f"{block}.0.1", 15001, "http://plain/", one),
            "two": await connect(f"{block}.0.1", 15001, "http://payment/", two),
        }
        await measure(routes, rate, WARM / rate)
        for found in times.values():
            found.clear()
        before = {name: cpu_ms(sidecar.pid) for name, sidecar in sidecars.items()}
        late = await measure(routes, rate, seconds)
        used = {name: cpu_ms(sidecar.pid) - before[name] for name, sidecar in sidecars.items()}
        each = {"caller-1": used["caller-1"] / (len(one) + len(two)), "payment": used["payment"] / len(two)}
        memory = {name: private_mib(sidecar.pid) for name, sidecar in sidecars.items()}
        failed = sum(c.failed for connections in routes.values() for c in connections)
    print(f"{machine()}; {rate:.0f} requests a second each, {CONNECTIONS} connections")
    report(times)
    for name, mib in memory.items():
        print(
            f"sidecar {name}: {mib:.1f} MiB of its own, {each[name] * 1000:.0f} µs of processor time for each request"
        )
    print(f"failed: {failed}; not sent, since all connections waited: {late}")
    return 1 if failed else 0


def report(times: dict[str, list[float]]) -> None:
    shares = (0.5, 0.9, 0.99)
    heads = [f"p{share * 100:.0f} ms" for share in shares] + [f"adds p{share * 100:.0f}" for share in shares]
    print(f"{'':24}{'requests':>9}" + "".join(f"{head:>10}" for head in heads))
    base = [percentile(times["direct"], share) * 1000 for share in shares]
    for name, found in times.items():
        here = [percentile(found, share) * 1000 for share in shares]
        added = [] if found is times["direct"] else [h - b for h, b in zip(here, base, strict=True)]
        print(f"{name:24}{len(found):9}" + "".join(f"{number:10.2f}" for number in (*here, *added)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=200, help="requests a second of each of the three")
    arguments = parser.parse_args()
    raise SystemExit(asyncio.run(run(arguments.seconds, arguments.rate)))
