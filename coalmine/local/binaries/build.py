"""Building the programs from source, by a go.mod of ours that pins every module."""

from __future__ import annotations

import collections
import importlib.resources
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coalmine.local.binaries import toolchain
from coalmine.local.binaries.cache import install
from coalmine.local.binaries.versions import KUBERNETES_VERSION
from coalmine.local.errors import SourceUnusableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coalmine.local.progress import Progress, Update

__all__ = ["PACKAGES", "compile_program", "fetch"]

PACKAGES: Final = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
_VERSION_PACKAGE: Final = "k8s.io/component-base/version"
_KEPT_LINES: Final = 8


def fetch(name: str, folder: Path, progress: Progress, env: Mapping[str, str]) -> Path:
    """Build a program into ``folder``.

    Raises:
        SourceUnusableError: There is no Go, a module cannot be downloaded, or the build fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as scratch:
        module = Path(scratch)
        source = importlib.resources.files("coalmine.local") / "kubernetes"
        for file in ("go.mod", "go.sum"):
            (module / file).write_bytes((source / file).read_bytes())
        # Our own Go, if there has to be one, lies beside the versioned folders: it serves all of them.
        go = toolchain.find(module, folder.parent.parent, progress, env)
        with progress.task(f"building {name} with Go (minutes, once)") as update:
            compile_program(PACKAGES[name], module / name, go, env, update, flags=_linker_flags())
        path = install(module / name, folder, name)
    progress.line(f"{name}: built in {time.monotonic() - begun:.0f} s")
    return path


def compile_program(
    package: str,
    target: Path,
    go: toolchain.Toolchain,
    env: Mapping[str, str],
    update: Update,
    *,
    flags: str = "-s -w",
    tags: str = "",
) -> None:
    """Build a Go program.

    Args:
        package: Which one.
        target: Where to: in the folder with the go.mod that pins it.
        go: What builds it.
        env: The environment.
        update: Told what is being done.
        flags: For the linker.
        tags: Build tags, separated by commas.

    Raises:
        SourceUnusableError: A module cannot be downloaded, or the build fails.
    """
    options = ["-v", "-trimpath", "-ldflags", flags, "-tags", tags, "-o", str(target)]
    command = [str(go.program), "build", *options, package]
    fixed = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    said: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
    compiled = 0
    with subprocess.Popen(
        command,
        cwd=target.parent,
        env={**env, **go.env, **fixed},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stderr or ():
            said.append(line.strip())
            if line.startswith("go: downloading"):
                update(line.removeprefix("go: ").strip())
            else:
                compiled += 1
                update(f"{compiled} packages")
    if process.returncode:
        raise SourceUnusableError(f"`go build {package}` failed: {' / '.join(said) or process.returncode}")


def _linker_flags() -> str:
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X {_VERSION_PACKAGE}.{key}={value}" for key, value in values.items())
