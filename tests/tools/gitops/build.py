"""Builds an applier that the tests run, once for each set of sources and pinned modules, and prints where it is.

``build.py helm``, and for ``make test-gitops`` ``build.py flux`` and ``build.py argo``. It lies in the user's cache beside Kubernetes' programs. ``COALMINE_HELM`` names a program to use instead.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import platformdirs
from rich.console import Console

from coalmine.local.binaries import toolchain
from coalmine.local.binaries.build import compile_program
from coalmine.local.binaries.cache import install, locked
from coalmine.local.binaries.versions import architecture
from coalmine.local.progress import ConsoleProgress

SOURCE: Final = Path(__file__).parent
PACKAGES: Final = {"helm": "helm.sh/helm/v3/cmd/helm", "flux": ".", "argo": "."}


def obtain(name: str) -> Path:
    """Return the program, built now if it is not there yet."""
    if named := os.environ.get(f"COALMINE_{name.upper()}"):
        return Path(named)
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources(name))).hexdigest()[:12]
    home = Path(platformdirs.user_cache_dir("coalmine"))
    folder = home / "gitops" / f"{name}-{digest}-linux-{architecture()}"
    progress = ConsoleProgress(Console(stderr=True))
    if not (folder / name).exists():
        with locked(folder, progress):
            if not (folder / name).exists():
                build(name, folder, home, progress)
    return folder / name


def sources(name: str) -> list[Path]:
    """Return what decides what is built."""
    return [SOURCE / name / "go.mod", *sorted((SOURCE / name).glob("*.go"))]


def build(name: str, folder: Path, home: Path, progress: ConsoleProgress) -> None:
    """Build it into ``folder``."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as scratch:
        module = Path(scratch)
        for file in (*sources(name), SOURCE / name / "go.sum"):
            (module / file.name).write_bytes(file.read_bytes())
        # A Go of our own, if there has to be one, is the one that builds Kubernetes.
        go = toolchain.find(module, home, progress, os.environ)
        with progress.task(f"building {name} with Go for the tests (minutes, once)") as update:
            compile_program(PACKAGES[name], module / name, go, os.environ, update)
        install(module / name, folder, name)
    progress.line(f"{name}: built in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PACKAGES:
        sys.exit(f"usage: build.py {{{','.join(PACKAGES)}}}")
    print(obtain(sys.argv[1]))  # noqa: T201 - the answer
