"""The steps of a release from a Rollout's spec as the API server has it, whatever the strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.views.words import duration_words, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Step", "restricted", "steps_of"]

_DEFAULT: Final = tuple({"setWeight": weight} for weight in (10, 50, 100))
_PREVIEW_SECONDS: Final = "60s"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        kind: Its field in ``spec.steps``, e.g. ``setWeight``.
        words: In a few words, e.g. ``10 %`` or ``a pause``, as in the controller's messages.
        label: The same, as short as in a bar: ``10 %``, ``pause 5m``, ``approval``.
        weight: Percent that it sets; None where it sets none.
        seconds: How long it lasts by itself; None where that is not said.
        message: What an approval asks.
        restricted: Whether it matters who approves: then nothing goes around it.
    """

    kind: str
    words: str
    label: str
    weight: int | None = None
    seconds: float | None = None
    message: str = ""
    restricted: bool = False


def restricted(approval: Mapping[str, Any] | None) -> bool:
    """Return whether it matters who answers an approval (``rollouts.api.approval.Approval.restricted``)."""
    if approval is None:
        return False
    return (
        approval.get("approvers") is not None or approval.get("required", 1) > 1 or bool(approval.get("excludeAuthor"))
    )


def steps_of(spec: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the steps that a spec asks for; what cannot be read as a step is left out."""
    strategy = spec.get("strategy") or {}
    if strategy.get("blueGreen") is not None:
        raw = _blue_green(strategy["blueGreen"])
    elif strategy.get("abTest") is not None:
        raw = _ab_test(strategy["abTest"])
    else:
        raw = list(spec.get("steps") or _DEFAULT)
    return tuple(step for entry in raw if (step := _step(entry)) is not None)


def _blue_green(wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"setCanaryScale": {"weight": 100}}]
    if wanted.get("mirrorPercent"):
        steps.append({"setMirrorRoute": {"percentage": wanted["mirrorPercent"]}})
    steps.append({"analysis": {"duration": wanted.get("duration", _PREVIEW_SECONDS)}})
    if wanted.get("approval") is not None:
        steps.append({"approval": wanted["approval"]})
    return steps


def _ab_test(wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"setCanaryScale": {"weight": 100}},
        {"setHeaderRoute": {"name": "ab-test", "match": wanted.get("match", [])}},
        {"analysis": {"duration": wanted.get("duration")}},
    ]


def _step(entry: Mapping[str, Any]) -> Step | None:
    found = next(((kind, value) for kind, value in entry.items() if value is not None and kind in _READ), None)
    return None if found is None else _READ[found[0]](found[1])


def _weight(value: int) -> Step:
    return Step("setWeight", f"{value} %", f"{value} %", weight=value)


def _scale(value: Mapping[str, Any]) -> Step:
    if value.get("replicas"):
        return Step("setCanaryScale", f"{value['replicas']} canary pods", f"{value['replicas']} pods")
    if value.get("weight"):
        return Step("setCanaryScale", f"canary at {value['weight']} % of the stable pods", f"pods {value['weight']} %")
    return Step("setCanaryScale", "canary sized by its weight", "pods by weight")


def _header_route(value: Mapping[str, Any]) -> Step:
    name, no = value.get("name", ""), "" if value.get("match") else "no "
    return Step("setHeaderRoute", f"{no}header route {name}", f"{no}route {name}")


def _mirror(value: Mapping[str, Any]) -> Step:
    words = f"mirror {value['percentage']} %" if value.get("percentage") else "no mirror"
    return Step("setMirrorRoute", words, words)


def _analysis(value: Mapping[str, Any]) -> Step:
    seconds = seconds_of(value.get("duration"))
    words = duration_words(seconds or 0.0)
    return Step("analysis", f"analysis for {words}", f"analysis {words}", seconds=seconds)


def _experiment(value: Mapping[str, Any]) -> Step:
    weight = int(value.get("weight", 0))
    return Step(
        "experiment",
        f"experiment at {weight} % each",
        f"experiment {weight} %",
        weight=weight,
        seconds=seconds_of(value.get("duration")),
    )


def _pause(value: Mapping[str, Any]) -> Step:
    seconds = seconds_of(value.get("duration"))
    return Step("pause", "a pause", f"pause {duration_words(seconds)}" if seconds else "pause", seconds=seconds)


def _approval(value: Mapping[str, Any]) -> Step:
    return Step("approval", "an approval", "approval", message=value.get("message", ""), restricted=restricted(value))


_READ: Final[dict[str, Callable[[Any], Step]]] = {
    "setWeight": _weight,
    "setCanaryScale": _scale,
    "setHeaderRoute": _header_route,
    "setMirrorRoute": _mirror,
    "analysis": _analysis,
    "experiment": _experiment,
    "pause": _pause,
    "approval": _approval,
}
