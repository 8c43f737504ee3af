"""Whatever happens, in whatever order, killed wherever: what a release never does, and that it always ends."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from analysis.model.verdict import Decision
from rollouts.api import names
from rollouts.api.rollout import RolloutStatus
from rollouts.core import actions as a
from rollouts.core.canary import capacity
from rollouts.core.context import ACK_PATIENCE
from rollouts.core.decide import COMMANDS, decide
from rollouts.core.machine import RESTING, State
from rollouts.core.observed import CanaryPod
from rollouts.core.templates import revision

STEPS = [{"setWeight": 10}, {"pause": {"duration": "5s"}}, {"setWeight": 50}, {"approval": {}}, {"setWeight": 100}]
DECISIONS = [None, *Decision]


class Watched:
    """Looks at each action at the moment it is done."""

    def __init__(self, world):
        self.world = world
        self.do = world.do
        world.do = self.check

    def check(self, action):
        match action:
            case a.SetTraffic():
                self.traffic(action.weights.get("payment-canary", 0))
            case a.MarkFailed():
                self.mark()
            case a.Unpause():
                self.unpause()
            case a.Delete(kind="Deployment"):
                assert self.world.weight == 0, "a canary that gets requests was deleted"
        self.do(action)

    def traffic(self, weight):
        world, notes = self.world, self.world.notes
        if weight <= world.weight:
            return
        step = world.status.get("stepIndex", -1)
        asked = STEPS[step].get("setWeight")
        allowed = {100} if notes.state is State.SWITCHING else {95 if asked == 100 else asked}
        assert weight in allowed, f"{weight} % in {notes.state}, step {step}"
        ready = world.canary["status"].get("readyReplicas", 0)
        assert ready >= capacity(weight, world.deployment["spec"]["replicas"]), "weight before capacity"
        assert world.canary["metadata"]["annotations"][names.REVISION_ANNOTATION] == notes.target

    def mark(self):
        world = self.world
        assert world.weight == 0, "marked as failed with requests on the canary"
        assert world.up_to_date or world.now - world.marked_after >= ACK_PATIENCE or world.state == "RolledBack"

    def unpause(self):
        world, notes = self.world, self.world.notes
        wanted = revision(world.deployment["spec"]["template"])
        promoted = notes.state is State.ROLLING and wanted == notes.target
        back = notes.state is State.REVERTING and wanted == world.status["stable"]["revision"]
        assert promoted or back or (notes.state is State.RESTORING and wanted != world.status.get("failedRevision"))
        if promoted and notes.outcome == "Promoted" and world.deployment["spec"]["replicas"] and notes.weight:
            assert world.weight == 100


def machine_of(make_world):  # noqa: C901 - one class, one rule for each thing that can happen
    class Release(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.world = make_world(
                replicas=4,
                steps=STEPS,
                progressDeadlineSeconds=120,
                analysis={"minStepDuration": "3s", "maxStepDuration": "60s"},
                watch={"duration": "4s"},
            )
            self.world.rolls_at_once = False
            self.world.marked_after = 0.0
            self.world.canary_pods = {"a": CanaryPod(uid="uid-a", node="n1"), "b": CanaryPod(uid="uid-b")}
            Watched(self.world)
            self.number = 0
            self.world.settle(3)

        # --- the controller ---

        @rule()
        def look(self):
            if not self.world.gone:
                self.world.decide()

        @rule(kept=st.integers(0, 3))
        def killed_after_some_actions(self, kept):
            if not self.world.gone:
                self.world.decide(kept)

        @rule()
        def killed_before_the_status_was_written(self):
            if not self.world.gone:
                decide(self.world.observe(), self.world.now)

        @rule(seconds=st.sampled_from([1, 4, 6, 70, 130]))
        def time_passes(self, seconds):
            self.world.now += seconds

        # --- the cluster ---

        @rule()
        def kubernetes_works(self):
            self.world.kubernetes()

        @rule()
        def proxies_acknowledge(self):
            self.world.mesh()

        @rule(answers=st.booleans())
        def mesh_stops_or_starts(self, answers):
            self.world.mesh_answers = answers

        @rule(start=st.booleans())
        def pods_stop_or_start(self, start):
            self.world.pods_start = start

        @precondition(lambda self: self.world.canary)
        @rule()
        def canary_pods_die(self):
            if self.world.canary["status"]:
                self.world.canary["status"]["readyReplicas"] = 0

        @rule(decision=st.sampled_from(DECISIONS))
        def judge_says(self, decision):
            if decision is None:
                self.world.verdict = None
            else:
                self.world.says(decision, outlier="a" if decision is Decision.OUTLIER else None)

        @rule(missed=st.booleans())
        def an_objective_is_met_or_missed(self, missed):
            self.world.misses(missed=missed)

        @rule(replicas=st.integers(1, 8))
        def stable_is_scaled(self, replicas):
            self.size(replicas)

        @rule(replicas=st.integers(0, 9))
        def autoscaler_moves(self, replicas):
            """As admission lets it: down to the floor, or to where people put it below that."""
            now = self.world.deployment["spec"]["replicas"]
            self.size(max(replicas, min(self.world.floor, now), 1))

        def size(self, replicas):
            world = self.world
            world.deployment["spec"]["replicas"] = replicas
            world._touch(world.deployment)
            biggest = max(world.stable_pods, key=world.stable_pods.get)
            others = {r: 1 for r in world.stable_pods if r != biggest} if replicas > len(world.stable_pods) else {}
            world.stable_pods = {**others, biggest: replicas - len(others)}

        # --- people ---

        @rule(version=st.integers(1, 4))
        def push(self, version):
            self.world.push(f"shop:{version}")

        @rule()
        def resume(self):
            self.world.resume()

        @rule(command=st.sampled_from(COMMANDS))
        def command(self, command):
            self.number += 1
            self.world.annotate(command, str(self.number))

        @rule(paused=st.booleans())
        def pause_spec(self, paused):
            self.world.spec["paused"] = paused

        @rule()
        def service_vanishes_and_returns(self):
            world = self.world
            service, world.service = world.service, None
            if not world.gone:
                world.decide()
            world.service = service

        # --- what always holds ---

        @invariant()
        def nothing_goes_to_a_canary_at_rest(self):
            world = self.world
            if world.status and world.notes.state in RESTING and world.notes.since < world.now:
                assert world.notes.weight == 0

        @invariant()
        def the_status_survives_json(self):
            if self.world.status:
                status = RolloutStatus.model_validate(self.world.status)
                assert RolloutStatus.model_validate(json.loads(json.dumps(status.dump()))) == status

        @invariant()
        def announcements_have_their_own_numbers(self):
            if self.world.status:
                numbers = [x["number"] for x in self.world.status["internal"]["announcements"]]
                assert numbers == sorted(set(numbers))

        @invariant()
        def what_is_over_asks_for_no_request(self):
            if self.world.status and self.world.notes.state in {State.RETURNING, State.DRAINING, State.ROLLED_BACK}:
                assert self.world.notes.weight == 0

        @invariant()
        def autoscalers_are_held_while_requests_go_to_the_canary(self):
            world = self.world
            if world.weight and not world.gone:
                assert world.floor, "requests moved before autoscalers were held"

        def teardown(self):
            """All is well again: then it comes to rest."""
            world = self.world
            world.mesh_answers = world.pods_start = True
            world.spec["paused"] = False
            world.says(Decision.PROMOTE)
            world.misses(missed=False)
            for n in range(120):
                if world.gone or (
                    world.status["phase"] in {"Healthy", "RolledBack"} and world.canary is None and n > 40
                ):
                    break
                if world.notes.on_hold or world.notes.state in {State.PAUSED, State.AWAITING_APPROVAL}:
                    world.annotate(names.APPROVE_ANNOTATION, f"end-{n}")
                    world.annotate(names.RESUME_ANNOTATION, f"end-{n}")
                if "resume it: kubectl rollout resume" in world.status["message"]:
                    world.resume()
                world.wait(2)
            assert world.phase in {"Healthy", "RolledBack"}, world.status["message"]
            assert world.canary is None, world.status["message"]
            assert world.weight == 0
            if world.phase == "Healthy":
                assert not (world.paused and not world.status["message"].startswith("revision")), world.status[
                    "message"
                ]
            world.delete()
            world.wait(20)
            assert world.gone, world.status["message"]
            assert (world.split, world.canary_service, world.finalizers) == (None, None, [])

    return Release


def test_a_release_keeps_its_promises_in_any_order_of_events(make_world):
    run_state_machine_as_test(
        machine_of(make_world),
        settings=settings(max_examples=25, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )
