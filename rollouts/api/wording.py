"""Templates of messages: Jinja in a sandbox. What is wrong with one is found when the configuration is read."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, StringConstraints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["PLACES", "MessageTemplate", "rendered"]

PLACES: Final = (
    "namespace", "name", "number", "reason", "type", "headline", "note", "at", "phase", "message", "step", "weight",
    "verdict", "summary", "need", "evidence", "revision", "stable", "images", "commit", "repository", "link",
    "annotations", "labels", "status",
)  # fmt: skip
"""What a template may name."""


class _Sample(dict[str, Any]):
    """Has every key, so that a template is tried without knowing anybody's annotations."""

    def __missing__(self, _: str) -> _Sample:
        return _Sample()

    def __str__(self) -> str:
        return "x"


_EVIDENCE: Final = {
    "metric": "errors", "words": "x", "canary": 0.1, "baseline": 0.1, "canaryCount": 9, "baselineCount": 9,
    "difference": 0.0, "interval": [0.0, 0.0], "rollbackE": 1.0, "rollbackAt": 1.0, "promoteE": 1.0, "promoteAt": 1.0,
    "burnRate": 1.0,
}  # fmt: skip
_TRIED: Final[dict[str, Any]] = {
    **dict.fromkeys(PLACES, "x"),
    "number": 1,
    "weight": {"configured": 10, "acknowledged": 10, "actual": 9.9},
    "evidence": [_EVIDENCE],
    "images": ["x"],
    "annotations": _Sample(),
    "labels": _Sample(),
    "status": _Sample(),
}


@lru_cache
def _environment(*, strict: bool) -> SandboxedEnvironment:
    from jinja2 import ChainableUndefined, StrictUndefined  # noqa: PLC0415 - only who has templates waits for it
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined if strict else ChainableUndefined,
        autoescape=False,  # no HTML: each service gets JSON or plain text
    )


def _checked(text: str) -> str:
    from jinja2 import TemplateError, TemplateSyntaxError, meta  # noqa: PLC0415

    environment = _environment(strict=True)
    try:
        unknown = sorted(meta.find_undeclared_variables(environment.parse(text)) - set(PLACES))
        if not unknown:
            environment.from_string(text).render(_TRIED)
    except TemplateSyntaxError as error:
        msg = f"it is no Jinja template: line {error.lineno}: {error.message}"
        raise ValueError(msg) from None
    except TemplateError as error:
        msg = f"it cannot be filled in: {error}"
        raise ValueError(msg) from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return text  # it depends on the values
    if unknown:
        msg = f"it names {', '.join(unknown)}, which there is not: write one of {', '.join(PLACES)}"
        raise ValueError(msg)
    return text


@lru_cache(maxsize=256)
def _compiled(text: str) -> Any:
    return _environment(strict=False).from_string(text)


def rendered(text: str, values: Mapping[str, Any]) -> str:
    """Return a template filled in; what is missing is empty.

    Raises:
        Exception: Whatever a template can do wrong with the values at hand.
    """
    return str(_compiled(text).render(values)).strip()


MessageTemplate = Annotated[str, StringConstraints(min_length=1, max_length=8192), AfterValidator(_checked)]
"""A Jinja template that names only what there is."""
