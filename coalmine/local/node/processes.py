"""Processes in sessions of their own, that outlive the agent and are found again by the next one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Process", "adopt", "environment_of", "identity", "launch", "signal_group"]


class Process:
    """The leader of a process group, which may or may not be a child of this agent."""

    def __init__(self, pid: int, mark: str, child: subprocess.Popen[bytes] | None) -> None:
        """Watch a process; use ``launch`` or ``adopt``."""
        self.pid = pid
        self.identity = mark
        self.exit_code: int | None = None
        """Once it ended: 0 to 255, 128 + n for signal n; None where that is not known."""
        self._child = child
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    async def wait(self) -> int | None:
        """Wait for its end and return the exit code, None where that cannot be known."""
        await self._ended.wait()
        return self.exit_code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its process group; nothing happens once it has ended."""
        if not self.ended:
            signal_group(self.pid, number)

    def abandon(self) -> None:
        """Stop watching; the process goes on."""
        if not self.ended:
            self._unwatch()
            if self._child is not None:
                # It is not ours to wait for any more; without this Popen warns when it is collected.
                self._child.returncode = 0

    def _unwatch(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)

    def _reap(self) -> None:
        # The end of a container's first process is the end of all of its processes. The group is signalled before
        # the leader is reaped, while its number cannot belong to anything else.
        signal_group(self.pid, signal.SIGKILL)
        self._unwatch()
        if self._child is not None:
            code = self._child.wait()
            self.exit_code = code if code >= 0 else 128 - code
        self._ended.set()


def launch(
    argv: Sequence[str], *, environment: Mapping[str, str], folder: Path, output: Path, truncate: bool = False
) -> Process:
    """Start a program as the leader of a new session, its output appended to a file.

    Args:
        argv: Program (looked up in the environment's PATH) and arguments.
        environment: All of its environment.
        folder: Working folder.
        output: File for stdout and stderr.
        truncate: Empty that file first.

    Raises:
        OSError: The program or the folder does not exist or may not be used.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"workingDir {str(folder)!r} is not a folder of this machine")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if truncate else 0)
    descriptor = os.open(output, flags, 0o644)
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    return Process(child.pid, identity(child.pid) or "", child)


def adopt(pid: int, mark: str) -> Process | None:
    """Watch a process that an earlier agent started.

    Args:
        pid: Its number.
        mark: Its identity, as recorded.

    Returns:
        The process; None where it has ended.
    """
    if identity(pid) != mark:
        return None
    try:
        return Process(pid, mark, None)
    except ProcessLookupError:
        return None


def identity(pid: int) -> str | None:
    """Return what no other process with this number has: the machine's boot and the process's start.

    Returns:
        None where no such process runs (one that ended and was not yet waited for does not run).
    """
    try:
        # The command's name is in parentheses and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, start = fields[0], fields[19]
    return None if state in "ZX" else f"{_boot()}/{start}"


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; empty where it cannot be read."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(entry).partition("=") for entry in content.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal every process of a group; one that is gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
