"""The architecture page shows the layers that import-linter enforces, and no dependency takes our package names."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = {"rollouts", "analysis", "mesh", "coalmine", "crds"}
BLOCK = re.compile(
    r"(<!-- layers: made from pyproject.toml by `make generate` -->\n)(.*?)(<!-- /layers -->)", re.DOTALL
)


def diagram() -> str:
    """Draw the ``layers`` contracts as mermaid: an arrow from each layer to the one that it stands on."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = ["```mermaid", "flowchart TB"]
    for contract in (c for c in contracts if c["type"] == "layers"):
        owner = contract.get("containers", [""])[0]
        rows = [[module.strip(" ()") for module in layer.split("|")] for layer in contract["layers"]]
        prefix = f"{owner}." if owner else ""
        if owner:
            lines.append(f"  subgraph {owner}_layers [{owner}]")
        for upper, lower in itertools.pairwise(rows):
            left = " & ".join(f"{prefix}{m}[{m}]" for m in upper)
            right = " & ".join(f"{prefix}{m}[{m}]" for m in lower)
            lines.append(f"  {left} --> {right}")
        if owner:
            lines.append("  end")
    return "\n".join([*lines, "```", ""])


def test_the_architecture_page_shows_the_enforced_layers() -> None:
    text = PAGE.read_text()
    current = BLOCK.sub(lambda m: m[1] + diagram() + m[3], text)
    if os.environ.get("COALMINE_REGENERATE"):
        PAGE.write_text(current)
    assert BLOCK.search(text), "docs/architecture.md lost its layers block"
    assert PAGE.read_text() == current, "docs/architecture.md is stale: run `make generate`"


def test_every_package_folder_belongs_to_a_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for contract in (c for c in contracts if c["type"] == "layers" and "containers" in c):
        owner = contract["containers"][0]
        named = {m.strip(" ()") for layer in contract["layers"] for m in layer.split("|")}
        present = {p.parent.name for p in (ROOT / owner).glob("*/__init__.py")}
        present |= {p.stem for p in (ROOT / owner).glob("*.py")} - {"__init__", "__main__"}
        assert present <= named, f"{owner}: {sorted(present - named)} stand in no layer of pyproject.toml"


def test_no_dependency_installs_a_package_of_our_names() -> None:
    for dist in importlib.metadata.distributions():
        if dist.metadata["Name"].lower() == "coalmine":
            continue
        tops = {file.parts[0] for file in dist.files or () if len(file.parts) > 1}
        assert not tops & PACKAGES, f"{dist.metadata['Name']} installs {sorted(tops & PACKAGES)}"
