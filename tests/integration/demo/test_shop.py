"""The shop's programs as real processes, without Kubernetes."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest

from coalmine.demo.records import LoadLine, parse_line
from coalmine.demo.shop import shop_folder

pytestmark = pytest.mark.integration

SECONDS = 30


def free_address() -> str:
    """An address of this machine on which nobody has the shop's port."""
    for host in range(2, 250):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((f"127.77.0.{host}", 8080))
            return f"127.77.0.{host}"
    pytest.fail("no free address")


@contextlib.asynccontextmanager
async def program(name: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("proxy")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(shop_folder() / name), env=clean | env, stdout=asyncio.subprocess.PIPE, limit=1 << 24
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@contextlib.asynccontextmanager
async def server(name: str, **env: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    address = free_address()
    async with program(name, POD_IP=address, **env) as process:
        url = f"http://{address}:8080"
        async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{url}/healthz"):
                        break
                await asyncio.sleep(0.02)
        yield url, process


async def lines(process: asyncio.subprocess.Process, count: int) -> list[LoadLine]:
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        return [parse_line((await process.stdout.readline()).decode()) for _ in range(count)]


async def test_every_request_is_on_record_with_the_version_that_answered() -> None:
    async with (
        server("payment.py", VERSION="v7", LATENCY_MS="1") as (payment, _),
        server("frontend.py", PAYMENT_URL=f"{payment}/charge") as (frontend, _),
        program("load.py", TARGET_URL=f"{frontend}/", RATE="50") as load,
    ):
        seen = await lines(load, 2)
        load.send_signal(signal.SIGTERM)
        assert load.stdout is not None
        async with asyncio.timeout(SECONDS):
            seen += [parse_line(text.decode()) async for text in load.stdout]
    requests = [r for line in seen for r in line.requests]
    assert len(requests) == sum(line.sent for line in seen)
    assert {(r.status, r.version, r.note) for r in requests} == {(200, "v7", "")}
    assert [line.seq for line in seen] == list(range(len(seen)))


async def test_a_failure_on_purpose_says_so_and_another_does_not() -> None:
    async with (
        server("payment.py", VERSION="v7", LATENCY_MS="1", ERROR_RATE="1") as (payment, process),
        server("frontend.py", PAYMENT_URL=f"{payment}/charge") as (frontend, _),
        program("load.py", TARGET_URL=f"{frontend}/", RATE="50") as load,
    ):
        first = await lines(load, 1)
        process.kill()
        await process.wait()
        later = await lines(load, 2)
    assert all(r.injected and r.version == "v7" for r in first[0].requests)
    ours = later[-1].requests
    assert ours
    assert all(r.failed and not r.injected and "frontend to payment" in r.note for r in ours)


async def test_a_server_that_is_told_to_end_fails_nothing() -> None:
    async with (
        server("payment.py", LATENCY_MS="300", LATENCY_SPREAD="0", DRAIN_SECONDS="0.2") as (payment, process),
        aiohttp.ClientSession() as session,
    ):
        under_way = [asyncio.create_task(session.get(f"{payment}/charge")) for _ in range(5)]
        async with session.get(f"{payment}/healthz"):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            async with session.get(f"{payment}/charge") as late:  # it still accepts for a moment
                assert late.status == 200
            answers = await asyncio.gather(*under_way)
            assert await process.wait() == 0
    assert [a.status for a in answers] == [200] * 5
