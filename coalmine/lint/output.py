"""Findings as text, JSON, annotations of GitHub, a report of GitLab, SARIF."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from coalmine.lint.findings import CODES
from mesh.lint.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from coalmine.lint.findings import Finding

__all__ = ["FORMATS", "summary"]

_WORDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "hint"}
_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def summary(findings: Sequence[Finding], files: int, objects: int) -> str:
    """Return one line: how many of what, and in how much."""
    counted = Counter(f.severity for f in findings)
    parts = [_count(counted[s], word) for s, word in _WORDS.items() if counted[s]]
    return (
        f"{', '.join(parts) or 'nothing to report'} ({_count(objects, 'object')} in {_count(files, 'file')} looked at)"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _text(findings: Sequence[Finding]) -> str:
    return "\n".join(_line(f) for f in findings)


def _line(found: Finding) -> str:
    place = click.style(f"{found.file}:{found.line}:{found.column}:", bold=True)
    severity = click.style(f"{_WORDS[found.severity]}:", fg=_COLOURS[found.severity])
    subject = f"{found.subject}: " if found.subject else ""
    source = f" (from {found.source})" if found.source else ""
    return f"{place} {severity} {subject}{found.sentence} [{found.code}]{source}"


def _json(findings: Sequence[Finding]) -> str:
    made = [
        {
            "file": f.file,
            "line": f.line,
            "column": f.column,
            "severity": _WORDS[f.severity],
            "code": f.code,
            "object": f.subject,
            "field": f.field,
            "message": f.message,
            **({"source": f.source} if f.source else {}),
        }
        for f in findings
    ]
    return json.dumps(made, indent=2, ensure_ascii=False)


def _github(findings: Sequence[Finding]) -> str:
    """Return workflow commands: they show up beside the lines of a pull request."""
    levels = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
    lines = []
    for found in findings:
        place: dict[str, str | int] = {
            "file": found.source or found.file,
            "line": found.line,
            "col": found.column,
            "title": found.code,
        }
        if found.file.startswith("<"):  # what was rendered has no lines that GitHub knows
            place = {"title": found.code, **({"file": found.source} if found.source else {})}
        properties = ",".join(f"{name}={_property(str(value))}" for name, value in place.items())
        subject = f"{found.subject}: " if found.subject else ""
        lines.append(f"::{levels[found.severity]} {properties}::{_escaped(subject + found.sentence)}")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _gitlab(findings: Sequence[Finding]) -> str:
    """Return a Code Quality report."""
    levels = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.INFO: "info"}
    made = []
    for found in findings:
        same = f"{found.file}\0{found.code}\0{found.subject}\0{found.field}\0{found.message}"
        made.append(
            {
                "description": found.sentence,
                "check_name": found.code,
                "fingerprint": hashlib.sha256(same.encode()).hexdigest(),
                "severity": levels[found.severity],
                "location": {"path": found.file, "lines": {"begin": found.line}},
            }
        )
    return json.dumps(made, indent=2, ensure_ascii=False)


def _sarif(findings: Sequence[Finding]) -> str:
    """Return SARIF 2.1.0."""
    levels = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
    used = sorted({f.code for f in findings})
    rules = [{"id": code, "shortDescription": {"text": CODES[code].title}} for code in used]
    results: list[dict[str, Any]] = [
        {
            "ruleId": f.code,
            "ruleIndex": used.index(f.code),
            "level": levels[f.severity],
            "message": {"text": f.sentence},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(f.file)},
                        "region": {"startLine": f.line, "startColumn": f.column},
                    }
                }
            ],
        }
        for f in findings
    ]
    tool = {"driver": {"name": "coalmine lint", "rules": rules}}
    run = {"tool": tool, "columnKind": "unicodeCodePoints", "results": results}
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False)


FORMATS: Final[Mapping[str, Callable[[Sequence[Finding]], str]]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "gitlab": _gitlab,
    "sarif": _sarif,
}
"""What ``--output`` takes."""
