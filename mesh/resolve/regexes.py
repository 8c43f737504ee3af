"""Regular expressions as Envoy's engine takes them: one that it refuses would stop a proxy's whole configuration."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import re2

__all__ = ["matches", "regex_problem", "rewrite_problem"]

_LONGEST: Final = 4096


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


@lru_cache(maxsize=4096)
def regex_problem(pattern: str) -> str:
    """Return why Envoy would refuse the pattern (RE2); empty when it would not."""
    if not pattern:
        return "it is empty: write what it shall match, or leave it out"
    if len(pattern) > _LONGEST:
        return f"it has {len(pattern)} characters: write at most {_LONGEST}"
    try:
        re2.compile(pattern, _options())
    except re2.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return f"RE2, which Envoy uses, refuses it ({text}): correct it"
    return ""


def rewrite_problem(pattern: str, replacement: str) -> str:
    """Return what is wrong with what stands for a valid pattern's matches; empty when nothing is."""
    groups = re2.compile(pattern, _options()).groups
    for found in re.finditer(r"\\(.?)", replacement, re.DOTALL):
        after = found[1]
        if after.isascii() and after.isdigit() and int(after) > groups:
            return f"{found[0]} is a group that the match does not have: it has {groups}"
        if after != "\\" and not (after.isascii() and after.isdigit()):
            return r"\ stands before a group's number or another \: write \\ for the character itself"
    return ""


def matches(pattern: str, text: str) -> bool:
    """Say whether a valid pattern matches the whole text."""
    return re2.compile(pattern, _options()).fullmatch(text) is not None
