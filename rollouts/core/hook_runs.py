"""One hook at one place of one release: what is remembered of it, and what is known of how it goes. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from crds.base import Resource
from rollouts.api.hooks import GATES, Hook, Point
from rollouts.api.rollout import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CanceledRun", "EndHook", "HookFacts", "HookMemory", "HookOrder", "HookRun", "Progress", "RunHook", "job_name", "key_of",
]  # fmt: skip

_KEY_DIGITS: Final = 40
_WORDS: Final = 300
# A Job's name is a label of its pods, and those get a suffix.
_LONGEST_JOB: Final = 52
_JOB_DIGITS: Final = 10


def key_of(uid: str, revision: str, began: float, place: str, hook: str) -> str:
    """Return the one key of a run: the same after a restart and for each try, another for every other run.

    Args:
        uid: The Rollout's.
        revision: The revision that is released.
        began: When the release began, Unix seconds.
        place: Where in the release, see ``HookRun``.
        hook: The hook's name.
    """
    return hashlib.sha256(f"{uid}/{revision}/{began:.6f}/{place}/{hook}".encode()).hexdigest()[:_KEY_DIGITS]


def job_name(rollout: str, hook: str, key: str) -> str:
    """Return the one name of a run's Job: readable as far as it fits, and a part of the key."""
    words = f"{rollout}-{hook}".replace(".", "-")[: _LONGEST_JOB - _JOB_DIGITS - 1].strip("-")
    return f"{words}-{key[:_JOB_DIGITS]}"


class HookRun(Resource):
    """A run, noted before anything is sent or created.

    Attributes:
        key: See ``key_of``.
        name: The hook's name.
        at: The hook's point.
        place: Where in the release: ``start``, a step's number from 1, ``promotion`` or ``end``.
        began: When its release began, Unix seconds.
        since: When it became due, Unix seconds.
        job: The name of its Job; empty for a request.
        revision: The revision that is or was released.
        images: Its images.
        stable: What was stable.
        step: The present step from 1; 0 before the first.
        weight: The canary's share, percent; the one to come where the hook is asked about it.
        phase: The Rollout's phase.
        why: Why the release was taken back, or by what it was promoted.
        ended: When its result was noted, Unix seconds.
        passed: The result.
        words: What it said.
    """

    key: str
    name: str
    at: Point
    place: str
    began: float
    since: float
    job: str = ""
    revision: str = ""
    images: tuple[str, ...] = ()
    stable: Version | None = None
    step: int = 0
    weight: int = 0
    phase: str = ""
    why: str = ""
    ended: float | None = None
    passed: bool = False
    words: str = ""

    @property
    def gates(self) -> bool:
        """Whether a release waits for it."""
        return self.at in GATES

    def closed(self, now: float, *, passed: bool, words: str) -> HookRun:
        """Return the run with its result."""
        return self.model_copy(update={"ended": now, "passed": passed, "words": words[:_WORDS], "why": ""})


class CanceledRun(Resource):
    """A run that nobody waits for any more and whose Job has to go.

    Attributes:
        key: The run's.
        job: The Job's name.
    """

    key: str
    job: str


class HookMemory(Resource):
    """What is remembered of hooks.

    Attributes:
        runs: Those that are due, and the ended ones of the place where the release is.
        canceled: Whose Jobs are not known to be deleted yet.
    """

    runs: tuple[HookRun, ...] = ()
    canceled: tuple[CanceledRun, ...] = ()


@dataclass(frozen=True)
class HookOrder:
    """What the engine needs to do a run.

    Attributes:
        run: The run.
        hook: Its settings.
        event: What is told: the body of a request, the source of a Job's environment. Always the same for one run.
    """

    run: HookRun
    hook: Hook
    event: Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """How a run goes, as this process knows it; another process begins anew with the same key.

    Attributes:
        hook: The settings that are used.
        tries: How often it was tried.
        words: The last answer, in words.
        problem: Why it cannot be tried: nothing that the hook said.
        problem_at: Since when, Unix seconds.
        passed: The result; None while there is none.
    """

    hook: Hook
    tries: int = 0
    words: str = ""
    problem: str = ""
    problem_at: float = 0.0
    passed: bool | None = None


@dataclass(frozen=True)
class HookFacts:
    """What this process knows of a Rollout's hooks.

    Attributes:
        progress: By key.
        stopped: Keys of the runs whose Jobs are deleted.
    """

    progress: Mapping[str, Progress] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunHook:
    """Send the request or create the Job, unless that is under way with the same settings."""

    order: HookOrder


@dataclass(frozen=True)
class EndHook:
    """Forget a run, and delete its Job if one is named."""

    key: str
    job: str = ""
