"""AnalysisTemplate and ClusterAnalysisTemplate: reusable metrics with arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import ConfigDict, Field, ValidationError, model_validator

from analysis.api.metric import Metric
from analysis.api.secret import SecretKeyRef
from crds.base import Resource, ResourceName
from crds.explain import explain
from crds.schema import Rule, list_map, rules

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BUILT_IN",
    "AnalysisTemplateSpec",
    "Argument",
    "ArgumentSource",
    "InvalidTemplate",
    "TemplateReference",
    "parse_template",
    "resolve",
    "unset",
    "uses_version",
]

BUILT_IN: Final = ("namespace", "rollout", "workload", "service", "deployment", "pods", "version", "interval")
"""What may stand in double braces without being declared. ``pods`` is a regular expression of the version's pod names;
``deployment`` and ``version`` (canary or baseline) are the version's own."""

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


class InvalidTemplate(ValueError):  # noqa: N818 - it reads as what it is about
    """A template cannot be used.

    Attributes:
        problems: One sentence for each thing that is wrong, with the field and the fix.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ArgumentSource(Resource):
    """Where an argument's value comes from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="has(self.secretKeyRef) != has(self.fieldRef)",
                message="valueFrom is exactly one of secretKeyRef and fieldRef: write one of them",
            )
        )
    )

    secret_key_ref: Annotated[
        SecretKeyRef | None, Field(description="One key of a Secret in the Rollout's namespace.")
    ] = None
    field_ref: Annotated[
        str | None,
        Field(
            pattern=r"^metadata\.(name|namespace|labels\['[^']+'\]|annotations\['[^']+'\])$",
            description="A field of the Rollout: metadata.name, metadata.namespace, metadata.labels['…'], metadata.annotations['…'].",
        ),
    ] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> ArgumentSource:
        if (self.secret_key_ref is None) == (self.field_ref is None):
            msg = "valueFrom is exactly one of secretKeyRef and fieldRef: write one of them"
            raise ValueError(msg)
        return self


class Argument(Resource):
    """An argument: written ``{{args.name}}`` in the metrics."""

    name: Annotated[
        str, Field(min_length=1, max_length=63, pattern=r"^[a-zA-Z]([-_a-zA-Z0-9]*)$", description="Its name.")
    ]
    value: Annotated[
        str | None,
        Field(description="Its value, or its default in a template. Without one the Rollout has to give it."),
    ] = None
    value_from: Annotated[ArgumentSource | None, Field(description="Take the value from somewhere.")] = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Argument:
        if self.value is not None and self.value_from is not None:
            msg = "an argument has value or valueFrom: leave one of them out"
            raise ValueError(msg)
        return self


class AnalysisTemplateSpec(Resource):
    """Metrics that Rollouts can refer to."""

    args: Annotated[
        tuple[Argument, ...],
        Field(
            max_length=64, description="What the metrics may use as {{args.name}}.", json_schema_extra=list_map("name")
        ),
    ] = ()
    metrics: Annotated[
        tuple[Metric, ...],
        Field(min_length=1, max_length=16, description="The metrics.", json_schema_extra=list_map("name")),
    ]


class TemplateReference(Resource):
    """Metrics of a template, with the arguments filled in."""

    template_name: Annotated[ResourceName, Field(description="Name of the template.")]
    cluster_scope: Annotated[bool, Field(description="Whether it is a ClusterAnalysisTemplate.")] = False
    args: Annotated[
        tuple[Argument, ...],
        Field(max_length=64, description="Values of its arguments.", json_schema_extra=list_map("name")),
    ] = ()


def parse_template(obj: Mapping[str, Any]) -> AnalysisTemplateSpec:
    """Return the spec of a template as the API server returns it.

    Raises:
        InvalidTemplate: The spec is missing or wrong.
    """
    try:
        return AnalysisTemplateSpec.model_validate(obj.get("spec"))
    except ValidationError as error:
        raise InvalidTemplate(explain(error, AnalysisTemplateSpec)) from None


def unset(template: AnalysisTemplateSpec, reference: TemplateReference) -> tuple[str, ...]:
    """What is wrong with the arguments of a reference, as sentences."""
    known = {argument.name: argument for argument in template.args}
    given = {argument.name for argument in reference.args}
    name = reference.template_name
    listed = ", ".join(known) or "none"
    problems = [
        f"template {name} has no argument {unknown!r} (it has: {listed}): take it out of args or correct its name"
        for unknown in sorted(given - set(known))
    ]
    problems += [
        f"template {name}: argument {missing!r} has no value: give it in the reference's args"
        for missing, argument in known.items()
        if missing not in given and argument.value is None and argument.value_from is None
    ]
    return tuple(problems)


def resolve(
    template: AnalysisTemplateSpec, arguments: Mapping[str, str], built_in: Mapping[str, str]
) -> tuple[Metric, ...]:
    """Fill the placeholders of all metrics in.

    Args:
        template: The template.
        arguments: Value of each argument.
        built_in: Value of each built-in name, for one version.

    Raises:
        InvalidTemplate: A placeholder is not known, or what it was filled with is not valid there.
    """
    found, problems = [], []
    for index, metric in enumerate(template.metrics):
        unknown: set[str] = set()
        filled = _filled(metric.dump(), arguments, {**built_in, "interval": f"{metric.interval:g}s"}, unknown)
        problems += [
            f"spec.metrics[{index}] ({metric.name}): {{{{{name}}}}} is not known: declare it in spec.args and write {{{{args.name}}}}, "
            f"or use one of {', '.join(BUILT_IN)}"
            for name in sorted(unknown)
        ]
        try:
            found.append(Metric.model_validate(filled))
        except ValidationError as error:
            problems += explain(error, Metric, root=f"spec.metrics[{index}]")
    if problems:
        raise InvalidTemplate(tuple(problems))
    return tuple(found)


def uses_version(metric: Metric) -> bool:
    """Whether a metric's provider differs between the versions."""
    text = str(metric.provider.dump())
    return any(name in {"pods", "deployment", "version"} for name in _PLACEHOLDER.findall(text))


def _filled(value: Any, arguments: Mapping[str, str], built_in: Mapping[str, str], unknown: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, arguments, built_in, unknown) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, arguments, built_in, unknown) for inner in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("args.") and name[5:] in arguments:
            return arguments[name[5:]]
        if name in built_in:
            return built_in[name]
        unknown.add(name)
        return match[0]

    return _PLACEHOLDER.sub(one, value)
