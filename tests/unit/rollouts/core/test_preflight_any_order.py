"""Pre-flight under everything that can happen at once: nothing leaves Starting by itself while a check says no."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from analysis.model.verdict import Decision
from rollouts.api.names import ABORT_ANNOTATION, PROMOTE_ANNOTATION
from rollouts.core.machine import RELEASE, State
from rollouts.core.preflight.facts import Facts, Kind, PodFact

STARTED = RELEASE - {State.STARTING, State.FILLING, State.SWITCHING, State.WATCHING}
"""Where a release gets to by itself; people promote past the checks."""
FACTS = {
    "unread": None,
    "fine": Facts(),
    "no sidecar": Facts(canary_pods=(PodFact("a", sidecar=False),)),
    "may not read": Facts(unread={Kind.QUOTAS: "resourcequotas may not be listed"}),
    "no room": Facts(objects={Kind.QUOTAS: ({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}},)}),
}
METRICS = [("", True), ("", False), ("connection refused", False), ("no histogram yet", True)]


def machine_of(make_world):  # noqa: C901 - one class, one rule for each thing that can happen
    class Release(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.world = make_world(steps=[{"setWeight": 50}, {"setWeight": 100}], progressDeadlineSeconds=60)
            self.world.settle(3)
            self.number = 0

        def look(self, kept=None):
            """One pass; killed after some actions where that is asked."""
            world = self.world
            before = world.notes.state
            world.decide(kept)
            after = world.notes.state
            if before is State.STARTING and after in STARTED:
                assert world.preflight in (FACTS["fine"], FACTS["may not read"]) or self.room_was_left()
                assert world.measuring_answers, "it started without a source of metrics"
            if before is after is State.STARTING:
                failed = any(x["result"] == "Fail" for x in world.status["preflight"])
                assert failed is (world.phase == "Stalled")

        def room_was_left(self):
            """A quota is about pods that are to be made: those that are there fit."""
            return self.world.preflight == FACTS["no room"] and self.world.canary is not None

        @rule(kept=st.sampled_from([None, None, 0, 1]))
        def the_controller_looks(self, kept):
            self.look(kept)

        @rule()
        def everything_works(self):
            for _ in range(3):
                self.look()
                self.world.kubernetes()
                self.world.mesh()

        @rule(found=st.sampled_from(sorted(FACTS)))
        def facts_change(self, found):
            self.world.preflight = FACTS[found]

        @rule(said=st.sampled_from(METRICS))
        def metrics_change(self, said):
            self.world.measuring_problem, self.world.measuring_answers = said

        @rule(seconds=st.sampled_from([1, 30, 70]), start=st.booleans())
        def time_passes(self, seconds, start):
            self.world.now += seconds
            self.world.pods_start = start

        @rule(version=st.integers(1, 3))
        def push(self, version):
            self.world.push(f"shop:{version}")

        @rule(command=st.sampled_from([ABORT_ANNOTATION, PROMOTE_ANNOTATION]))
        def command(self, command):
            self.number += 1
            self.world.annotate(command, str(self.number))

        @invariant()
        def what_is_announced_is_what_holds(self):
            notes = self.world.notes.preflight
            assert len(set(notes.told)) == len(notes.told)

        def teardown(self):
            """All is well again: then it comes to rest."""
            world = self.world
            world.preflight, world.pods_start = FACTS["fine"], True
            world.measuring_problem, world.measuring_answers = METRICS[0]
            world.says(Decision.PROMOTE)
            for _ in range(60):
                world.wait(5)
                if world.phase in {"Healthy", "RolledBack"}:
                    break
            assert world.phase in {"Healthy", "RolledBack"}, world.status["message"]

    return Release


def test_no_release_starts_while_a_check_says_no(make_world):
    limits = settings(max_examples=100, stateful_step_count=20, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine_of(make_world), settings=limits)
