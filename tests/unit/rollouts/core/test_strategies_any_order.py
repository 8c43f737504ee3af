"""Any kinds of steps in any order, changed and killed at any moment: nobody is ever sent to a version that cannot answer."""

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
from pydantic import ValidationError

from analysis.model.verdict import Decision
from rollouts.api import names
from rollouts.api.rollout import RolloutSpec
from rollouts.core import actions as a
from rollouts.core.context import ACK_PATIENCE
from rollouts.core.decide import COMMANDS, decide
from rollouts.core.machine import RELEASE, RESTING, State
from rollouts.core.shape import PLAIN
from rollouts.routers.coalmine import CoalmineRouter

MATCH = [{"headerName": "x-tester", "headerValue": {"exact": "yes"}}]
KINDS = st.one_of(
    st.sampled_from([0, 10, 60, 100]).map(lambda w: {"setWeight": w}),
    st.booleans().map(lambda there: {"setHeaderRoute": {"name": "testers", "match": MATCH if there else []}}),
    st.sampled_from([None, 30, 100]).map(lambda p: {"setMirrorRoute": {"percentage": p}}),
    st.sampled_from([{"replicas": 3}, {"weight": 50}, {"matchTrafficWeight": True}]).map(
        lambda s: {"setCanaryScale": s}
    ),
    st.booleans().map(lambda whole: {"analysis": {"duration": "5s", "fullDuration": whole}}),
    st.sampled_from([5, 25]).map(lambda w: {"experiment": {"weight": w, "duration": "5s"}}),
    st.just({"pause": {"duration": "3s"}}),
    st.just({"approval": {}}),
)


def is_valid(spec):
    try:
        RolloutSpec.model_validate({"workloadRef": {"name": "payment"}, **spec})
    except ValidationError:
        return False
    return True


SPECS = st.one_of(
    st.lists(KINDS, min_size=1, max_size=6).map(lambda steps: {"steps": steps}),
    st.sampled_from([0, 50]).map(lambda p: {"strategy": {"blueGreen": {"mirrorPercent": p, "duration": "4s"}}}),
    st.just({"strategy": {"abTest": {"match": MATCH, "duration": "4s"}}}),
).filter(is_valid)


class Watched:
    """Looks at each action at the moment it is done."""

    def __init__(self, world):
        self.world, self.do = world, world.do
        world.do = self.check

    def check(self, action):
        world = self.world
        match action:
            case a.SetTraffic():
                CoalmineRouter().manifest(world.observe().subject, action)  # the split's own rules hold
                self.traffic(action)
            case a.Delete("apps/v1", "Deployment", "payment-canary"):
                assert not (world.split and world.split["shape"].exposes), "a canary that gets requests was deleted"
            case a.Delete("apps/v1", "Deployment", "payment-baseline"):
                assert not world.split or "payment-baseline" not in world.split["weights"]
                late = world.state == State.RESTORING and world.now - world.notes.since >= ACK_PATIENCE
                held = "payment-baseline" in (world.acknowledged or {})
                assert late or not world.split or not held or world.baseline_is_old(), "a proxy still sends it requests"
        self.do(action)

    def traffic(self, wanted):
        world = self.world
        if wanted.shape.exposes or wanted.weights.get("payment-baseline"):
            assert world.notes.state in RELEASE
            assert world.canary["status"].get("readyReplicas", 0) > 0, "sent to a canary without a ready pod"
            assert world.canary["metadata"]["annotations"][names.REVISION_ANNOTATION] == world.notes.target
        if wanted.weights.get("payment-baseline"):
            assert world.baseline["status"].get("readyReplicas", 0) > 0, "sent to a baseline without a ready pod"
            assert world.baseline_service is not None
        assert sum(wanted.weights.values()) == 100


