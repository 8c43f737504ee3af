"""What is wrong with a resource, as sentences that name the field and the fix."""

from __future__ import annotations

import difflib
import reprlib
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from crds.base import DNS_LABEL, DNS_NAME

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["explain", "path_of"]

_IN_WORDS = {
    DNS_NAME: "lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
    DNS_LABEL: "lower-case letters, digits and '-', with a letter or digit at both ends",
}


def explain(error: ValidationError, model: type[BaseModel], root: str = "spec") -> tuple[str, ...]:
    """Return one sentence for each thing that is wrong.

    Args:
        error: What validating ``model`` raised.
        model: The model that was validated.
        root: The path of what was validated.
    """
    return tuple(
        _sentence(details, model, root) for details in error.errors(include_url=False) if not _follows(details)
    )


def path_of(location: tuple[int | str, ...], root: str = "spec") -> str:
    """Return a location as people write it: ``spec.steps[0].setWeight``."""
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _sentence(details: ErrorDetails, model: type[BaseModel], root: str) -> str:
    location = details["loc"]
    path = path_of(location, root)
    match details["type"]:
        case "value_error":
            said = str(details["ctx"]["error"])
            return said if said.startswith(f"{root}.") else f"{path}: {said}"
        case "extra_forbidden":
            return _unknown(location, model, path)
        case "missing":
            return f"{path} is missing: write it{_meaning(location, model)}"
        case "too_short" | "too_long":
            return f"{path} has {len(details['input'])} items: write {_bound(details['ctx'])}"
        case _:
            return f"{path} is {reprlib.repr(details['input'])}: {_wish(details)}"


def _wish(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if "expected" in context:
        return f"write {context['expected']}"
    if "pattern" in context:
        pattern = str(context["pattern"])
        return f"write {_IN_WORDS.get(pattern, f'what matches {pattern}')}"
    said = details["msg"].removeprefix("Input ")
    return said if details["msg"] == said else f"it {said}"


def _bound(context: dict[str, Any]) -> str:
    return f"at least {context['min_length']}" if "min_length" in context else f"at most {context['max_length']}"


def _unknown(location: tuple[int | str, ...], model: type[BaseModel], path: str) -> str:
    known = sorted(_fields(location[:-1], model))
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    fix = f"did you mean {near[0]}? " if near else ""
    return f"{path} is not a field: {fix}remove it or write one of {', '.join(known)}"


def _follows(details: ErrorDetails) -> bool:
    """Whether pydantic only counts what it has refused already: a list whose items are wrong is too short as well."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _meaning(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    described = _fields(location[:-1], model).get(str(location[-1]))
    return f" ({described[1].rstrip('.')})" if described and described[1] else ""


def _fields(location: tuple[int | str, ...], model: type[BaseModel]) -> dict[str, tuple[object, str]]:
    """Return the annotation and description of each field, by wire name, of the model at a location."""
    names = [part for part in location if isinstance(part, str)]
    fields: dict[str, tuple[object, str]] = {
        f.alias or n: (f.annotation, f.description or "") for n, f in model.model_fields.items()
    }
    if not names:
        return fields
    inner = _model_within(fields[names[0]][0]) if names[0] in fields else None
    return _fields(tuple(names[1:]), inner) if inner else {}


def _model_within(annotation: object) -> type[BaseModel] | None:
    """Return the model that an annotation is about: itself, or inside Optional, tuple, Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_within(part))), None)
