"""The state machine of a release, as data. ``docs/state-machine.md`` is generated from it.

An event that the table does not know in a state is a defect of the controller, and raises.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rollouts.api.rollout import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ASKING",
    "PHASES",
    "RELEASE",
    "RESTING",
    "SKIPPABLE",
    "STEP_ENDS",
    "TABLE",
    "Event",
    "IllegalEventError",
    "State",
    "advance",
    "diagram",
]


class State(StrEnum):
    """Where a Rollout is, finer than its phase."""

    INITIALIZING = "Initializing"
    HEALTHY = "Healthy"
    STARTING = "Starting"
    SCALING = "Scaling"
    WEIGHTING = "Weighting"
    JUDGING = "Judging"
    PAUSED = "Paused"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_PROMOTION = "AwaitingPromotion"
    INCONCLUSIVE = "Inconclusive"
    FILLING = "Filling"
    SWITCHING = "Switching"
    WATCHING = "Watching"
    ROLLING = "Rolling"
    RETURNING = "Returning"
    DRAINING = "Draining"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    SUPERSEDING = "Superseding"
    REVERTING = "Reverting"
    RESTORING = "Restoring"
    GONE = "Gone"


class Event(StrEnum):
    """What can happen to it; also the reason of the Kubernetes Event that tells of it."""

    ADOPTED = "Adopted"
    """The Deployment runs one revision: that is the stable one."""
    UNHELD = "RolledOutUnheld"
    """The template changed and nothing held it."""
    CHANGED = "ReleaseStarted"
    """A held template differs from the stable one."""
    REFUSED = "RevisionRefused"
    """The held template is the one that was taken back last."""
    EMPTY = "NothingToJudge"
    """The Deployment is scaled to zero: there is nothing to compare with."""
    NEXT_WEIGHT = "StepStarted"
    """The next step sets a weight."""
    NEXT_PAUSE = "PauseStarted"
    """The next step is a pause."""
    NEXT_APPROVAL = "ApprovalRequested"
    """The next step waits for people."""
    ASK_PROMOTION = "PromotionApprovalRequested"
    """All steps have passed, and people are asked before the canary is promoted."""
    REJECT = "Rejected"
    """Somebody who was asked said no."""
    FINISHED = "StepsPassed"
    """No step is left."""
    SCALED = "CanaryScaled"
    """The canary has the capacity for the weight that comes."""
    ACKNOWLEDGED = "WeightAcknowledged"
    """Every affected proxy holds the weight."""
    UNDECIDED = "Inconclusive"
    """A step's time is over without a decision."""
    ASK = "DecisionRequested"
    """A step's time is over without a decision, and a person shall decide."""
    PROMOTE = "PromotionForced"
    """Somebody asked for promotion."""
    ROLL_BACK = "RollbackStarted"
    """The canary is worse, or does not run."""
    ABORT = "Aborted"
    """Somebody asked to take the release back."""
    SUPERSEDE = "Superseded"
    """The template changed again."""
    REVERT = "Reverted"
    """The template is the stable one again."""
    OVERRIDE = "Overridden"
    """Somebody resumed the Deployment: ship it now."""
    WATCH = "WatchStarted"
    """The canary has all requests, and the old version stays at hand for a while."""
    WATCHED = "WatchPassed"
    """Nothing was found in that time."""
    ROLLED = "Promoted"
    """The stable Deployment runs the new revision."""
    RETURNED = "TrafficReturned"
    """The stable Service has all requests again."""
    DRAINED = "Finished"
    """Nothing is left to be answered by the canary."""
    MARKED = "RolledBack"
    """The canary gets no requests; the Deployment is marked."""
    RETRY = "RetryStarted"
    """Somebody asked to run the release again."""
    CLEARED = "CanaryReplaced"
    """The old canary is gone."""
    DELETE = "Restoring"
    """The Rollout is being deleted."""
    RESTORED = "Restored"
    """A plain Deployment is left."""


