"""The specs of our own kinds, as the controller and the API server read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from analysis.api.template import BUILT_IN, AnalysisTemplateSpec
from coalmine.lint.findings import Finding, at, said
from coalmine.lint.kinds import definition_of
from crds.explain import explain
from rollouts.api.validate import InvalidRollout, parse_rollout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coalmine.lint.documents import Document

__all__ = ["spec_findings"]

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def spec_findings(document: Document) -> Iterator[Finding]:
    """Yield everything that is wrong in the spec of an object of ours, each at its own field."""
    definition = definition_of(document.value)
    if definition is None or not definition.own or "spec" not in document.value:
        return
    if not isinstance(document.value["spec"], dict):
        yield at(document, "CM0001", "spec", "is no mapping: write its fields")
        return
    problems: tuple[str, ...] = ()
    try:
        if definition.kind == "Rollout":
            parse_rollout(document.value)
        else:
            definition.spec.model_validate(_without_nulls(document.value["spec"]))
    except InvalidRollout as invalid:
        problems = invalid.problems
    except ValidationError as error:
        problems = explain(error, definition.spec)
    for sentence in problems:
        yield said(document, "CM0001", sentence, field="spec")
    if not problems and definition.spec is AnalysisTemplateSpec:
        yield from _placeholders(document)


def _placeholders(document: Document) -> Iterator[Finding]:
    """What stands in double braces and is filled in by nobody."""
    spec = document.value["spec"]
    declared = {f"args.{argument['name']}" for argument in spec.get("args") or ()}
    for path, text in _texts(spec["metrics"], "spec.metrics"):
        for name in dict.fromkeys(_PLACEHOLDER.findall(text)):
            if name not in declared and name not in BUILT_IN:
                words = (
                    f"{{{{{name}}}}} is not known: declare it in spec.args and write {{{{args.name}}}}, or use one of "
                    f"{', '.join(sorted(declared))}{', ' if declared else ''}{', '.join(BUILT_IN)}"
                )
                yield at(document, "CM0001", path, words)


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """Leave nulls out, as the API server does: a null field is an absent one."""
    return {k: _without_nulls(v) if isinstance(v, dict) else v for k, v in value.items() if v is not None}
