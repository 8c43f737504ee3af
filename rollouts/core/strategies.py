"""A strategy is nothing but steps: from what people wrote to the steps of a release. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crds.base import format_duration
from rollouts.api.steps import AnalysisStep, SetCanaryScale, SetHeaderRoute, SetMirrorRoute, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollouts.api.rollout import RolloutSpec
    from rollouts.api.strategies import AbTest, BlueGreen

__all__ = ["step_words", "steps_of"]

_FULL: Final = 100


def steps_of(spec: RolloutSpec) -> tuple[Step, ...]:
    """Return the steps of a release, whatever the strategy."""
    strategy = spec.strategy
    if strategy is not None and strategy.blue_green is not None:
        return _blue_green(strategy.blue_green)
    if strategy is not None and strategy.ab_test is not None:
        return _ab_test(strategy.ab_test)
    return spec.steps


def _blue_green(wanted: BlueGreen) -> tuple[Step, ...]:
    """Return: a preview at full size, copies of requests, a look for a time, a person; then promotion switches at once."""
    steps = [Step(set_canary_scale=SetCanaryScale(weight=_FULL))]
    if wanted.mirror_percent:
        steps.append(Step(set_mirror_route=SetMirrorRoute(percentage=wanted.mirror_percent)))
    steps.append(Step(analysis=AnalysisStep(duration=wanted.duration, full_duration=True)))
    if wanted.approval is not None:
        steps.append(Step(approval=wanted.approval))
    return tuple(steps)


def _ab_test(wanted: AbTest) -> tuple[Step, ...]:
    """Return: full size, as nobody knows how many users match; the matched users; a fixed time."""
    return (
        Step(set_canary_scale=SetCanaryScale(weight=_FULL)),
        Step(set_header_route=SetHeaderRoute(name="ab-test", match=wanted.match)),
        Step(analysis=AnalysisStep(duration=wanted.duration, full_duration=True)),
    )


def step_words(step: Step) -> str:
    """Return a step in a few words, for lists and messages."""
    words = next(words for field, words in _WORDS.items() if getattr(step, field) is not None)
    return words(step)


def _scale(step: Step) -> str:
    scale = step.set_canary_scale
    if scale is None or scale.match_traffic_weight:
        return "canary sized by its weight"
    return f"{scale.replicas} canary pods" if scale.replicas else f"canary at {scale.weight} % of the stable pods"


def _header_route(step: Step) -> str:
    route = step.set_header_route
    if route is None:
        return ""
    return f"header route {route.name}" if route.match else f"no header route {route.name}"


def _mirror(step: Step) -> str:
    mirror = step.set_mirror_route
    return f"mirror {mirror.percentage} %" if mirror and mirror.percentage else "no mirror"


def _experiment(step: Step) -> str:
    return f"experiment at {step.weight} % each"


def _timed(step: Step) -> str:
    return f"analysis for {format_duration(step.duration or 0.0)}"


_WORDS: Final[dict[str, Callable[[Step], str]]] = {
    "set_weight": lambda step: f"{step.set_weight} %",
    "set_header_route": _header_route,
    "set_mirror_route": _mirror,
    "set_canary_scale": _scale,
    "analysis": _timed,
    "experiment": _experiment,
    "pause": lambda _: "a pause",
    "approval": lambda _: "an approval",
}