class IllegalEventError(Exception):
    """The table does not know this event in this state."""


_S, _E = State, Event

RELEASE: Final = frozenset(
    {
        _S.STARTING,
        _S.SCALING,
        _S.WEIGHTING,
        _S.JUDGING,
        _S.PAUSED,
        _S.AWAITING_APPROVAL,
        _S.AWAITING_PROMOTION,
        _S.INCONCLUSIVE,
        _S.FILLING,
        _S.SWITCHING,
        _S.WATCHING,
    }
)
"""States in which a release can still be taken back by one weight change."""

SKIPPABLE: Final = frozenset(
    {_S.JUDGING, _S.PAUSED, _S.AWAITING_APPROVAL, _S.AWAITING_PROMOTION, _S.INCONCLUSIVE, _S.WATCHING}
)
"""States that wait in a step which can be skipped."""

ASKING: Final = frozenset({_S.AWAITING_APPROVAL, _S.AWAITING_PROMOTION})
"""States that wait for people's approval."""

RESTING: Final = frozenset({_S.HEALTHY, _S.ROLLED_BACK, _S.GONE})
"""States in which nothing is under way."""

_AT_ANY_TIME: Final = {
    _E.ROLL_BACK: _S.ROLLING_BACK,
    _E.ABORT: _S.ROLLING_BACK,
    _E.SUPERSEDE: _S.SUPERSEDING,
    _E.REVERT: _S.REVERTING,
    _E.OVERRIDE: _S.ROLLING,
    _E.PROMOTE: _S.FILLING,
}
"""What can happen in every state of RELEASE."""

_NEXT: Final = {
    _E.NEXT_WEIGHT: _S.SCALING,
    _E.NEXT_PAUSE: _S.PAUSED,
    _E.NEXT_APPROVAL: _S.AWAITING_APPROVAL,
    _E.ASK_PROMOTION: _S.AWAITING_PROMOTION,
    _E.FINISHED: _S.FILLING,
}
"""What follows when a step has passed."""

STEP_ENDS: Final = frozenset(_NEXT)
"""Events with which a step ends."""

_OWN: Final[dict[State, dict[Event, State]]] = {
    _S.INITIALIZING: {_E.ADOPTED: _S.HEALTHY},
    _S.HEALTHY: {
        _E.UNHELD: _S.INITIALIZING,
        _E.CHANGED: _S.STARTING,
        _E.REFUSED: _S.ROLLING_BACK,
        _E.EMPTY: _S.ROLLING,
    },
    _S.STARTING: {  # there is a first step
        event: to for event, to in _NEXT.items() if event not in {_E.FINISHED, _E.ASK_PROMOTION}
    },
    _S.SCALING: {_E.SCALED: _S.WEIGHTING},
    _S.WEIGHTING: {_E.ACKNOWLEDGED: _S.JUDGING},
    _S.JUDGING: {**_NEXT, _E.UNDECIDED: _S.INCONCLUSIVE, _E.ASK: _S.AWAITING_APPROVAL},
    _S.PAUSED: _NEXT,
    _S.AWAITING_APPROVAL: {**_NEXT, _E.REJECT: _S.ROLLING_BACK},
    _S.AWAITING_PROMOTION: {_E.FINISHED: _S.FILLING, _E.REJECT: _S.ROLLING_BACK},
    _S.INCONCLUSIVE: _NEXT,
    _S.FILLING: {_E.SCALED: _S.SWITCHING},
    _S.SWITCHING: {_E.ACKNOWLEDGED: _S.ROLLING, _E.WATCH: _S.WATCHING},
    _S.WATCHING: {_E.WATCHED: _S.ROLLING},
    _S.ROLLING: {_E.ROLLED: _S.RETURNING, _E.SUPERSEDE: _S.SUPERSEDING},
    _S.RETURNING: {_E.RETURNED: _S.DRAINING},
    _S.DRAINING: {_E.DRAINED: _S.HEALTHY},
    _S.ROLLING_BACK: {
        _E.MARKED: _S.ROLLED_BACK,
        _E.SUPERSEDE: _S.SUPERSEDING,
        _E.REVERT: _S.REVERTING,
        _E.OVERRIDE: _S.ROLLING,
    },
    _S.ROLLED_BACK: {
        _E.RETRY: _S.SUPERSEDING,
        _E.SUPERSEDE: _S.SUPERSEDING,
        _E.REVERT: _S.REVERTING,
        _E.OVERRIDE: _S.ROLLING,
    },
    _S.SUPERSEDING: {
        _E.CLEARED: _S.STARTING,
        _E.REFUSED: _S.ROLLING_BACK,
        _E.REVERT: _S.REVERTING,
        _E.OVERRIDE: _S.ROLLING,
    },
    _S.REVERTING: {_E.DRAINED: _S.HEALTHY},
    _S.RESTORING: {_E.RESTORED: _S.GONE},
}


