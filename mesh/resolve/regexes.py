"""Regular expressions as Envoy's engine takes them: one that it refuses would stop a proxy's whole configuration."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import re2

__all__ = ["matches", "regex_problem"]

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


def matches(pattern: str, text: str) -> bool:
    """Say whether a valid pattern matches the whole text."""
    return re2.compile(pattern, _options()).fullmatch(text) is not None
