"""Builds the dashboard: from ``dashboard/`` into ``rollouts/dashboard/static/``.

The work is done in a folder of the cache beside the npm packages, so that two builds at once do not meet and nothing but
the result appears in the checkout.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.npm import find_node, packages

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "dashboard"
TARGET = ROOT / "rollouts" / "dashboard" / "static"


def run(script: str) -> None:
    """Run ``build`` or ``check`` of package.json; the build's result replaces the old one as a whole."""
    home, node = packages(SOURCE, "dashboard"), find_node()
    with tempfile.TemporaryDirectory(prefix="work-", dir=home) as scratch:
        work = Path(scratch) / "dashboard"
        shutil.copytree(SOURCE, work, ignore=shutil.ignore_patterns("node_modules", "dist"))
        commands = {
            "build": [str(node.node), "build.mjs"],
            "check": [str(node.node), str(home / "node_modules" / "typescript" / "bin" / "tsc"), "--noEmit"],
        }
        answer = subprocess.run(commands[script], cwd=work, env=node.environment(), check=False)
        if answer.returncode:
            sys.exit(answer.returncode)
        if script == "build":
            replace(work / "dist")


def replace(built: Path) -> None:
    """Put the new files where the controller serves them from."""
    TARGET.mkdir(parents=True, exist_ok=True)
    new = {path.relative_to(built) for path in built.rglob("*") if path.is_file()}
    # The page that names the others comes last, and the old ones go after it: a running controller stays whole.
    for path in sorted(new, key=lambda path: path.name == "index.html"):
        (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
        temporary = (TARGET / path).with_name(f".{path.name}.new")
        shutil.copyfile(built / path, temporary)
        temporary.replace(TARGET / path)
    for path in list(TARGET.rglob("*")):
        if path.is_file() and path.relative_to(TARGET) not in new:
            path.unlink()


if __name__ == "__main__":
    run(sys.argv[1] if len(sys.argv) > 1 else "build")
