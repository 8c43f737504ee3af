"""Bad manifests in, findings with line and column out: the texts under expected/ are what people read.

``COALMINE_REGENERATE=1`` writes them anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from coalmine.lint.check import lint, unreadable
from coalmine.lint.documents import read_documents
from coalmine.lint.output import FORMATS

HERE = Path(__file__).parent
INPUTS = sorted((HERE / "inputs").glob("*.yaml"))


def found_in(text, name):
    documents, trouble = read_documents(text, name)
    found, _ = lint(documents, "default")
    return [*(unreadable(name, one) for one in trouble), *found]


@pytest.mark.parametrize("path", INPUTS, ids=lambda p: p.stem)
def test_every_finding_is_at_its_line_and_column(path):
    made = FORMATS["text"](found_in(path.read_text(), path.name)) + "\n"
    made = re.sub(r"(remove it or write one of) .* \[", r"\1 … [", made)  # a new field of a model is no news here
    expected = HERE / "expected" / f"{path.stem}.txt"
    if os.environ.get("COALMINE_REGENERATE"):
        expected.write_text(made)
    assert made == expected.read_text(), f"{expected.name} differs; COALMINE_REGENERATE=1 writes it anew"


@pytest.mark.parametrize("path", INPUTS, ids=lambda p: p.stem)
def test_every_input_is_bad(path):
    assert found_in(path.read_text(), path.name)


@pytest.mark.parametrize("path", INPUTS, ids=lambda p: p.stem)
def test_a_finding_points_at_its_field_or_at_the_nearest_parent_there_is(path):
    lines = path.read_text().splitlines()
    for finding in found_in(path.read_text(), path.name):
        rest = lines[finding.line - 1][finding.column - 1 :]
        assert rest.strip(), finding
        last = finding.field.rpartition(".")[2].split("[", 1)[0]
        if finding.message.startswith(("is not a field", "is no ", "is not text")):
            assert rest.startswith((last, finding.field.rpartition("[")[2].rstrip("]"))), finding
