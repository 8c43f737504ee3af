"""Hooks in any order of events, killed wherever: what they never let happen, and that nothing of them is left."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from analysis.model.verdict import Decision
from rollouts.api.names import APPROVE_ANNOTATION, RESUME_ANNOTATION
from rollouts.core import actions as a
from rollouts.core.decide import COMMANDS, decide
from rollouts.core.machine import RELEASE, State

HTTP = {"http": {"url": "http://gate/open"}}
JOB = {"job": {"template": {"spec": {"template": {"spec": {"containers": [{"name": "t", "image": "k6"}]}}}}}}
HOOKS = [
    {"name": "start", "at": "BeforeRollout", **HTTP},
    {"name": "load", "at": "DuringStep", **JOB},
    {"name": "more", "at": "BeforeTrafficIncrease", **HTTP},
    {"name": "ship", "at": "BeforePromotion", **JOB},
    {"name": "soft", "at": "BeforePromotion", "onFailure": "Continue", **HTTP},
    {"name": "done", "at": "AfterPromotion", **HTTP},
    {"name": "back", "at": "OnRollback", **JOB},
]
STEPS = [{"setWeight": 10}, {"pause": {"duration": "5s"}}, {"setWeight": 50}, {"approval": {}}, {"setWeight": 100}]


def machine_of(make_world):  # noqa: C901 - one class, one rule for each thing that can happen
    class Hooked(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.world = make_world(
                replicas=4, steps=STEPS, hooks=HOOKS, analysis={"minStepDuration": "3s", "maxStepDuration": "60s"}
            )
            self.number = 0
            self.results = {}
            self.jobs = {}
            self.do, self.world.do = self.world.do, self.check
            self.world.settle(3)
            self.world.push("shop:2")
            self.world.says(Decision.PROMOTE)

        def check(self, action):
            world = self.world
            match action:
                case a.RunHook(order):
                    noted = [run.key for run in world.notes.hooks.runs if run.ended is None]
                    assert order.run.key in noted, "it was begun before it was noted"
                    if order.run.job:
                        self.jobs[order.run.key] = order.run.job
                case a.EndHook(key, job) if job:
                    assert self.jobs.get(key, job) == job
                    self.jobs.pop(key, None)
                case a.SetTraffic():
                    self.traffic(action.weights.get("payment-canary", 0))
            self.do(action)

        def traffic(self, weight):
            notes = self.world.notes
            if weight <= self.world.weight or notes.forced:
                return
            passed = {(r.name, r.place): r for r in self.passed if (r.revision, r.began) == (notes.target, notes.began)}
            place = "promotion" if notes.state is State.SWITCHING else str(self.world.status["stepIndex"] + 1)
            assert ("start", "start") in passed, "requests before the hook of the rollout"
            assert ("more", place) in passed, f"{weight} % before the hook that was asked about it"
            if place == "promotion":
                assert {name for name, _ in passed} >= {"ship", "load"}, "promoted before its hooks"

        @property
        def passed(self):
            return [order.run for order in self.world.orders.values() if self.results.get(order.run.key)]

        @initialize(seconds=st.integers(0, 40), then=st.integers(0, 8))
        def it_has_come_so_far(self, seconds, then):
            for _ in range(seconds):
                self.people_agree()
                self.all_goes_well(1)
            self.world.wait(then)

        def people_agree(self):
            if self.world.notes.on_hold or self.world.notes.state in {State.PAUSED, State.AWAITING_APPROVAL}:
                self.number += 1
                self.world.annotate(APPROVE_ANNOTATION, f"yes-{self.number}")
                self.world.annotate(RESUME_ANNOTATION, f"yes-{self.number}")

        # --- the controller ---

        @rule()
        def look(self):
            if not self.world.gone:
                self.world.decide()

        @rule(kept=st.integers(0, 4))
        def killed_after_some_actions(self, kept):
            if self.world.gone:
                return
            self.world.decide(kept)
            self.world.hooks, self.world.stopped = {}, set()

        @rule()
        def killed_before_the_status_was_written(self):
            if not self.world.gone:
                decide(self.world.observe(), self.world.now)
            self.world.hooks, self.world.stopped = {}, set()

        @rule(seconds=st.sampled_from([1, 4, 6, 70]))
        def time_passes(self, seconds):
            self.world.now += seconds

        @rule()
        def the_cluster_works(self):
            self.world.kubernetes()
            self.world.mesh()

        @rule(seconds=st.integers(1, 8))
        def all_goes_well(self, seconds):
            for name in self.world.under_way:
                self.answered(name, passed=True)
            self.world.wait(seconds)

        # --- hooks, people, the judge ---

        @precondition(lambda self: self.world.under_way)
        @rule(passed=st.sampled_from([True, True, True, False]))
        def a_hook_answers(self, passed):
            self.answered(self.world.under_way[0], passed=passed)

        def answered(self, name, *, passed):
            key = self.world.hook(name).run.key
            passed = self.results.setdefault(key, passed or name == "soft")
            self.world.answers(name, passed=passed, words="so it is")

        @rule(version=st.integers(1, 3))
        def push(self, version):
            self.world.push(f"shop:{version}")

        @rule(command=st.sampled_from(COMMANDS))
        def command(self, command):
            self.number += 1
            self.world.annotate(command, str(self.number))

        @rule(decision=st.sampled_from([Decision.PROMOTE, Decision.PROMOTE, Decision.CONTINUE, Decision.ROLL_BACK]))
        def judge_says(self, decision):
            self.world.says(decision)

        # --- what always holds ---

        @invariant()
        def nothing_gates_a_release_that_is_over(self):
            if self.world.status and self.world.notes.state not in RELEASE:
                assert [r.name for r in self.world.notes.hooks.runs if r.gates] == []

        @invariant()
        def what_is_remembered_stays_small(self):
            if self.world.status:
                assert len(self.world.notes.hooks.runs) <= 64

        def teardown(self):
            """All is well again: then it comes to rest, and no Job is left that nobody waits for."""
            world = self.world
            world.says(Decision.PROMOTE)
            for n in range(150):
                for name in world.under_way:
                    self.answered(name, passed=True)
                if world.phase in {"Healthy", "RolledBack"} and world.canary is None and not world.under_way and n > 40:
                    break
                self.people_agree()
                world.wait(2)
            assert world.phase in {"Healthy", "RolledBack"}, world.status["message"]
            assert world.notes.hooks.runs == world.notes.hooks.canceled == ()
            left = [key for key in self.jobs if key not in self.results]
            assert left == [], "a Job runs on that nobody waits for"

    return Hooked


def test_hooks_keep_their_promises_in_any_order_of_events(make_world):
    run_state_machine_as_test(
        machine_of(make_world),
        settings=settings(max_examples=25, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )
