"""Ending what a node runs, without an agent and without an apiserver."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from coalmine.local.node.processes import identity, signal_group
from coalmine.local.node.records import pod_folders

if TYPE_CHECKING:
    from pathlib import Path

    from coalmine.local.node.records import ContainerRecord

__all__ = ["kill_all"]

_POLL_SECONDS = 0.02


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
    return len(found)


def _alive(records: list[ContainerRecord]) -> list[ContainerRecord]:
    return [record for record in records if record.ended is None and identity(record.pid) == record.identity]
