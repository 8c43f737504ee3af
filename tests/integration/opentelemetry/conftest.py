"""The receiver on a real socket, and pods: processes with the real OpenTelemetry SDK."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from analysis.providers.opentelemetry import PATH, Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

BUILDER = Path(__file__).parents[2] / "tools" / "opentelemetry" / "build.py"
SCRIPT = Path(__file__).with_name("pod.py")
PATIENCE = 30.0


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Return the condition's first true answer."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if answer := await condition():
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE:g} s: {what}")


@pytest.fixture(scope="session")
def sdk() -> str:
    """Where the real SDK is, installed on first use."""
    found = subprocess.run([sys.executable, str(BUILDER)], stdout=subprocess.PIPE, check=True, text=True)
    return found.stdout.strip()


@pytest.fixture
def run_with_sdk(sdk: str) -> Callable[[str], str]:
    """Runs a script with the SDK, and returns what it prints."""

    def run(script: str) -> str:
        command = [sys.executable, "-S", "-c", script]
        environment = {"PYTHONPATH": sdk}
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout

    return run


class Server:
    """A receiver that listens.

    Attributes:
        receiver: What listens.
        url: Where metrics are sent.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.url = ""
        self._runner = web.AppRunner(receiver.app())

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}{PATH}"

    async def stop(self) -> None:
        await self._runner.cleanup()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Starts receivers."""
    started: list[Server] = []

    async def start(**written: Any) -> Server:
        server = Server(Receiver(clock=time.time, **written))
        await server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        await server.stop()


class Pod:
    """A process that serves what it is told to."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    async def said(self) -> str:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        assert line, f"{self.name} has ended"
        return line.decode().strip()

    async def serves(self, *requests: tuple[int, float, int]) -> None:
        """Serve requests (status, seconds, times), and return when they have been exported."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(requests).encode() + b"\n")
        assert await self.said() == "done"

    async def kill(self) -> None:
        """End it without a word."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@pytest.fixture
async def start_pod(sdk: str) -> AsyncIterator[Callable[..., Awaitable[Pod]]]:
    """Starts pods that export to a server every second."""
    started: list[Pod] = []

    async def start(name: str, server: Server, protocol: str = "proto", **environment: str) -> Pod:
        settings = {
            "PYTHONPATH": sdk,
            "PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": server.url,
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_RESOURCE_ATTRIBUTES": f"k8s.pod.name={name}",
        }
        environment = {"PATH": os.environ["PATH"]} | settings | environment
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-S",
            str(SCRIPT),
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        pod = Pod(name, process)
        started.append(pod)
        assert await pod.said() == "ready"
        return pod

    yield start
    for pod in started:
        await pod.kill()


@pytest.fixture
def eventually() -> Callable[..., Awaitable[Any]]:
    """Waits for a condition."""
    return until