def _table() -> Mapping[tuple[State, Event], State]:
    table = {(state, event): to for state, row in _OWN.items() for event, to in row.items()}
    table |= {(state, event): to for state in State if state in RELEASE for event, to in _AT_ANY_TIME.items()}
    table |= {(state, _E.DELETE): _S.RESTORING for state in State if state not in {_S.RESTORING, _S.GONE}}
    for promoting in (_S.FILLING, _S.SWITCHING, _S.WATCHING):
        del table[promoting, _E.PROMOTE]
    return MappingProxyType(table)


TABLE: Final = _table()

PHASES: Final[Mapping[State, Phase]] = MappingProxyType(
    {
        _S.INITIALIZING: Phase.INITIALIZING,
        _S.HEALTHY: Phase.HEALTHY,
        _S.STARTING: Phase.STARTING,
        _S.SCALING: Phase.PROGRESSING,
        _S.WEIGHTING: Phase.PROGRESSING,
        _S.JUDGING: Phase.PROGRESSING,
        _S.PAUSED: Phase.PAUSED,
        _S.AWAITING_APPROVAL: Phase.AWAITING_APPROVAL,
        _S.AWAITING_PROMOTION: Phase.AWAITING_APPROVAL,
        _S.INCONCLUSIVE: Phase.INCONCLUSIVE,
        _S.FILLING: Phase.PROMOTING,
        _S.SWITCHING: Phase.PROMOTING,
        _S.WATCHING: Phase.WATCHING,
        _S.ROLLING: Phase.PROMOTING,
        _S.RETURNING: Phase.PROMOTING,
        _S.DRAINING: Phase.PROMOTING,
        _S.ROLLING_BACK: Phase.ROLLING_BACK,
        _S.ROLLED_BACK: Phase.ROLLED_BACK,
        _S.SUPERSEDING: Phase.STARTING,
        _S.REVERTING: Phase.ROLLING_BACK,
        _S.RESTORING: Phase.ROLLING_BACK,
        _S.GONE: Phase.ROLLING_BACK,
    }
)


def advance(state: State, event: Event) -> State:
    """Return the state after ``event``.

    Raises:
        IllegalEventError: The table does not know the event in this state.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalEventError(f"{event.name} in {state}: the state machine's table has no such transition") from None


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> Initializing"]
    lines += [
        f"    {state} --> {to}: {event.name}"
        for (state, event), to in TABLE.items()
        if event is not _E.DELETE and not (state in RELEASE and event in _AT_ANY_TIME)
    ]
    lines.append("    state Release {")
    lines += [f"        {state}" for state in State if state in RELEASE]
    lines.append("    }")
    lines += [f"    Release --> {to}: {event.name}" for event, to in _AT_ANY_TIME.items()]
    lines += ["    Any --> Restoring: DELETE", "    Gone --> [*]"]
    return "\n".join(lines) + "\n"
