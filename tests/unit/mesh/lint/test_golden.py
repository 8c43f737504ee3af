"""Each code has a manifest that it is about and one that is right: reviewers read what is said of the first.

``COALMINE_REGENERATE=1`` writes the expected texts anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from mesh.api.plaintext import PlaintextReport
from mesh.lint.analyze import analyze
from mesh.lint.findings import CODES, Severity
from mesh.lint.resources import read_resources

GOLDEN = Path(__file__).parents[3] / "golden" / "lint"


def findings(name: str):
    manifests = list(yaml.safe_load_all((GOLDEN / name).read_text()))
    seen = [PlaintextReport.model_validate(m["report"]) for m in manifests if m["kind"] == "PlaintextReport"]
    return analyze(read_resources(manifests, complete=False, plaintext=next(iter(seen), None)))


def said(code: str) -> str:
    """Return what is said with this code; the others have manifests of their own."""
    lines = []
    for found in findings(f"{code}.bad.yaml"):
        if found.code != code:
            continue
        where = f"{found.ref.kind} {found.ref.namespace}/{found.ref.name} {found.field}".rstrip()
        lines.append(f"{found.severity} {found.code} {where}\n  {found.message}\n")
    return "".join(lines)


@pytest.mark.parametrize("code", CODES)
def test_what_is_wrong_is_said_with_the_fix(code):
    made = said(code)
    assert made
    expected = GOLDEN / f"{code}.bad.txt"
    if os.environ.get("COALMINE_REGENERATE"):
        expected.write_text(made)
    assert made == expected.read_text(), f"{expected.name} differs; COALMINE_REGENERATE=1 writes it anew"


@pytest.mark.parametrize("code", CODES)
def test_of_what_is_right_nothing_is_said(code):
    """A hint about something else may remain: what is right is not yet everything that could be said."""
    found = findings(f"{code}.good.yaml")
    assert [f for f in found if f.code == code or f.severity is Severity.ERROR] == []


def test_there_is_no_manifest_without_a_code():
    assert {p.name.split(".")[0] for p in GOLDEN.iterdir()} == set(CODES)
