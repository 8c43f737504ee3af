"""Whether this user may still watch files: every sidecar does, and an Envoy that may not aborts."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

from mesh.proxy.identityfiles import INOTIFY_INSTANCES

__all__ = ["shortage"]

_LIMIT: Final = Path("/proc/sys/fs/inotify/max_user_instances")
_PODS: Final = 12
_ITSELF: Final = 6
"""Instances that etcd, the apiserver and the other components take."""


def shortage(wanted: int = _ITSELF + _PODS * INOTIFY_INSTANCES) -> str | None:
    """Return what to say when this user cannot have so many inotify instances; None when it can, or where there are none."""
    make = getattr(ctypes.CDLL(None), "inotify_init1", None)
    if make is None:
        return None
    made: list[int] = []
    try:
        while len(made) < wanted and (instance := make(os.O_CLOEXEC)) >= 0:
            made.append(instance)
    finally:
        for instance in made:
            os.close(instance)
    if len(made) >= wanted:
        return None
    return (
        f"this user can have {len(made)} more inotify instances, and {_PODS} pods with sidecars need {wanted}: Envoys "
        f"that get none abort (now fs.inotify.max_user_instances={_limit()}; `sysctl -w fs.inotify.max_user_instances=1024`)"
    )


def _limit() -> str:
    try:
        return _LIMIT.read_text().strip()
    except OSError:
        return "unknown"
