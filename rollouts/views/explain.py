"""Why a Rollout is where it is, what it waits for, what comes next, and what people can do now: in whole sentences."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from rollouts.views.looks import StepState, Waits
from rollouts.views.release import release_of
from rollouts.views.words import duration_words, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rollouts.views.release import Release

__all__ = ["Explanation", "commands_of", "explain"]


@dataclass(frozen=True)
class Explanation:
    """Answers to what people ask.

    Attributes:
        where: Where it is, in one sentence.
        because: Why: what the controller and the judge say.
        waits: What it waits for; empty where it waits for nothing.
        then: What happens next, one sentence for each way it can go.
        can: Commands that would do something now, and what.
    """

    where: str
    because: tuple[str, ...]
    waits: str
    then: tuple[str, ...]
    can: tuple[tuple[str, str], ...]


def explain(rollout: Mapping[str, Any]) -> Explanation:
    """Explain a Rollout from its JSON as the API server has it."""
    r = release_of(rollout)
    analysis = (rollout.get("spec") or {}).get("analysis") or {}
    return Explanation(
        where=_where(r),
        because=tuple(_because(r)),
        waits=_waits(r),
        then=tuple(_then(r, analysis)),
        can=tuple(commands_of(r).items()),
    )


def commands_of(r: Release) -> dict[str, str]:
    """Return the commands that would do something now, each with what it does, in the order of use."""
    found: dict[str, str] = {}
    step = f"step {r.step}" if r.step else "the step"
    if r.approval is not None:
        found |= {"approve": f"answers yes: {_next(r)}", "reject": "answers no: the release is taken back"}
    if r.phase == "Paused" and not r.paused:
        found["resume"] = "lets it go on"
    if _skippable(r):
        found["skip"] = f"ends {step} whatever it waits for: {_next(r)}"
    if r.phase in {"Starting", "Progressing", "Paused", "AwaitingApproval", "Inconclusive"} and not r.gated:
        found["promote"] = "promotes it without waiting for evidence"
    if r.phase == "Watching":
        found["promote"] = "ends the watch: the new version becomes the stable one"
    at_pause = r.present is not None and r.present.step.kind == "pause"
    if r.under_way and r.phase not in {"RollingBack", "Promoting"} and (r.phase != "Paused" or at_pause):
        found["pause"] = "keeps it where it is, with the guards on"
    if r.under_way and r.phase != "RollingBack":
        found["abort"] = "takes it back to stable at once"
    if r.phase == "RolledBack":
        found |= {
            "retry": "runs the same version again from the first step",
            "undo": "puts the stable version's template back into the Deployment (git has to follow)",
        }
    if r.phase == "Healthy" and r.history:
        found["undo"] = "goes back to the version before, as a release of its own"
    return found


def _skippable(r: Release) -> bool:
    """Return whether a step waits that may be ended: not while it begins, and no gate that asks who decides."""
    if r.approval is not None and r.approval.raw.get("restricted"):
        return False
    if r.phase == "Progressing":
        return bool(r.step) and r.waits is Waits.JUDGE
    return bool(r.step) and r.phase in {"Paused", "AwaitingApproval", "Inconclusive", "Watching"}


def _where(r: Release) -> str:
    new, old = r.canary.words or "the new version", r.stable.words or "the present version"
    known: dict[str, str] = {
        "": f"Rollout {r.name} has no status: the controller has not looked at it.",
        "Initializing": f"Deployment {r.workload} is being adopted.",
        "Healthy": f"{old} is stable and has all requests; no release is under way.",
        "Starting": f"{new} is about to be tried; it gets no requests yet.",
        "Promoting": f"{new} has passed and becomes the stable version.",
        "Watching": f"{new} has all requests and is watched; {old} is still at hand.",
        "RollingBack": f"{new} is being taken back.",
        "RolledBack": f"{new} was taken back; {old} has all requests.",
        "Stalled": "Nothing goes on before something is mended.",
    }
    if r.phase in known:
        return known[r.phase]
    place = f"step {r.step}" if r.step else "its release"
    return f"{new} is in {place} with {r.weights.configured} % of the requests; {old} has the others."


def _because(r: Release) -> Iterator[str]:
    if not r.current:
        yield "The controller has not seen the present version of the Rollout yet."
    if r.message:
        yield _sentence(r.message)
    if r.summary and r.summary.rstrip(".") not in r.message:
        yield _sentence(f"the judge says {r.verdict}: {r.summary}")
    for evidence in r.evidence:
        if not evidence.guard and evidence.words not in r.message:
            yield _sentence(f"{evidence.metric}: {evidence.words}")
    for problem in r.problems:
        if problem not in r.message:
            yield _sentence(f"not measured: {problem}")
    if r.weights.message and r.weights.message not in r.message:
        yield _sentence(f"a proxy says: {r.weights.message}")


def _waits(r: Release) -> str:
    if r.phase == "Healthy":
        return "the reason above to end; it starts by itself then" if " waits: " in r.message else ""
    return _WAITS[r.waits](r)


def _for_people(r: Release) -> str:
    if r.paused:
        return "spec.paused to be taken off in git"
    if r.approval is None:
        return "somebody to resume it"
    asked = r.approval
    many = f"{asked.required} people" if asked.required > 1 else "somebody"
    words = f": {asked.message}" if asked.message else ""
    summary = f" ({asked.raw['summary']})" if asked.raw.get("summary") else ""
    return f"{many} to approve{words}{summary}"


def _for_judge(r: Release) -> str:
    return r.need or "enough evidence for a decision"


def _for_proxies(r: Release) -> str:
    return f"every proxy to hold {r.weights.configured} % ({r.weights.proxies or 'none has answered'})"


_WAITS: Final[Mapping[Waits, Callable[[Release], str]]] = MappingProxyType(
    {
        Waits.NOBODY: lambda _: "",
        Waits.PODS: lambda _: "pods to become ready",
        Waits.PROXIES: _for_proxies,
        Waits.JUDGE: _for_judge,
        Waits.TIME: lambda _: "its time to pass",
        Waits.PEOPLE: _for_people,
        Waits.GIT: lambda _: "another version: revert the commit, or push a corrected one",
        Waits.FIX: lambda _: "somebody to mend what the message names; it goes on by itself then",
    }
)


def _then(r: Release, analysis: Mapping[str, Any]) -> Iterator[str]:
    match r.phase:
        case "Healthy":
            bar = ", ".join(s.step.words for s in r.steps)
            yield f"A change of Deployment {r.workload}'s pod template is released by these steps: {bar}."
        case "Promoting":
            yield f"Deployment {r.workload} rolls out the new version, all requests return to it, and the canary goes."
        case "RollingBack":
            yield "All requests go to the stable version, the Deployment is marked as failed, and the canary goes."
        case "RolledBack":
            yield f"Nothing, until Deployment {r.workload} asks for another version, or this one is retried."
        case "" | "Initializing" | "Stalled":
            yield "It goes on by itself as soon as that is done."
        case _:
            yield from _in_release(r, analysis)


def _in_release(r: Release, analysis: Mapping[str, Any]) -> Iterator[str]:
    yield f"When that has come: {_next(r)}."
    if r.weights.configured and r.waits is Waits.JUDGE and r.phase == "Progressing":
        limit = seconds_of(analysis.get("maxStepDuration"))
        if limit:
            how = {
                "Promote": "it goes on all the same",
                "RollBack": "it is taken back",
                "Approve": "people are asked",
            }.get(analysis.get("onInconclusive", ""), "it waits there")
            yield f"Without a decision after {duration_words(limit)} in the step: {how} (spec.analysis.onInconclusive)."
    if r.approval is not None and r.approval.raw.get("until"):
        how = "waits on" if r.approval.raw.get("onTimeout") == "Hold" else "is taken back"
        yield f"Without an answer until {r.approval.raw['until']} it {how}."
    yield "Whenever the new version is shown to be worse, all requests go back to the stable one at once."


def _next(r: Release) -> str:
    if r.phase == "Starting":
        first = r.steps[0] if r.steps else None
        return f"step 1 of {len(r.steps)} begins, {first.step.words}" if first else "the first step begins"
    if r.phase == "Watching":
        return "the new version becomes the stable one"
    at = r.present
    after = next((s for s in r.steps if s.state is StepState.TO_COME), None)
    if at is not None and after is not None:
        return f"step {after.number} of {len(r.steps)} begins, {after.step.words}"
    return "all steps have passed, and the new version is promoted"


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
