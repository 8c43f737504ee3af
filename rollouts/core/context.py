"""What the checks of one decision share: the observation, the notes so far, the time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.analysis import MOST_HELD_BACK
from rollouts.core.canary import capacity
from rollouts.core.dependencies import unfinished
from rollouts.core.machine import Event, State
from rollouts.core.schedule import Closed, closed
from rollouts.core.strategies import steps_of
from rollouts.core.traffic import FULL, exposed, pods_to_come, shape_words, weight_of, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.model.verdict import Decision
    from mesh.api.trafficsplit import OutlierDetection
    from rollouts.api.rollout import RolloutSpec, RolloutStatus, Step
    from rollouts.core.naming import Names
    from rollouts.core.notes import Notes
    from rollouts.core.observed import Observed, Workload
    from rollouts.core.problems import Problem

__all__ = ["ACK_PATIENCE", "DRAIN_SECONDS", "FULL", "Context", "Signal"]

DRAIN_SECONDS: Final = 5.0
"""How long pods stay after the last proxy has acknowledged that they get no more requests: answers under way end in it."""
ACK_PATIENCE: Final = 60.0
"""How long a rollback or a deletion waits for a proxy that does not acknowledge."""


@dataclass(frozen=True)
class Signal:
    """An event for the state machine, with the reason in words."""

    event: Event
    why: str


@dataclass(frozen=True)
class Context:
    """One decision in the making. Frozen: each transition makes a new one."""

    o: Observed
    now: float
    names: Names
    spec: RolloutSpec
    status: RolloutStatus
    notes: Notes
    problem: Problem | None = None
    handled: Mapping[str, str] = field(default_factory=dict)

    def noted(self, **changes: Any) -> Context:
        """Return the context with changed notes."""
        return replace(self, notes=self.notes.model_copy(update=changes))

    def stated(self, **changes: Any) -> Context:
        """Return the context with a changed status."""
        return replace(self, status=self.status.model_copy(update=changes))

    # --- the Deployment -------------------------------------------------------------------------------------------

    @property
    def deployment(self) -> Workload:
        """The stable Deployment. Only where the checks have found that there is one."""
        if self.o.deployment is None:
            raise LookupError(f"Deployment {self.names.workload} is not there")
        return self.o.deployment

    @property
    def revision(self) -> str:
        """The revision that the Deployment asks for; empty without a Deployment."""
        return self.o.deployment.revision if self.o.deployment else ""

    @property
    def stable(self) -> str:
        """The stable revision; empty before adoption."""
        return self.status.stable.revision if self.status.stable else ""

    @property
    def reverted(self) -> bool:
        """Whether the Deployment asks for the stable revision."""
        return self.revision == self.stable

    @property
    def paused(self) -> bool:
        """Whether the Deployment is held."""
        return self.o.deployment is not None and self.o.deployment.paused

    @property
    def most_run(self) -> str:
        """The revision that most of the Deployment's pods run; what it asks for where it has none."""
        running = self.o.running
        return max(sorted(running), key=lambda r: running[r]) if running else self.revision

    @property
    def stable_can_take(self) -> bool:
        """Whether enough stable pods are ready to answer everything: the three quarters that a rolling update keeps."""
        d = self.o.deployment
        return d is None or d.ready * 4 >= d.replicas * 3

    @property
    def must_unpause(self) -> bool:
        """Whether a Rollout that goes away leaves a hold behind that nobody would lift.

        A revision that was taken back stays held: deleting the Rollout must not ship it.
        """
        return self.paused and self.revision != self.status.failed_revision

    @cached_property
    def closed(self) -> Closed | None:
        """Why no release may start now; None when it may."""
        found = closed(self.spec.release_windows, self.spec.freezes, self.now)
        if found is None and (words := unfinished(self.spec.depends_on, self.o.neighbours) or self.o.full):
            return Closed(words)
        return found

    # --- the canary -----------------------------------------------------------------------------------------------

    @property
    def canary_is_target(self) -> bool:
        """Whether the canary's Deployment runs the release's revision."""
        c = self.o.canary
        return c is not None and not c.deleting and c.revision == self.notes.target

    def needed(self, weight: int) -> int:
        """Return the canary pods needed for ``weight`` percent of the requests."""
        return capacity(weight, self.deployment.replicas)

    @property
    def canary_can_take(self) -> bool:
        """Whether the canary has ready capacity for what comes."""
        c, pods = self.o.canary, pods_to_come(self)
        return (
            c is not None
            and self.canary_is_target
            and self.o.canary_service is not None
            and c.observed
            and c.replicas >= pods
            and min(c.ready, c.available) >= pods
        )

    @property
    def canary_lost(self) -> bool:
        """Whether requests go to a canary that has no ready pod."""
        return exposed(self) and (self.o.canary is None or self.o.canary.ready == 0 or not self.canary_is_target)

    @property
    def canary_gone(self) -> bool:
        """Whether nothing of a canary is left."""
        return self.o.canary is None and self.o.canary_service is None and self.o.fresh.gone

    def pod_words(self, pod: str) -> str:
        """Return a canary pod with its node, as people read it."""
        known, replaced = self.o.canary_pods.get(pod), self.notes.replaced
        node = known.node if known else replaced.node if replaced and replaced.name == pod else ""
        return f"{pod} on node {node}" if node else pod

    # --- traffic --------------------------------------------------------------------------------------------------

    @property
    def outlier_detection(self) -> OutlierDetection:
        """The settings that belong into the split."""
        return self.spec.outlier_detection

    @property
    def written(self) -> bool:
        """Whether the stored split is the one that is asked for."""
        return written(self)

    @property
    def in_force(self) -> bool:
        """Whether every affected proxy holds the split that is asked for."""
        return self.written and self.o.traffic is not None and self.o.traffic.acknowledged

    @property
    def quiet_for(self) -> float:
        """Seconds since every proxy was seen to send the canary nothing."""
        return 0.0 if self.notes.quiet_since is None else self.now - self.notes.quiet_since

    @property
    def drained(self) -> bool:
        """Whether the canary's last answers have had their time."""
        return self.notes.quiet_since is not None and self.quiet_for >= DRAIN_SECONDS

    # --- steps ----------------------------------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether ``spec.paused``, or somebody, keeps a release where it is."""
        return self.spec.paused or self.notes.on_hold

    @property
    def index(self) -> int:
        """The present step, from 0; -1 before the first."""
        return -1 if self.status.step_index is None else self.status.step_index

    @property
    def step(self) -> Step | None:
        """The present step; None before the first, and where the steps were shortened under a running release."""
        return self.steps[self.index] if 0 <= self.index < len(self.steps) else None

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The release's steps, whatever the strategy."""
        return steps_of(self.spec)

    @property
    def step_weight(self) -> int:
        """The weight that the present step asks for; the one in force where it asks for none."""
        return self.notes.weight if self.step is None or self.step.weight is None else self.step.weight

    @property
    def share_to_come(self) -> int:
        """The weight that the present step sets: of 100 %, what is held back for a comparison is left on stable."""
        if self.step_weight < FULL or not self.judged or self.step is None or self.step.set_weight is None:
            return self.step_weight
        return FULL - self.spec.analysis.holdback_percent

    @property
    def undecided(self) -> bool:
        """Whether a person is asked because a step's evidence decides nothing."""
        step = self.step
        return self.notes.state is State.AWAITING_APPROVAL and step is not None and step.judged

    @property
    def held_back(self) -> int:
        """Percent that stable keeps of a step of 100 %; 0 where none is held back."""
        asked = weight_of(self.steps[: self.index + 1])
        kept = FULL - self.notes.weight
        return kept if asked == FULL and self.notes.weight and kept <= MOST_HELD_BACK and self.weight_is_set else 0

    @property
    def weight_is_set(self) -> bool:
        """Whether the weight in the notes is the present step's, not the one before."""
        return self.notes.state in {
            State.WEIGHTING,
            State.JUDGING,
            State.PAUSED,
            State.AWAITING_APPROVAL,
            State.AWAITING_PROMOTION,
            State.INCONCLUSIVE,
        }

    @property
    def weight_words(self) -> str:
        """The weight as people read it."""
        kept = self.held_back
        words = f", {kept} % held back on stable to compare with until the verdict" if kept else ""
        return f"{self.notes.weight} %{words}{shape_words(self)}"

    @property
    def weight_to_come(self) -> int:
        """The weight for which the canary must have capacity before anything else happens."""
        match self.notes.state:
            case State.STARTING:
                return self.steps[0].weight or 0
            case State.FILLING | State.SWITCHING | State.WATCHING:
                return FULL
            case State.ROLLING:
                return self.notes.weight
            case _:
                return max(self.step_weight, self.notes.weight)

    @property
    def in_step(self) -> float:
        """Seconds since the present weight step was in force at every proxy."""
        return self.now - (self.notes.step_starts[-1] if self.notes.step_starts else self.notes.since)

    @property
    def in_state(self) -> float:
        """Seconds in the present state."""
        return self.now - self.notes.since

    @property
    def decision(self) -> Decision | None:
        """The judge's answer; None when nothing is judged."""
        verdict = self.o.measured.verdict
        return verdict.decision if verdict and self.judged else None

    @property
    def judged(self) -> bool:
        """Whether the spec wants anything judged."""
        return self.spec.analysis.judges

    @property
    def has_baseline(self) -> bool:
        """Whether stable gets requests to compare with."""
        return self.notes.weight < FULL

    def asked(self, annotation: str) -> bool:
        """Return whether a command annotation has a value that was not acted on yet."""
        value = self.o.subject.annotations.get(annotation)
        return value is not None and self.handled.get(annotation) != value
