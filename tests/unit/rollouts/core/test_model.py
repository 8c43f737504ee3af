"""A release against a model: people, pods, metrics, meshes and controllers that do as they please, over thousands of steps.

What is checked from outside: no requests without a ready canary pod, no verdict lost, each transition told exactly once,
nothing written that git holds. ``HYPOTHESIS_PROFILE=thorough`` makes 25 times as many steps.
"""

from __future__ import annotations

import copy
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from analysis.model.verdict import Decision
from rollouts.api import names
from rollouts.core import actions as a
from rollouts.core.canary import capacity
from rollouts.core.decide import COMMANDS, decide
from rollouts.core.machine import RELEASE, RESTING, Event, State, advance
from rollouts.core.notes import Notes

EXAMPLES = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 40
TESTERS = {"name": "testers", "match": [{"headerName": "x-tester", "headerValue": {"exact": "yes"}}]}
STEPS = [
    [{"setWeight": 10}, {"pause": {"duration": "5s"}}, {"setWeight": 50}, {"approval": {}}, {"setWeight": 100}],
    [{"setWeight": 20}, {"setWeight": 60}],
    [{"pause": {}}, {"setWeight": 0}, {"setWeight": 30}],
    [{"setWeight": 100}],
    [{"setHeaderRoute": TESTERS}, {"pause": {}}, {"setWeight": 20}],
    [{"setMirrorRoute": {"percentage": 30}}, {"analysis": {"duration": "5s"}}, {"setWeight": 50}],
]
ENDED = {"Promoted", "RolledBack", "Aborted", "Reverted", "Superseded", "Overridden"}
TAKEN_BACK = {State.ROLLING_BACK, State.ROLLED_BACK}


class KilledError(Exception):
    """kill -9, here and now."""


class StaleError(Exception):
    """The API server has a newer version."""


class Process:
    """A controller's process: what it remembers is lost with it, and it can end between any two of its writes."""

    def __init__(self, world):
        self.world = world
        self.posted = 0
        self.fresh = True

    def carry_out(self, seen, version, cut):
        """What the engine does with a decision (rollouts.engine.reconciler), killed after ``cut`` writes."""
        world, self.left = self.world, cut
        plan = decide(seen, world.now)
        try:
            self._do(x for x in plan.actions if isinstance(x, a.ClearFailed))
            self._tell(Notes.read(seen.subject.status.internal).announcements)
            if version != world.version:
                return
            self._write()
            world.store(plan.status.dump())
            self._tell(plan.events)
            self._do(x for x in plan.actions if not isinstance(x, a.ClearFailed))
        except StaleError:
            pass
        except KilledError:
            self.posted = 0

    def _write(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KilledError

    def _tell(self, announcements):
        for one in announcements:
            if one.number > self.posted:
                self._write()
                self.world.tell(one)
                self.posted = one.number

    def _do(self, actions):
        for action in actions:
            self._write()
            self.world.do(action)


def cluster_of(make_world):  # noqa: C901 - one class
    class Cluster(make_world):
        """The small cluster, with what is checked about each write."""

        def __init__(self, **spec):
            super().__init__(**spec)
            self.rolls_at_once = False
            self.version = 0
            self.told = {}
            self.ended = []

        def git(self):
            """What git holds of the Deployment."""
            spec = {k: v for k, v in self.deployment["spec"].items() if k != "paused"}
            labels = {k: v for k, v in self.deployment["metadata"]["labels"].items() if k != names.ROLLOUT_LABEL}
            return copy.deepcopy((spec, labels, self.deployment["metadata"].get("annotations"), self.service))

        def kubernetes(self):
            before = copy.deepcopy(self.deployment["status"])
            if self.deployment["spec"].get("paused") and self.stable_pods:
                self._scale(self.deployment["spec"]["replicas"])
            super().kubernetes()
            if before != self.deployment["status"]:
                meta = self.deployment["metadata"]
                meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)

        def _scale(self, replicas):
            """A paused Deployment scales what it runs."""
            biggest = max(self.stable_pods, key=self.stable_pods.get)
            rest = {r: n for r, n in self.stable_pods.items() if r != biggest}
            self.stable_pods = {**rest, biggest: max(1, replicas - sum(rest.values()))}

        def store(self, status):
            """The API server takes a status."""
            old, new = (Notes.read(x.get("internal", {})) for x in (self.status, status))
            history = [(h["revision"], h["outcome"], h["startedAt"]) for h in status.get("history", ())]
            fresh = [h for h in history if h not in self.ended]
            if old.open and (not new.open or new.began != old.began) and new.state is not State.GONE:
                assert any(h[0] == old.target and h[1] in ENDED for h in fresh), f"the end of {old.target} was lost"
            self.ended += fresh
            if new.state in TAKEN_BACK:
                assert status.get("failedRevision") == new.target, "a rollback that nobody would remember"
            self.version += status != self.status
            self.status = status
            if not self.phases or self.phases[-1] != status["phase"]:
                self.phases.append(status["phase"])

        def tell(self, one):
            """An Event is posted; a second one of its name is refused."""
            assert self.told.setdefault(one.number, one) == one, "one number, two transitions"

        def do(self, action):
            before, weight = self.git(), self.weight
            match action:
                case a.Apply(manifest):
                    assert manifest["metadata"]["name"] != "payment", "that one is git's"
                case a.Delete():
                    assert action.name != "payment", "that one is git's"
                    assert action.name != "payment-canary" or weight == 0, "removed under its requests"
                case a.Unpause() | a.MarkFailed():
                    if action.resource_version != self.deployment["metadata"]["resourceVersion"]:
                        raise StaleError
            if isinstance(action, a.Delete) and self.canary is None and self.canary_service is None:
                return
            super().do(action)
            assert self.git() == before, f"{action} wrote what git holds"

        @property
        def ready(self):
            return self.canary["status"].get("readyReplicas", 0) if self.canary else 0

    return Cluster


