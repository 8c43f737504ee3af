"""Builds the Prometheus (or promtool) that the tests run, once for each version, and prints where it is.

    python tests/tools/prometheus/build.py [prometheus | promtool]

It lies in the user's cache beside Kubernetes' programs. ``COALMINE_PROMETHEUS`` and ``COALMINE_PROMTOOL`` name programs to
use instead. The build leaves out the web interface and all service discoveries, which the tests do not use.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import platformdirs
from rich.console import Console

from coalmine.local.binaries import toolchain
from coalmine.local.binaries.build import compile_program
from coalmine.local.binaries.cache import install, locked
from coalmine.local.binaries.versions import architecture
from coalmine.local.progress import ConsoleProgress

PROGRAMS = {"prometheus": "COALMINE_PROMETHEUS", "promtool": "COALMINE_PROMTOOL"}
"""What is built, and the variable that names one to use instead."""
PACKAGES = "github.com/prometheus/prometheus/cmd"
TAGS = "netgo,remove_all_sd"
SOURCE = Path(__file__).parent


def obtain(name: str = "prometheus") -> Path:
    """Return a program, built now if it is not there yet."""
    if named := os.environ.get(PROGRAMS[name]):
        return Path(named)
    pinned = re.search(r"prometheus/prometheus v0\.(\d+)(\d\d)\.(\d+)", (SOURCE / "go.mod").read_text(encoding="utf-8"))
    if pinned is None:
        sys.exit(f"{SOURCE}/go.mod does not require a version of prometheus")
    version = f"{pinned[1]}.{int(pinned[2])}.{pinned[3]}"  # Prometheus 3.15.0 is the module's v0.315.0
    home = Path(platformdirs.user_cache_dir("coalmine"))
    folder = home / "prometheus" / f"v{version}-linux-{architecture()}"
    program = folder / name
    progress = ConsoleProgress(Console(stderr=True))
    if not program.exists():
        with locked(folder, progress):
            if not program.exists():
                build(name, version, folder, home, progress)
    return program


def build(name: str, version: str, folder: Path, home: Path, progress: ConsoleProgress) -> None:
    """Build it into ``folder``."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as scratch:
        module = Path(scratch)
        for file in ("go.mod", "go.sum"):
            (module / file).write_bytes((SOURCE / file).read_bytes())
        # A Go of our own, if there has to be one, is the one that builds Kubernetes.
        go = toolchain.find(module, home, progress, os.environ)
        flags = f"-s -w -X github.com/prometheus/common/version.Version={version}"
        with progress.task(f"building {name} {version} with Go for the tests (minutes, once)") as update:
            target = module / name
            compile_program(f"{PACKAGES}/{name}", target, go, os.environ, update, flags=flags, tags=TAGS)
        install(target, folder, name)
    progress.line(f"{name} {version}: built in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    if (asked := sys.argv[1] if sys.argv[1:] else "prometheus") not in PROGRAMS:
        sys.exit(f"{asked}: write one of {', '.join(PROGRAMS)}")
    print(obtain(asked))  # noqa: T201 - the answer