def machine_of(make_world):  # noqa: C901 - one class, one rule for each thing that can happen
    class World(make_world):
        def baseline_is_old(self):
            revision = self.baseline["metadata"]["annotations"][names.REVISION_ANNOTATION]
            return revision != self.status["stable"]["revision"]

    class Release(RuleBasedStateMachine):
        @initialize(spec=SPECS)
        def begin(self, spec):
            analysis = {"minStepDuration": "2s", "maxStepDuration": "60s"}
            self.world = World(replicas=4, progressDeadlineSeconds=120, analysis=analysis, sessionAffinity={}, **spec)
            Watched(self.world)
            self.number = 0
            self.world.settle(3)
            self.world.push("shop:2")
            self.world.settle(6)

        # --- the controller ---

        @rule()
        def look(self):
            world = self.world
            if world.gone:
                return
            world.decide()
            if world.status and world.notes.state in RELEASE and world.split and not world.gone:
                exposes = world.split["shape"].exposes or world.weight
                assert not exposes or world.canary["status"].get("readyReplicas", 0) > 0, "left on a dead canary"
                if world.split["weights"].get("payment-baseline"):
                    assert world.baseline["status"].get("readyReplicas", 0) > 0, "left on a dead baseline"

        @rule(kept=st.integers(0, 3))
        def killed_after_some_actions(self, kept):
            if not self.world.gone:
                self.world.decide(kept)

        @rule(seconds=st.sampled_from([1, 3, 6, 70, 130]))
        def time_passes(self, seconds):
            self.world.now += seconds

        @rule(seconds=st.integers(1, 8))
        def all_goes_well_for_a_while(self, seconds):
            self.world.wait(seconds)

        # --- the cluster and the mesh ---

        @rule()
        def kubernetes_works(self):
            self.world.kubernetes()

        @rule(answers=st.booleans())
        def mesh_stops_or_starts(self, answers):
            self.world.mesh_answers = answers
            self.world.mesh()

        @rule(start=st.booleans())
        def pods_stop_or_start(self, start):
            self.world.pods_start = start

        @precondition(lambda self: self.world.canary or self.world.baseline)
        @rule(which=st.sampled_from(["canary", "baseline"]))
        def pods_die(self, which):
            made = getattr(self.world, which)
            if made and made["status"]:
                made["status"]["readyReplicas"] = 0

        @rule(decision=st.sampled_from([None, Decision.PROMOTE, Decision.CONTINUE, Decision.ROLL_BACK]))
        def judge_says(self, decision):
            self.world.verdict = None
            if decision is not None:
                self.world.says(decision)

        # --- people ---

        @rule(version=st.integers(1, 4))
        def push(self, version):
            self.world.push(f"shop:{version}")

        @rule(spec=SPECS)
        def other_steps(self, spec):
            world = self.world
            kept = {k: v for k, v in world.spec.items() if k not in {"steps", "strategy"}}
            world.spec = {**kept, **spec}
            world.generation += 1

        @rule(command=st.sampled_from(COMMANDS))
        def command(self, command):
            self.number += 1
            self.world.annotate(command, str(self.number))

        @rule()
        def resume(self):
            self.world.resume()

        # --- what always holds ---

        @invariant()
        def at_rest_nobody_is_sent_anywhere_else(self):
            world = self.world
            if world.status and world.notes.state in RESTING and world.notes.since < world.now and world.split:
                assert world.notes.weight == 0
                assert world.split["shape"] == PLAIN or not world.up_to_date or world.notes.state is State.GONE

        @invariant()
        def what_takes_the_weight_takes_the_rest(self):
            world = self.world
            if world.gone or not world.status or world.spec_error:
                return
            plan = decide(world.observe(), world.now)
            taken = {State.ROLLING_BACK, State.SUPERSEDING, State.REVERTING, State.RETURNING, State.RESTORING}
            if plan.status.internal["state"] in {str(s) for s in taken}:
                written = [x for x in plan.actions if isinstance(x, a.SetTraffic)]
                exposes = written[-1].shape.exposes if written else bool(world.split and world.split["shape"].exposes)
                assert not exposes

        def teardown(self):
            """All is well again: then it comes to rest, and nothing is left."""
            world = self.world
            world.mesh_answers = world.pods_start = True
            world.says(Decision.PROMOTE)
            for n in range(120):
                rested = world.status["phase"] in {"Healthy", "RolledBack"}
                if world.gone or (rested and world.canary is None and world.baseline is None and n > 40):
                    break
                if world.notes.on_hold or world.notes.state in {State.PAUSED, State.AWAITING_APPROVAL}:
                    world.annotate(names.APPROVE_ANNOTATION, f"end-{n}")
                    world.annotate(names.RESUME_ANNOTATION, f"end-{n}")
                if "resume it: kubectl rollout resume" in world.status["message"]:
                    world.resume()
                world.wait(2)
            assert world.phase in {"Healthy", "RolledBack"}, world.status["message"]
            assert (world.canary, world.baseline, world.baseline_service) == (None, None, None), world.status["message"]
            assert world.split["shape"] == PLAIN
            world.delete()
            world.wait(20)
            assert world.gone, world.status["message"]
            assert world.split is None

    return Release


def test_no_order_of_steps_sends_anybody_to_what_cannot_answer(make_world):
    run_state_machine_as_test(
        machine_of(make_world),
        settings=settings(max_examples=20, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )
