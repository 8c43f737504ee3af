"""The sources of the control plane's programs, in order, and what each says when it cannot serve."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coalmine.local.binaries import build, download
from coalmine.local.binaries.cache import cache_dir, locked
from coalmine.local.binaries.versions import CONTROL_PLANE, KUBECTL
from coalmine.local.errors import BinaryUnavailableError, SourceUnusableError
from coalmine.local.progress import Progress

__all__ = ["Binaries", "obtain"]

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"

Fetch = Callable[[str, Path, Progress, Mapping[str, str]], Path]
"""Puts the named program into the folder, or raises BinaryUnavailableError with the reason."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are."""

    etcd: Path
    apiserver: Path
    controller_manager: Path
    kubectl: Path


def obtain(progress: Progress, *, env: Mapping[str, str] | None = None, cache: Path | None = None) -> Binaries:
    """Return the programs, from the first source that has them.

    Args:
        progress: Where the sources say what they do, and why they cannot serve.
        env: The environment; this process's by default.
        cache: Our folder of programs; the user's cache by default.

    Raises:
        BinaryUnavailableError: No source has one of them.
    """
    env = os.environ if env is None else env
    folder = cache_dir() if cache is None else cache
    reasons: list[str] = []
    found = _assets(env, reasons)
    for reason in reasons:
        progress.line(reason)
    if found is None:
        found = _cached_or_fetched(CONTROL_PLANE, folder, progress, env)
    kubectl = found.get(KUBECTL) or _kubectl(env) or _cached_or_fetched((KUBECTL,), folder, progress, env)[KUBECTL]
    return Binaries(found["etcd"], found["kube-apiserver"], found["kube-controller-manager"], kubectl)


def _assets(env: Mapping[str, str], reasons: list[str]) -> dict[str, Path] | None:
    if not (value := env.get(ASSETS_VARIABLE)):
        return None
    folder = Path(value).absolute()
    # Its parts are used together or not at all: a controller-manager must not be newer than the apiserver.
    if missing := [name for name in CONTROL_PLANE if not _runnable(folder / name)]:
        reasons.append(f"{ASSETS_VARIABLE}={value} has no {', '.join(missing)}: not used")
        return None
    return {name: folder / name for name in (*CONTROL_PLANE, KUBECTL) if _runnable(folder / name)}


def _kubectl(env: Mapping[str, str]) -> Path | None:
    found = shutil.which(KUBECTL, path=env.get("PATH"))
    return Path(found).absolute() if found else None


def _cached_or_fetched(
    names: Sequence[str], folder: Path, progress: Progress, env: Mapping[str, str]
) -> dict[str, Path]:
    if any(not _runnable(folder / name) for name in names):
        with locked(folder, progress):
            missing = [name for name in names if not _runnable(folder / name)]
            if missing:
                progress.line(f"{', '.join(missing)}: not yet in {folder}")
                _fetch(missing, folder, progress, env)
    return {name: folder / name for name in names}


def _fetch(missing: Sequence[str], folder: Path, progress: Progress, env: Mapping[str, str]) -> None:
    sources: tuple[tuple[str, Fetch], ...] = (("download", download.fetch), ("Go build", build.fetch))
    reasons: list[str] = []
    for title, fetch in sources:
        still = list(missing)
        for name in missing:
            try:
                fetch(name, folder, progress, env)
                still.remove(name)
            except BinaryUnavailableError as error:
                reasons.append(f"{title}: {error}")
                progress.line(reasons[-1])
                if isinstance(error, SourceUnusableError):
                    break
        missing = still
    if missing:
        raise BinaryUnavailableError(
            f"no source has {', '.join(missing)}:\n  "
            + "\n  ".join(reasons)
            + f"\nPut them into a folder and set {ASSETS_VARIABLE} to it."
        )


def _runnable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
