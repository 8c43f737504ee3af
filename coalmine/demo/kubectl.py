"""The real kubectl (and git), called without blocking the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

__all__ = ["Finished", "Kubectl", "run"]

_LINE_LIMIT = 16 * 1024 * 1024
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended.

    Attributes:
        code: Its exit code; negative for the signal that ended it.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str


@contextlib.asynccontextmanager
async def _started(*command: str, **options: Any) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """Start a program and see to it that it has ended when the context is left, however that is."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=_LINE_LIMIT, **options
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _END_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


async def run(*command: str, env: dict[str, str] | None = None) -> Finished:
    """Run a program to its end."""
    async with _started(*command, stderr=asyncio.subprocess.PIPE, env=env) as process:
        out, err = await process.communicate()
        return Finished(process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl for one cluster and one namespace.

    Attributes:
        program: The binary.
        kubeconfig: Which cluster, and as whom.
        cache: Its discovery cache.
        namespace: Used unless a manifest names another one.
    """

    program: Path
    kubeconfig: Path
    cache: Path
    namespace: str

    def command(self, *args: str) -> Sequence[str]:
        """Return the whole command line."""
        common = (f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}", f"--namespace={self.namespace}")
        return (str(self.program), *common, *args)

    async def __call__(self, *args: str) -> Finished:
        """Run ``kubectl ARGS`` to its end."""
        return await run(*self.command(*args))

    async def lines(self, *args: str) -> AsyncGenerator[str, None]:
        """Yield the lines of stdout and stderr as they come; the last one is ``exit code N``."""
        async with _started(*self.command(*args), stderr=asyncio.subprocess.STDOUT) as process:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            async for line in process.stdout:
                yield line.decode("utf-8", "replace").rstrip("\n")
            yield f"exit code {await process.wait()}"

    async def watch(self, resource: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Yield every change of the objects of one kind, as event type and object, until the watch ends."""
        arguments = ("get", resource, "--watch", "--output-watch-events", "--output=json")
        async with contextlib.aclosing(self.lines(*arguments)) as stream:
            async for line in stream:
                if line.startswith("{"):  # each event is one line; other lines are kubectl's own words
                    event = json.loads(line)
                    yield event["type"], event["object"]
