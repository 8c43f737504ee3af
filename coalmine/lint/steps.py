"""Whether a Rollout's steps, one after the other, do what they read like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coalmine.lint.findings import Finding, at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coalmine.lint.documents import Document
    from rollouts.api.rollout import RolloutSpec, Step

__all__ = ["step_findings"]

_FULL = 100


def step_findings(document: Document, spec: RolloutSpec) -> Iterator[Finding]:
    """Yield what is odd about the steps that somebody wrote.

    Args:
        document: The Rollout.
        spec: The same, parsed.
    """
    if not isinstance(document.value["spec"].get("steps"), list):
        return
    yield from _weights(document, spec.steps)
    yield from _routes(document, spec.steps)
    yield from _judged(document, spec.steps)


def _weights(document: Document, steps: tuple[Step, ...]) -> Iterator[Finding]:
    weight = 0
    last = None
    for number, step in enumerate(steps):
        if step.set_weight is None:
            continue
        here = f"spec.steps[{number}].setWeight"
        if last is not None and step.set_weight == weight:
            yield at(document, "CM0702", here, f"is {weight} as in the step before: remove it, or write another weight")
        elif step.set_weight < weight:
            words = f"is {step.set_weight} after {weight}: the canary loses requests that it was judged fit for; write more than {weight}"
            yield at(document, "CM0702", here, words)
        elif last is None and not step.set_weight and not _before_weights(steps[:number]):
            yield at(document, "CM0702", here, "is 0, which is where every release begins: remove it")
        weight, last = step.set_weight, number
    if last is None:
        words = "no step sets a weight: the new version gets all requests at once when it is promoted; end with setWeight: 100"
        yield at(document, "CM0701", "spec.steps", words)
    elif weight < _FULL:
        words = (
            f"is the last weight, {weight} %: at promotion the new version gets the other {_FULL - weight} % at once, unjudged; "
            "end with setWeight: 100"
        )
        yield at(document, "CM0701", f"spec.steps[{last}].setWeight", words)


def _before_weights(steps: tuple[Step, ...]) -> bool:
    """Return whether steps before a weight of 0 give it something to end."""
    return any(s.experiment or s.set_weight for s in steps)


def _routes(document: Document, steps: tuple[Step, ...]) -> Iterator[Finding]:
    """A route or a mirror that is taken away without having been made."""
    routes: set[str] = set()
    mirrored = False
    for number, step in enumerate(steps):
        if (route := step.set_header_route) is not None:
            if route.match:
                routes.add(route.name)
            elif route.name in routes:
                routes.discard(route.name)
            else:
                words = (
                    f"removes the route {route.name!r}, which no step before made: give it a match, or correct its name"
                )
                yield at(document, "CM0702", f"spec.steps[{number}].setHeaderRoute", words)
        if (mirror := step.set_mirror_route) is not None:
            if mirror.percentage:
                mirrored = True
            elif mirrored:
                mirrored = False
            else:
                words = "ends a mirror that no step before began: give it a percentage, or remove it"
                yield at(document, "CM0702", f"spec.steps[{number}].setMirrorRoute", words)


def _judged(document: Document, steps: tuple[Step, ...]) -> Iterator[Finding]:
    """An analysis while the canary has no requests at all."""
    weight, routed, mirrored = 0, False, False
    for number, step in enumerate(steps):
        weight = weight if step.set_weight is None else step.set_weight
        if step.set_header_route is not None:
            routed = bool(step.set_header_route.match)
        if step.set_mirror_route is not None:
            mirrored = bool(step.set_mirror_route.percentage)
        if step.analysis is not None and not (weight or routed or mirrored):
            words = "judges before any step sends requests to the canary: move it behind the first setWeight, setHeaderRoute or setMirrorRoute"
            yield at(document, "CM0703", f"spec.steps[{number}].analysis", words)
