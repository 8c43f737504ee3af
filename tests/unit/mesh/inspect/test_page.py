"""The page about the commands lists the codes that there are.

``COALMINE_REGENERATE=1`` writes the list anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mesh.lint.findings import CODES

PAGE = Path(__file__).parents[4] / "docs" / "mesh-cli.md"
BLOCK = re.compile(
    r"(<!-- codes: made from mesh/lint/findings.py by `make generate` -->\n)(.*?)(<!-- /codes -->)", re.DOTALL
)


def listed() -> str:
    rows = [f"| {code.code} | {code.severity} | {code.title} |" for code in CODES.values()]
    return "\n".join(["| code | severity | what |", "| --- | --- | --- |", *rows, ""])


def test_the_page_lists_the_codes():
    current = BLOCK.sub(lambda m: m[1] + listed() + m[3], PAGE.read_text())
    if os.environ.get("COALMINE_REGENERATE"):
        PAGE.write_text(current)
    assert BLOCK.search(PAGE.read_text()), "docs/mesh-cli.md lost its list of codes"
    assert PAGE.read_text() == current, "docs/mesh-cli.md is stale: run `make generate`"
