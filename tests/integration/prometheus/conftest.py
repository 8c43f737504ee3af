"""A real Prometheus that scrapes real pods' /metrics: HTTP servers of ours on loopback."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from running.controllers import free_port

from analysis.providers.base import ConfigurationError, Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

BUILDER = Path(__file__).parents[2] / "tools" / "prometheus" / "build.py"
PATIENCE = 30.0
LATENCY = "http_request_duration_seconds"


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Return the condition's first true answer."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if answer := await condition():
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE:g} s: {what}")


@dataclass
class Pod:
    """A pod with a /metrics page.

    Attributes:
        name: Its name.
        codes: Requests by status code.
        le: Requests by latency bucket, cumulative, by bound in seconds.
    """

    name: str
    port: int = field(default_factory=free_port)
    codes: dict[str, int] = field(default_factory=lambda: {"200": 0})
    le: dict[str, int] = field(default_factory=lambda: {"0.1": 0, "1": 0, "+Inf": 0})
    scrapes: int = 0
    runner: web.AppRunner | None = None

    def serve(self, code: str, count: int, bucket: str | None = None) -> None:
        """Count requests."""
        self.codes[code] = self.codes.get(code, 0) + count
        bounds = list(self.le)
        for bound in bounds[bounds.index(bucket or bounds[0]) :]:
            self.le[bound] += count

    def page(self) -> str:
        lines = ["# TYPE http_requests_total counter"]
        lines += [f'http_requests_total{{code="{code}"}} {count}' for code, count in self.codes.items()]
        lines.append(f"# TYPE {LATENCY} histogram")
        lines += [f'{LATENCY}_bucket{{le="{bound}"}} {count}' for bound, count in self.le.items()]
        lines += [f"{LATENCY}_sum 1", f"{LATENCY}_count {self.le['+Inf']}"]
        return "\n".join(lines) + "\n"

    async def start(self) -> None:
        async def metrics(_: web.Request) -> web.Response:
            self.scrapes += 1
            return web.Response(text=self.page(), headers={"Content-Type": "text/plain; version=0.0.4"})

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def scraped(self, times: int = 2) -> None:
        """Wait until what it counts now was scraped, and stands in a later sample as well."""
        wanted = self.scrapes + times

        async def enough() -> bool:
            return self.scrapes >= wanted

        await until(enough, f"{times} scrapes of {self.name}")


class Prometheus:
    """A running server."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, pods: list[Pod]) -> None:
        scraped = [
            {"targets": [f"127.0.0.1:{pod.port}"], "labels": {"pod": pod.name, "app": "payment"}} for pod in pods
        ]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "900ms"},
            "scrape_configs": [{"job_name": "payment", "static_configs": scraped}],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    async def start(self) -> None:
        command = [
            self.program,
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-otlp-receiver",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220 - forks once, and is done
        await until(self.ready, "Prometheus is ready")

    async def ready(self) -> bool:
        with suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"{self.address}/-/ready") as answer:
                return answer.status == 200
        return False

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    async def push(self, body: bytes) -> None:
        """Take OTLP metrics (protobuf)."""
        url = f"{self.address}/api/v1/otlp/v1/metrics"
        headers = {"Content-Type": "application/x-protobuf"}
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()


@pytest.fixture(scope="session")
def program() -> str:
    """The real Prometheus, built on first use."""
    built = subprocess.run([sys.executable, str(BUILDER)], stdout=subprocess.PIPE, check=True, text=True)
    return built.stdout.strip()


@pytest.fixture
async def make(program: str, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[tuple[Prometheus, list[Pod]]]]]:
    """Starts pods by name, and a Prometheus that scrapes them every second."""
    server = Prometheus(program, tmp_path)
    pods: list[Pod] = []

    async def start(*names: str) -> tuple[Prometheus, list[Pod]]:
        pods.extend(Pod(name) for name in names)
        for pod in pods:
            await pod.start()
        server.configure(pods)
        await server.start()
        for pod in pods:
            await pod.scraped(1)
        return server, pods

    yield start
    for pod in pods:
        await pod.stop()
    server.kill(signal.SIGTERM)


@pytest.fixture
def secrets() -> dict[tuple[str, str], str]:
    """The Secrets' values by name and key."""
    return {}


@pytest.fixture
def context(secrets: dict[tuple[str, str], str]) -> Context:
    """What sources are opened with."""

    async def read(name: str, key: str) -> str:
        if (name, key) not in secrets:
            raise ConfigurationError(f"Secret {name} has no key {key}")
        return secrets[name, key]

    return Context(namespace="shop", secret=read, clock=time.time)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[Any]]:
    """Waits for a condition."""
    return until
