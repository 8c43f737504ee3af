"""Giving each local cluster of this machine pod addresses of its own: 127.0.0.0/16, then 127.1.0.0/16, and so on.

Loopback addresses are shared by the whole machine, so two clusters that gave the same address to a pod would collide.
A claim is a small file; it counts while the cluster that wrote it has a living process.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from coalmine.local.errors import LocalError
from coalmine.local.layout import START_ORDER, Layout
from coalmine.local.processes import ProcessRecord, adopt_self, read_record

__all__ = ["claim", "claims_dir"]

_RANGES: Final = 250


def claims_dir() -> Path:
    """Return the folder of this user's claims."""
    return Path(tempfile.gettempdir()) / f"coalmine-pod-ranges-{os.getuid()}"


def claim(layout: Layout, *, preferred: str | None, folder: Path | None = None) -> str:
    """Return a range that no other running cluster of this user has, and claim it.

    Args:
        layout: The cluster that asks; it may always have its own range again.
        preferred: The range it had before, or that was asked for; taken if it is free.
        folder: Where the claims are.

    Raises:
        LocalError: All of them are taken.
    """
    folder = claims_dir() if folder is None else folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise LocalError(f"{folder} belongs to another user, who could change our pod ranges: have it removed")
    candidates = [preferred] if preferred else []
    candidates += [f"127.{octet}.0.0/16" for octet in range(_RANGES)]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for candidate in candidates:
            path = folder / candidate.replace("/", "_")
            if _is_free(path, layout):
                path.write_text(json.dumps({"state_dir": str(layout.root), "claimed_by": asdict(adopt_self())}))
                return candidate
    raise LocalError(f"every pod range 127.x.0.0/16 is taken by a running cluster; see the files in {folder}")


def _is_free(path: Path, layout: Layout) -> bool:
    try:
        data = json.loads(path.read_text())
        owner = Layout(Path(data["state_dir"]))
        by = data["claimed_by"]
        claimer = ProcessRecord(int(by["pid"]), int(by["started"]), str(by["boot"]), tuple(by["command"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return True
    if owner.root == layout.root:
        return True
    # Between the claim and its first process only the process that claimed is alive.
    return not ((claimer.alive() and owner.root.exists()) or _runs(owner))


def _runs(owner: Layout) -> bool:
    return any((record := read_record(owner.record(name))) is not None and record.alive() for name in START_ORDER)
