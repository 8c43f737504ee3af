"""Decisions in any order, doubled, late, stale and forged, with kills and timeouts: what a gate never does."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
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
from rollouts.api import names
from rollouts.api.approval import ApprovalStatus, GateDecision, Verdict
from rollouts.api.people import Person
from rollouts.core.approvals import approvals_missing, judge
from rollouts.core.decide import decide
from rollouts.core.machine import ASKING, State
from rollouts.core.observed import stamp

NAMES = [
    ("alice", "kubectl"),
    ("alice", "dashboard"),
    ("bob", "coalmine"),
    ("carol", "kubectl"),
    ("erin", "kubectl"),
    ("mallory", "kubectl"),
    ("U0ALICE", "Slack"),
    ("U0BOBBY", "Slack"),
    ("U0ERINNA", "Slack"),
    ("change", "HTTP"),
    ("", "API"),
]
ALLOWED = {
    "users": ["alice", "bob", "carol", "erin"],
    "slackUsers": ["U0ALICE", "U0BOBBY", "U0ERINNA"],
    "callers": ["change"],
}
PEOPLE = (
    Person(name="Alice", users=("alice",), slack_users=("U0ALICE",)),
    Person(name="Bob", users=("bob",), slack_users=("U0BOBBY",)),
)
# Erin is not in the configuration, so that her Slack name may be the author's: it does not count.
HUMANS = {
    "erin": "erin",
    "U0ERINNA": "carol",
    "alice": "Alice",
    "U0ALICE": "Alice",
    "bob": "Bob",
    "U0BOBBY": "Bob",
    "carol": "carol",
    "change": "change",
}
AUTHOR = "carol"
GATE = {"approvers": ALLOWED, "required": 2, "excludeAuthor": True, "timeout": "60s"}


def machine_of(make_world):  # noqa: C901 - one class, one rule for each thing that can happen
    class Gated(RuleBasedStateMachine):
        """What came is noted here by the rules of the documentation, and compared with what the gate does."""

        def __init__(self):
            super().__init__()
            self.world = make_world(
                steps=[{"setWeight": 10}, {"approval": GATE}],
                promotionApproval=GATE,
                analysis={"minStepDuration": "1s", "maxStepDuration": "6000s"},
            )
            self.world.people = PEOPLE
            self.world.deployment["metadata"]["annotations"] = {names.AUTHOR_ANNOTATION: AUTHOR}
            self.world.released()
            self.world.says(Decision.PROMOTE)
            self.world.wait(3)
            self.number = 0
            self.given = []
            self.gates = {}

        @property
        def gate(self):
            return self.world.status.get("approval", {}).get("gate", "")

        @initialize(first=st.booleans())
        def at_either_gate(self, first):
            if not first:
                for by in ("alice", "bob"):
                    self.somebody_decides((by, "kubectl"), yes=True, timed=False)
                self.look()
                self.look()
                assert self.world.state == State.AWAITING_PROMOTION

        # --- people ---

        def _write(self, given):
            old = json.loads(self.world.annotations.get(names.DECISIONS_ANNOTATION, "[]"))
            kept = [one for one in old if one["gate"] == given["gate"]]
            self.world.annotate(names.DECISIONS_ANNOTATION, json.dumps([*kept, given]))

        @rule(name=st.sampled_from(NAMES), yes=st.sampled_from([True, True, True, False]), timed=st.booleans())
        def somebody_decides(self, name, yes, timed):
            gate = self.gate
            if not gate:
                return
            self.number += 1
            by, via = name
            given = {
                "id": f"{self.number}",
                "gate": gate,
                "verdict": "Approve" if yes else "Reject",
                "by": by,
                "via": via,
            }
            if timed and via in {"Slack", "HTTP"}:
                given["at"] = self._stamp()
            self.given.append(given)
            self._write(given)

        def _stamp(self):
            return stamp(self.world.now)

        @rule(
            late=st.booleans(),
            names=st.lists(st.sampled_from(NAMES), min_size=2, max_size=4),
            no=st.sampled_from([None, None, 0, 1]),
        )
        def several_decide_before_anybody_looks(self, late, names, no):
            if late:
                self.world.now += 61
            for number, name in enumerate(names):
                self.somebody_decides(name, yes=number != no, timed=False)

        @precondition(lambda self: self.given)
        @rule(data=st.data())
        def it_comes_again(self, data):
            self._write(data.draw(st.sampled_from(self.given)))

        @rule(command=st.sampled_from(["approve", "reject", "skip", "promote"]))
        def a_bare_command(self, command):
            self.number += 1
            self.world.annotate(f"coalmine.dev/{command}", f"{self.number}")

        # --- the controller ---

        @rule()
        def look(self):
            self._decided(self.world.decide)

        @rule(kept=st.integers(0, 2))
        def killed_after_some_actions(self, kept):
            self._decided(lambda: self.world.decide(kept))

        @rule()
        def killed_before_the_status_was_written(self):
            decide(self.world.observe(), self.world.now)

        @rule(seconds=st.sampled_from([1, 20, 61]))
        def time_passes(self, seconds):
            self.world.now += seconds

        def _decided(self, look):
            gate, state = self.gate, self.world.notes.state
            asked = self.world.status.get("approval") or {}
            written = json.loads(self.world.annotations.get(names.DECISIONS_ANNOTATION, "[]"))
            if gate:
                seen = self.gates.setdefault(gate, [])
                for one in written:
                    if one["gate"] == gate and one["id"] not in {s["id"] for s in seen}:
                        seen.append({**one, "late": (one.get("at") or self._stamp()) >= asked["until"]})
            look()
            self.world.kubernetes()
            self.world.mesh()
            if state in ASKING:
                over = self._stamp() >= asked["until"]
                assert self.world.notes.state in self._wanted(state, self.gates.get(gate, []), over=over)

        def _wanted(self, state, seen, *, over):
            """Where the gate has to be by what is documented, going through what came one by one."""
            yes = set()
            for one in seen:
                if one["late"] or not self._allowed(one):
                    continue
                if one["verdict"] == "Reject":
                    return {State.ROLLING_BACK}
                yes |= {HUMANS[one["by"]]} - {AUTHOR}
                if len(yes) == GATE["required"]:
                    return {State.AWAITING_PROMOTION if state is State.AWAITING_APPROVAL else State.FILLING}
            return {State.ROLLING_BACK} if over else {state}

        @staticmethod
        def _allowed(one):
            kind = {"Slack": "slackUsers", "HTTP": "callers"}.get(one["via"], "users")
            return one["by"] in ALLOWED[kind]

        @invariant()
        def nothing_is_recorded_twice(self):
            record = self.world.notes.approval.record
            assert len({d.id for d in record}) == len(record)
            told = [n for n in self.world.notes_told if n.startswith("CommandIgnored")]
            assert len(told) <= self.number + len(self.given)

        def teardown(self):
            """Whatever happened, an open gate passes when two others approve in time, or it is taken back."""
            world = self.world
            for _ in range(4):
                if world.notes.state in ASKING:
                    for by in ("alice", "bob"):
                        self.somebody_decides((by, "kubectl"), yes=True, timed=False)
                self._decided(world.decide)
            for _ in range(60):
                world.now += 1
                world.decide()
                world.kubernetes()
                world.mesh()
            assert world.notes.state in {State.HEALTHY, State.ROLLED_BACK}, world.status["message"]

    return Gated


DECISIONS = st.tuples(st.sampled_from(NAMES), st.sampled_from([True, True, True, False]), st.integers(0, 70))


@given(st.lists(DECISIONS, max_size=6))
@settings(max_examples=1000, deadline=None)
def test_a_gate_passes_by_enough_different_allowed_people_in_time_and_by_nothing_else(given_by):
    asked = ApprovalStatus.model_validate(
        {"gate": "g", "restricted": True, "approvers": ALLOWED, "required": 2, "excludeAuthor": True}
    ).model_copy(update={"authors": (AUTHOR,), "until": stamp(60.0)})
    yes, rejected = set(), False
    for number, ((by, via), says_yes, at) in enumerate(sorted(given_by, key=lambda one: one[2])):
        verdict = Verdict.APPROVE if says_yes else Verdict.REJECT
        decision = GateDecision(id=str(number), gate="g", verdict=verdict, by=by, via=via)
        if judge(asked, decision, PEOPLE, float(at)).counted:
            asked = asked.model_copy(update={"decisions": (*asked.decisions, decision)})
        named = by in ALLOWED[{"Slack": "slackUsers", "HTTP": "callers"}.get(via, "users")]
        if at < 60 and named and not rejected and len(yes) < 2:
            rejected = not says_yes
            yes |= {HUMANS[by]} - {AUTHOR} if says_yes else set()
        assert (approvals_missing(asked, PEOPLE) == 0) == (len(yes) == 2)
        assert any(d.verdict is Verdict.REJECT for d in asked.decisions) == rejected


def test_no_order_of_decisions_passes_a_gate_wrongly(make_world):
    run_state_machine_as_test(
        machine_of(make_world),
        settings=settings(
            max_examples=40, stateful_step_count=8, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
