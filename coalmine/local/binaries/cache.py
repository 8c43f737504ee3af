"""Our folder of programs: filled by one process at a time, and each file appears in it complete or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from coalmine.local.binaries.versions import label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coalmine.local.progress import Progress

__all__ = ["cache_dir", "install", "locked"]


def cache_dir() -> Path:
    """Return the folder of the programs in our versions."""
    return Path(platformdirs.user_cache_dir("coalmine")) / "kubernetes" / label()


def install(source: Path, folder: Path, name: str) -> Path:
    """Copy a program into the cache; a half-written one is never seen under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as target, source.open("rb") as origin:
            shutil.copyfileobj(origin, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
        Path(temporary).chmod(0o755)
        Path(temporary).replace(folder / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return folder / name


@contextlib.contextmanager
def locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the folder: another process that wants to fill it waits, and then finds it filled."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.task("waiting for another coalmine that is fetching the same programs"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