def machine_of(make_world):  # noqa: C901 - one class, one rule for each thing that can happen
    class Model(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            analysis = {"minStepDuration": "3s", "maxStepDuration": "60s"}
            self.world = cluster_of(make_world)(
                replicas=4, steps=STEPS[0], progressDeadlineSeconds=120, scaleDownDelaySeconds=2, analysis=analysis
            )
            self.process = Process(self.world)
            self.old = None
            self.commands = 0
            for _ in range(3):
                self.look()
                self.world.kubernetes()
                self.world.mesh()

        # --- the controller, and how it ends ---

        @rule()
        def look(self):
            """One pass over what is really there."""
            world = self.world
            if world.gone:
                return
            before = world.observe()
            self.process.carry_out(before, world.version, None)
            if not world.gone and not before.subject.deleting:
                self._safe(before)

        def _safe(self, seen):
            world = self.world
            ready = seen.canary.ready if seen.canary else 0
            if seen.service is not None and ready == 0:
                assert world.weight == 0, f"{world.weight} % go to a canary without a ready pod in {world.state}"
                assert not (world.split and world.split["shape"].exposes), f"a route leads nowhere in {world.state}"
            weight, notes = world.weight, world.notes
            if weight > (seen.traffic.weights.get("payment-canary", 0) if seen.traffic else 0):
                assert notes.state in RELEASE
                assert ready >= capacity(weight, seen.deployment.replicas), "weight before capacity"

        @rule(cut=st.integers(0, 8))
        def look_and_be_killed(self, cut):
            if not self.world.gone:
                self.process.carry_out(self.world.observe(), self.world.version, cut)

        def _go_on(self, times):
            for _ in range(times):
                self.look()
                self.world.kubernetes()
                self.world.mesh()
                self.world.now += 1

        @rule(times=st.integers(1, 5))
        def the_world_goes_on(self, times):
            self._go_on(times)

        @rule(times=st.integers(1, 12))
        def the_world_goes_on_for_longer(self, times):
            self._go_on(times)

        @rule(times=st.integers(1, 12), decision=st.sampled_from([Decision.PROMOTE, Decision.CONTINUE]))
        def all_is_well(self, times, decision):
            self.world.mesh_answers = self.world.pods_start = True
            self.world.says(decision)
            self._go_on(times)

        @rule(version=st.integers(1, 4), times=st.integers(1, 12))
        def a_release_begins(self, version, times):
            self.world.push(f"shop:{version}")
            self._go_on(times)

        @rule()
        def see(self):
            """A watch stands still from here on."""
            self.old = (self.world.observe(), self.world.version)

        @precondition(lambda self: self.old is not None)
        @rule(cut=st.one_of(st.none(), st.integers(0, 5)))
        def decide_from_what_was_seen_then(self, cut):
            (seen, version), self.old = self.old, None
            if not self.world.gone:
                self.process.carry_out(seen, version, cut)

        @rule()
        def another_controller_takes_over(self):
            self.process = Process(self.world)

        @rule(seconds=st.sampled_from([1, 4, 6, 70, 130]))
        def time_passes(self, seconds):
            self.world.now += seconds

        # --- the cluster ---

        @rule(what=st.sampled_from(["mesh", "kubernetes"]))
        def one_of_them_works(self, what):
            getattr(self.world, what)()

        @rule(mesh=st.booleans(), pods=st.booleans())
        def proxies_and_pods_answer_or_do_not(self, mesh, pods):
            self.world.mesh_answers, self.world.pods_start = mesh, pods

        @precondition(lambda self: self.world.ready)
        @rule(left=st.integers(0, 2))
        def canary_pods_vanish(self, left):
            self.world.canary["status"]["readyReplicas"] = min(left, self.world.ready)

        @rule(left=st.integers(0, 3))
        def a_node_is_lost(self, left):
            status = self.world.deployment["status"]
            for key in ("readyReplicas", "availableReplicas"):
                status[key] = min(left, status[key])
            if self.world.ready:
                self.world.canary["status"]["readyReplicas"] = min(left, self.world.ready)

        @rule(decision=st.sampled_from([None, Decision.PROMOTE, Decision.CONTINUE, Decision.ROLL_BACK]))
        def the_judge_says(self, decision):
            """None: the metrics are out."""
            self.world.verdict = None
            if decision is not None:
                self.world.says(decision)

        @rule(replicas=st.integers(1, 9))
        def somebody_or_an_autoscaler_scales(self, replicas):
            world = self.world
            world.deployment["spec"]["replicas"] = max(replicas, getattr(world, "floor", None) or 0)
            world._touch(world.deployment)

        # --- people ---

        @rule(version=st.integers(0, 4))
        def push(self, version):
            """Another one, or with 0 the stable one again."""
            stable = self.world.status.get("stable", {}).get("images") or ["shop:1"]
            self.world.push(f"shop:{version}" if version else stable[0])

        @rule()
        def resume(self):
            self.world.resume()

        @rule(command=st.sampled_from(COMMANDS))
        def command(self, command):
            self.commands += 1
            self.world.annotate(command, str(self.commands))
            self.world.version += 1

        @rule(steps=st.sampled_from(STEPS), paused=st.booleans(), watched=st.booleans())
        def edit_the_spec(self, steps, paused, watched):
            watch = {"duration": "20s"} if watched else {}
            self.world.spec |= {"steps": steps, "paused": paused, "watch": watch}
            self.world.generation += 1
            self.world.version += 1

        @rule(really=st.integers(0, 9))
        def delete(self, really):
            if not really:
                self.world.delete()
                self.world.version += 1

        # --- what always holds ---

        @invariant()
        def at_rest_nothing_is_asked_for(self):
            world = self.world
            if world.status and world.notes.state in RESTING and world.notes.since < world.now:
                assert world.notes.weight == 0

        def teardown(self):
            """All is well again: it comes to rest, and the story is whole."""
            world = self.world
            world.mesh_answers = world.pods_start = True
            world.spec["paused"] = False
            world.version += 1
            world.says(Decision.PROMOTE)
            for n in range(200):
                if world.gone or (n > 8 and world.notes.state in RESTING and world.canary is None):
                    break
                if world.notes.on_hold or world.notes.state in {State.PAUSED, State.AWAITING_APPROVAL}:
                    world.annotate(names.APPROVE_ANNOTATION, f"end-{n}")
                    world.annotate(names.RESUME_ANNOTATION, f"end-{n}")
                if "resume it: kubectl rollout resume" in world.status["message"]:
                    world.resume()
                self._go_on(2)
            assert world.gone or world.notes.state in RESTING, world.status["message"]
            assert (world.canary, world.weight) == (None, 0), world.status["message"]
            self._story()

        def _story(self):
            """Each transition was told once, in order; together they lead to where it is."""
            world = self.world
            assert sorted(world.told) == list(range(1, world.notes.number + 1))
            state = State.INITIALIZING
            for number in sorted(world.told):
                if (reason := world.told[number].reason) in set(Event):
                    state = advance(state, Event(reason))
            assert state is world.notes.state

    return Model


def test_whatever_happens_the_promises_are_kept(make_world):
    run_state_machine_as_test(
        machine_of(make_world),
        settings=settings(max_examples=EXAMPLES, stateful_step_count=60, suppress_health_check=list(HealthCheck)),
    )
