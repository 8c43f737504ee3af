"""Ending what a node runs, without an agent and without an apiserver."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coalmine.local.node.processes import identity, signal_group
from coalmine.local.node.records import PodFolder, pod_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coalmine.local.node.records import ContainerRecord

__all__ = ["end_strays", "kill_all"]

_POLL_SECONDS: Final = 0.02


def kill_all(state_dir: Path, *, grace_seconds: float = 5.0) -> int:
    """End every pod process of a node. The agent must have ended before, or it starts them again.

    Records stay, so that an agent which is started again with this folder finds its pods and restarts them.

    Args:
        state_dir: The agent's state folder; it may be missing.
        grace_seconds: Time between SIGTERM and SIGKILL.

    Returns:
        How many containers were running.
    """
    found = running = _alive([record for folder in pod_folders(state_dir) for record in folder.records()])
    for record in running:
        signal_group(record.pid, signal.SIGTERM)
    end = time.monotonic() + grace_seconds
    while (running := _alive(running)) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    for record in found:
        # Also where the leader has gone: it may have left children behind.
        if identity(record.pid) in (None, record.identity):
            signal_group(record.pid, signal.SIGKILL)
    while running := _alive(running):
        time.sleep(_POLL_SECONDS)
    for pid, _ in _leaders(state_dir):
        signal_group(pid, signal.SIGKILL)
    return len(found)


def end_strays(state_dir: Path) -> None:
    """End what an agent had started when it was killed, before it could write that down: containers and probes."""
    for pid, output in _leaders(state_dir):
        record = PodFolder(output.parent.parent).load(output.parent.name)
        # Something else that writes to a living container's log is that container's own child.
        if output.suffix != ".log" or record is None or not _alive([record]):
            signal_group(pid, signal.SIGKILL)


def _leaders(state_dir: Path) -> Iterator[tuple[int, Path]]:
    """Find the leaders of process groups that write to files of the node's pods."""
    pods = (state_dir / "pods").resolve()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            output = (entry / "fd" / "1").readlink()
            leads = os.getpgid(int(entry.name)) == int(entry.name)
        except OSError:
            # It has ended meanwhile, or is another user's.
            continue
        if leads and output.is_relative_to(pods):
            yield int(entry.name), output


def _alive(records: list[ContainerRecord]) -> list[ContainerRecord]:
    return [record for record in records if record.ended is None and identity(record.pid) == record.identity]
