"""JSONPath (RFC 9535) as a field: checked where it is written, not when it is first used."""

from __future__ import annotations

from typing import Annotated, Final

import jsonpath
from pydantic import AfterValidator, StringConstraints

from analysis.api.connection import PLACEHOLDER

__all__ = ["JsonPath", "compile_path"]

# RFC 9535 and nothing beyond it, so that a path means the same in other tools.
_ENVIRONMENT: Final = jsonpath.JSONPathEnvironment(strict=True)


def compile_path(path: str) -> jsonpath.JSONPath:
    """Return a path ready for use; ``{$.data.rate}``, as kubectl and Argo Rollouts write it, is ``$.data.rate``.

    Raises:
        ValueError: It is not a JSONPath.
    """
    text = path.strip().removeprefix("{").removesuffix("}").strip()
    try:
        compiled = _ENVIRONMENT.compile(text)
    except jsonpath.JSONPathError as error:
        reason = " ".join(str(error).splitlines()[:1])
        msg = f"{path!r} is not a JSONPath ({reason}): write it like $.data.rate or $.results[0].value"
        raise ValueError(msg) from error
    if not isinstance(compiled, jsonpath.JSONPath):
        msg = f"{path!r} is several JSONPaths: write one"
        raise ValueError(msg)  # noqa: TRY004 - pydantic takes a ValueError
    return compiled


def _checked(path: str) -> str:
    if PLACEHOLDER not in path:
        compile_path(path)
    return path


JsonPath = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_checked)]
"""A JSONPath that leads to one number."""
