"""Every answer of the page "what happens when" names at least one test, and each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "what-happens-when.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def answers() -> dict[str, str]:
    """Return the page's answers by their questions."""
    _, *sections = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)
    return {section.partition("\n")[0]: section.partition("\n")[2].partition("\n## ")[0] for section in sections}


def has_test(path: str, name: str) -> bool:
    """Return whether a file defines a test."""
    file = ROOT / path
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return file.is_file() and any(
        isinstance(n, functions) and n.name == name for n in ast.walk(ast.parse(file.read_text()))
    )


def test_every_answer_is_a_test() -> None:
    found = answers()
    assert found
    assert [question for question, text in found.items() if not TEST.search(text)] == []
    assert [
        f"{path}::{name}" for text in found.values() for path, name in TEST.findall(text) if not has_test(path, name)
    ] == []
