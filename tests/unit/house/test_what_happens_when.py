"""Every answer of the page "what happens when" names at least one test, and each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "what-happens-when.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def answers(page: str) -> dict[str, str]:
    """Return the page's answers by their questions: sections, and the rows of its table."""
    _, *sections = re.split(r"^### ", page, flags=re.MULTILINE)
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", page, flags=re.MULTILINE)[2:]
    return {s.partition("\n")[0]: s.partition("\n")[2].partition("\n## ")[0] for s in sections} | dict(rows)


def has_test(path: str, name: str) -> bool:
    """Return whether a file defines a test."""
    file = ROOT / path
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return file.is_file() and any(
        isinstance(n, functions) and n.name == name for n in ast.walk(ast.parse(file.read_text()))
    )


def test_every_answer_is_a_test() -> None:
    page = PAGE.read_text()
    found = answers(page)
    assert found
    assert [question for question, text in found.items() if not TEST.search(text)] == []
    assert [f"{path}::{name}" for path, name in TEST.findall(page) if not has_test(path, name)] == []
