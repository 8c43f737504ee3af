"""What a transition says about the commit that its release came from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rollouts.api.commitstatus import REPOSITORY_ANNOTATION, Repository, repository_of
from rollouts.notify.message import commit_of, cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.notify.base import Transition

__all__ = ["REASONS", "CommitState", "Report", "reports_of", "target_of"]

_MOST: Final = 140
"""GitHub's limit of a description."""


class CommitState(StrEnum):
    """What is shown at the commit."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ENDED = "ended"
    """Neither: something newer took its place."""


_STATES: Final[Mapping[str, CommitState]] = MappingProxyType(
    {
        "ReleaseStarted": CommitState.PENDING,
        "CanaryReplaced": CommitState.PENDING,
        "NothingToJudge": CommitState.PENDING,
        "Promoted": CommitState.SUCCESS,
        "RollbackStarted": CommitState.FAILURE,
        "Aborted": CommitState.FAILURE,
        "RevisionRefused": CommitState.FAILURE,
        "Superseded": CommitState.ENDED,
        "Reverted": CommitState.ENDED,
        "Restoring": CommitState.ENDED,
    }
)
REASONS: Final = frozenset(_STATES)
_OF_THE_NEW: Final = frozenset({"ReleaseStarted", "CanaryReplaced", "NothingToJudge", "RevisionRefused"})
"""With these the annotation names the commit that they are about; at a release's end it may name the next one."""


@dataclass(frozen=True)
class Report:
    """One status.

    Attributes:
        commit: Which.
        repository: Its path at the host.
        state: What is shown.
        description: In words.
    """

    commit: str
    repository: str
    state: CommitState
    description: str


def target_of(transition: Transition, host: str) -> Repository | None:
    """Return the repository that the annotations name, if it is at this host and a commit is named, too."""
    repository = repository_of(transition.annotations.get(REPOSITORY_ANNOTATION, ""))
    return repository if repository and repository.host == host and commit_of(transition) else None


def reports_of(
    transition: Transition, memory: Mapping[str, str], host: str
) -> tuple[tuple[Report, ...], dict[str, str]]:
    """Return the statuses that a transition makes, and what is remembered from now on.

    Args:
        transition: What happened.
        memory: The commit, the repository and the state of the release that runs.
        host: The git host.
    """
    state = _STATES[transition.reason]
    target = target_of(transition, host)
    if transition.reason in _OF_THE_NEW:
        if target is None:
            return _left(memory, ""), {}
        report = Report(commit_of(transition), target.path, state, cut(transition.note, _MOST))
        return (*_left(memory, report.commit), report), _kept(report)
    if not memory and target:
        memory = {"commit": commit_of(transition), "repository": target.path}
    if not memory or memory.get("state") == state or (state is CommitState.ENDED and memory.get("state") != "pending"):
        return (), dict(memory)
    report = Report(memory["commit"], memory["repository"], state, cut(transition.note, _MOST))
    return (report,), _kept(report)


def _left(memory: Mapping[str, str], new: str) -> tuple[Report, ...]:
    """Return the end of a release whose end was not seen, as its annotation came late."""
    if memory.get("state") != CommitState.PENDING or memory["commit"] == new:
        return ()
    return (Report(memory["commit"], memory["repository"], CommitState.ENDED, "a newer release took its place"),)


def _kept(report: Report) -> dict[str, str]:
    return {"commit": report.commit, "repository": report.repository, "state": report.state.value}
