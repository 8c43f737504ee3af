"""What people install is the built wheel, so it holds everything the commands need."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_wheel_holds_the_packages_the_crds_and_the_go_module(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    crds = {f"crds/{path.name}" for path in (ROOT / "crds").glob("*.yaml")}
    assert crds
    assert names >= crds | {
        "analysis/py.typed",
        "crds/base.py",
        "crds/py.typed",
        "coalmine/local/kubernetes/go.mod",
        "coalmine/local/kubernetes/go.sum",
        "mesh/py.typed",
        "rollouts/py.typed",
    }
    tops = {name.split("/")[0] for name in names}
    assert tops == {"analysis", "coalmine", "crds", "mesh", "rollouts", "coalmine-0.1.0.dist-info"}
