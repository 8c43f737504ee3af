"""Starting, finding and ending the cluster's own processes, and never anybody else's.

A process is recorded with its number, the moment it began (in clock ticks since boot, from ``/proc``) and the boot it
belongs to. A number that the kernel has given to another process in the meantime is thus told apart.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coalmine.local.errors import LocalError
from coalmine.local.pki import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ProcessRecord", "adopt_self", "end", "living", "read_record", "start", "tail"]

_KILL_SECONDS = 10.0
_LOG_BYTES = 20_000_000
"""A log that is larger is put aside when its component is started; one older log is kept."""
_STATE_FIELD = 0
_START_TIME_FIELD = 19
"""Fields of ``/proc/<pid>/stat`` counted after the command name (proc(5): fields 3 and 22)."""


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process.

    Attributes:
        pid: Its number.
        started: When it began, in clock ticks since boot.
        boot: Identifies the boot that ``started`` counts from.
        command: Its arguments, for people to read.
    """

    pid: int
    started: int
    boot: str
    command: tuple[str, ...]

    def alive(self) -> bool:
        """Return whether exactly this process still runs; one that has ended and waits for its parent does not."""
        _reap(self.pid)
        if _boot_id() != self.boot:
            return False
        stat = _stat(self.pid)
        return stat is not None and stat[_STATE_FIELD] not in "ZX" and int(stat[_START_TIME_FIELD]) == self.started


def start(command: Sequence[str], *, log: Path, record: Path, env: Mapping[str, str]) -> ProcessRecord:
    """Start a program in a session of its own, so that it outlives this one.

    Args:
        command: Path of the program and its arguments.
        log: What it writes is appended here.
        record: Where the process is recorded.
        env: Its whole environment.

    Raises:
        LocalError: The program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        # Not subprocess: a Popen object wants to be waited for, and these processes are meant to be left alone.
        pid = os.posix_spawn(
            command[0],
            list(command),
            dict(env),
            setsid=True,
            setsigdef=[signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE],
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
    except OSError as error:
        raise LocalError(f"{command[0]} cannot be started: {error.strerror}") from error
    process = _identify(pid, tuple(command))
    write_private(record, json.dumps(asdict(process), indent=1).encode())
    return process


def adopt_self() -> ProcessRecord:
    """Return the record of this very process."""
    return _identify(os.getpid(), ("this process",))


def read_record(path: Path) -> ProcessRecord | None:
    """Read a record; None if there is none, or if it cannot be understood."""
    try:
        data = json.loads(path.read_text())
        return ProcessRecord(int(data["pid"]), int(data["started"]), str(data["boot"]), tuple(data["command"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def living(path: Path) -> ProcessRecord | None:
    """Return the recorded process if it runs."""
    record = read_record(path)
    return record if record is not None and record.alive() else None


def end(process: ProcessRecord, *, first: signal.Signals = signal.SIGTERM, grace: float) -> bool:
    """End a process: ``first``, and after ``grace`` seconds SIGKILL.

    Returns:
        Whether it ended by itself, that is without SIGKILL (or was gone already).
    """
    try:
        # A file descriptor of the process: between the look and the signal the number cannot pass to another one.
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if not process.alive():
            return True
        _signal(descriptor, first)
        if _ended(process, descriptor, grace):
            return True
        _signal(descriptor, signal.SIGKILL)
        if not _ended(process, descriptor, _KILL_SECONDS):
            raise LocalError(f"process {process.pid} ({process.command[0]}) does not end, not even by SIGKILL")
        return False
    finally:
        os.close(descriptor)


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log, or an empty text."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _ended(process: ProcessRecord, descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(seconds * 1000)
    return not process.alive()


def _signal(descriptor: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)


def _reap(pid: int) -> None:
    """Take the exit status of a child of ours; the processes of an earlier command are not our children."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _identify(pid: int, command: tuple[str, ...]) -> ProcessRecord:
    stat = _stat(pid)
    # A process that has ended already leaves nothing to compare with: no process begins at tick -1.
    started = -1 if stat is None else int(stat[_START_TIME_FIELD])
    return ProcessRecord(pid, started, _boot_id(), command)


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
