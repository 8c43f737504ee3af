"""Builds the programs of the node that the end-to-end tests run pods on, once for each version, and prints their folder.

kubelet, kube-proxy and kube-scheduler in the version of the local Kubernetes, and containerd. They lie in the user's cache
beside Kubernetes' other programs. ``runc``, the CNI plugins and iptables are Debian's.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import platformdirs
from rich.console import Console

from coalmine.local.binaries import toolchain
from coalmine.local.binaries.build import compile_program
from coalmine.local.binaries.cache import install, locked
from coalmine.local.binaries.versions import KUBERNETES_VERSION, architecture
from coalmine.local.progress import ConsoleProgress

SOURCE: Final = Path(__file__).parent
_VERSION: Final = "k8s.io/component-base/version"


class Program(NamedTuple):
    """A program, the folder of the go.mod that pins it, and how it is built."""

    name: str
    module: str
    package: str
    tags: str = ""


PROGRAMS: Final = (
    Program("kubelet", "kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
    Program("kube-proxy", "kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
    Program("kube-scheduler", "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    *(
        Program(name, "containerd", f"github.com/containerd/containerd/v2/cmd/{name}", "no_btrfs,no_zfs,no_devmapper")
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    ),
)


def obtain() -> Path:
    """Return the folder with the programs, built now if they are not there yet."""
    pins = b"".join((SOURCE / program.module / "go.mod").read_bytes() for program in PROGRAMS)
    digest = hashlib.sha256(pins).hexdigest()[:12]
    home = Path(platformdirs.user_cache_dir("coalmine"))
    folder = home / "node" / f"v{KUBERNETES_VERSION}-{digest}-linux-{architecture()}"
    progress = ConsoleProgress(Console(stderr=True))
    if any(not (folder / program.name).exists() for program in PROGRAMS):
        with locked(folder, progress):
            for program in PROGRAMS:
                if not (folder / program.name).exists():
                    build(program, folder, home, progress)
    return folder


def build(program: Program, folder: Path, home: Path, progress: ConsoleProgress) -> None:
    """Build a program into ``folder``."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as scratch:
        module = Path(scratch)
        for file in ("go.mod", "go.sum"):
            (module / file).write_bytes((SOURCE / program.module / file).read_bytes())
        # A Go of our own, if there has to be one, is the one that builds Kubernetes.
        go = toolchain.find(module, home, progress, os.environ)
        with progress.task(f"building {program.name} with Go for the tests (minutes, once)") as update:
            target = module / program.name
            compile_program(
                program.package, target, go, os.environ, update, flags=linker_flags(program), tags=program.tags
            )
        install(target, folder, program.name)
    progress.line(f"{program.name}: built in {time.monotonic() - begun:.0f} s")


def linker_flags(program: Program) -> str:
    """Return the flags that tell Kubernetes' programs their version."""
    if program.module != "kubernetes":
        return "-s -w"
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X {_VERSION}.{key}={value}" for key, value in values.items())


if __name__ == "__main__":
    print(obtain())  # noqa: T201 - the answer
