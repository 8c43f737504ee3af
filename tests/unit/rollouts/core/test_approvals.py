"""Gates: who may decide, how many it takes, until when, and what a decision that does not count does: nothing."""

from __future__ import annotations

import copy
import json

import pytest

from analysis.model.verdict import Decision
from rollouts.api import names
from rollouts.api.people import Person
from rollouts.core.approvals import read_decisions
from rollouts.core.machine import State

STEPS = [{"setWeight": 10}, {"approval": {}}, {"setWeight": 50}]
TWO = {"approvers": {"users": ["alice", "bob"], "groups": ["leads"], "slackUsers": ["U0ALICE", "U0BOB"]}, "required": 2}
JUDGED = {"minStepDuration": "1s", "maxStepDuration": "600s"}


class Gate:
    """A release that waits at a gate, and people who decide."""

    def __init__(self, world):
        self.world = world
        self.count = 0

    @property
    def asked(self):
        return self.world.status["approval"]

    def decide(self, by="alice", verdict="Approve", via="kubectl", **more):
        self.count += 1
        given = {
            "id": f"{self.count}-{verdict}",
            "gate": self.asked["gate"],
            "verdict": verdict,
            "by": by,
            "via": via,
            **more,
        }
        self.write(given)
        return given

    def write(self, *given):
        old = json.loads(self.world.annotations.get(names.DECISIONS_ANNOTATION, "[]"))
        self.world.annotate(names.DECISIONS_ANNOTATION, json.dumps([*old, *given]))

    def look(self):
        self.world.decide()
        return self

    @property
    def ignored(self):
        return [note for note in self.world.notes_told if note.startswith("CommandIgnored")]


@pytest.fixture
def gate_of(make_world):
    def make(approval=None, *, promotion=None, authors=None, **spec):
        steps = STEPS if approval is None else [{"setWeight": 10}, {"approval": approval}, {"setWeight": 50}]
        steps = steps if promotion is None else steps[:1]
        more = {} if promotion is None else {"promotionApproval": promotion}
        world = make_world(**copy.deepcopy({"steps": steps, "analysis": JUDGED, **more, **spec}))
        world.deployment["metadata"]["annotations"] = dict(authors or {})
        world.released()
        world.says(Decision.PROMOTE)
        world.wait(3)
        assert world.phase == "AwaitingApproval"
        return Gate(world)

    return make


def test_two_different_people_pass_a_gate_that_asks_for_two(gate_of):
    gate = gate_of(TWO)
    assert (gate.asked["required"], gate.asked["missing"]) == (2, 2)
    gate.decide("alice", comment="looks fine")
    gate.look()
    assert gate.asked["missing"] == 1
    assert [d["by"] for d in gate.asked["decisions"]] == ["alice"]
    assert (
        "Approved: step 2 of 3: approved by alice (kubectl): looks fine. 1 more approval is needed"
        in gate.world.notes_told
    )
    gate.decide("carol", groups=["leads"], via="dashboard")
    gate.look()
    assert gate.world.state == State.SCALING
    assert "approval" not in gate.world.status
    assert any("approved by alice (kubectl) and carol (dashboard)" in note for note in gate.world.notes_told)
    assert not gate.ignored


def test_one_person_counts_once_and_is_told_so_once(gate_of):
    gate = gate_of(TWO)
    gate.decide("alice")
    gate.decide("alice", via="dashboard")
    gate.world.wait(5)
    assert gate.asked["missing"] == 1
    assert len(gate.ignored) == 1
    assert "approved this already" in gate.ignored[0]


def test_the_same_decision_twice_is_one(gate_of):
    gate = gate_of(TWO)
    given = gate.decide("alice")
    gate.look()
    gate.write(given)
    gate.world.wait(3)
    assert (gate.asked["missing"], gate.ignored) == (1, [])


def test_names_of_two_places_may_be_one_person_until_the_configuration_knows_them(gate_of):
    gate = gate_of(TWO)
    gate.decide("alice")
    gate.decide("U0BOB", via="Slack")
    gate.look()
    assert gate.asked["missing"] == 1
    assert "nobody can tell whether these are different people" in gate.world.notes_told[-1]
    gate.world.people = (Person(name="Alice", users=("alice",), slack_users=("U0ALICE",)),)
    gate.look()
    assert gate.world.state == State.SCALING


def test_one_person_with_two_names_counts_once(gate_of):
    gate = gate_of(TWO)
    gate.world.people = (Person(name="Alice", users=("alice",), slack_users=("U0ALICE",)),)
    gate.decide("alice")
    gate.decide("U0ALICE", via="Slack")
    gate.world.wait(3)
    assert gate.asked["missing"] == 1


@pytest.mark.parametrize(
    ("by", "more"),
    [
        ("mallory", {}),
        ("mallory", {"groups": ["others"]}),
        ("alice", {"via": "Slack"}),
        ("U0ALICE", {"via": "kubectl"}),
        ("alice", {"via": "HTTP"}),
        ("", {}),
    ],
)
def test_somebody_whom_the_gate_does_not_name_does_nothing(gate_of, by, more):
    gate = gate_of(TWO)
    gate.decide(by, **more)
    gate.decide(by, verdict="Reject", **more)
    gate.world.wait(3)
    assert (gate.asked["missing"], gate.world.phase) == (2, "AwaitingApproval")
    assert len(gate.ignored) == 2


def test_a_rejection_takes_the_release_back_with_its_reason(gate_of):
    gate = gate_of(TWO)
    gate.decide("alice")
    gate.decide("bob", verdict="Reject", comment="the ledger is open")
    gate.decide("carol", groups=["leads"])
    gate.look()
    gate.world.wait(8)
    assert (gate.world.phase, gate.world.weight) == ("RolledBack", 0)
    entry = gate.world.status["history"][-1]
    assert (entry["outcome"], entry["reason"]) == ("Aborted", "rejected by bob (kubectl): the ledger is open")
    assert [(d["by"], d["verdict"]) for d in entry["approvals"]] == [("alice", "Approve"), ("bob", "Reject")]
    assert "Rejected" in gate.world.events.values()
    assert len(gate.ignored) == 1, "carol's came when it was decided"


def test_the_author_does_not_count_and_nobody_does_while_the_author_is_unknown(gate_of):
    approval = {"approvers": {"groups": ["system:authenticated"]}, "excludeAuthor": True}
    gate = gate_of(approval, authors={names.CHANGED_BY_ANNOTATION: "alice"})
    gate.decide("alice", groups=["system:authenticated"])
    gate.look()
    assert gate.asked["missing"] == 1
    assert "alice made the change" in gate.ignored[0]
    gate.decide("bob", groups=["system:authenticated"])
    gate.look()
    assert gate.world.state == State.SCALING

    machine = gate_of(approval, authors={names.CHANGED_BY_ANNOTATION: "system:serviceaccount:argocd:controller"})
    machine.decide("bob", groups=["system:authenticated"])
    machine.look()
    assert "the author of the change is not known" in machine.ignored[0]
    machine.world.deployment["metadata"]["annotations"][names.AUTHOR_ANNOTATION] = "dave, erin"
    machine.decide("erin", groups=["system:authenticated"])
    machine.decide("bob", groups=["system:authenticated"])
    machine.look()
    assert machine.world.state == State.SCALING
    assert "erin made the change" in machine.ignored[1]


def test_an_author_stays_one_when_the_annotation_is_changed(gate_of):
    approval = {"approvers": {"groups": ["all"]}, "excludeAuthor": True}
    gate = gate_of(approval, authors={names.AUTHOR_ANNOTATION: "alice"})
    gate.world.deployment["metadata"]["annotations"] = {names.AUTHOR_ANNOTATION: "bob"}
    gate.decide("alice", groups=["all"])
    gate.world.wait(3)
    assert gate.asked["missing"] == 1
    assert gate.asked["authors"] == ["alice", "bob"]


def test_a_slack_name_may_be_the_authors_until_the_configuration_knows_it(gate_of):
    approval = {"approvers": {"slackUsers": ["U0BOBBY"]}, "excludeAuthor": True}
    gate = gate_of(approval, authors={names.CHANGED_BY_ANNOTATION: "alice"})
    gate.decide("U0BOBBY", via="Slack")
    gate.look()
    assert "nobody can tell whether U0BOBBY is alice" in gate.ignored[0]
    gate.world.people = (Person(name="Bob", slack_users=("U0BOBBY",)),)
    gate.decide("U0BOBBY", via="Slack")
    gate.look()
    assert gate.world.state == State.SCALING


def test_when_the_time_is_over_it_is_taken_back(gate_of):
    gate = gate_of({**TWO, "timeout": "30s"})
    gate.decide("alice")
    gate.look()
    gate.world.now += 31
    gate.decide("bob")
    gate.look()
    assert gate.world.state == State.ROLLING_BACK
    assert "was not approved in time (timeout): 1 of 2 approvals (alice (kubectl))" in gate.world.notes.reason
    assert any("the time for it was over" in note for note in gate.ignored)


def test_what_was_decided_in_time_and_seen_late_counts(gate_of):
    gate = gate_of({"approvers": {"slackUsers": ["U0BOB"]}, "timeout": "30s"})
    until = gate.asked["until"]
    gate.decide("U0BOB", via="Slack", at=gate.asked["askedAt"])
    gate.world.now += 60
    assert until
    gate.look()
    assert gate.world.state == State.SCALING


def test_hold_keeps_it_where_it_is_and_tells_it_once(gate_of):
    gate = gate_of({"approvers": {"users": ["alice"]}, "timeout": "30s", "onTimeout": "Hold"})
    gate.world.wait(40)
    gate.decide("alice")
    gate.world.wait(5)
    assert (gate.world.phase, gate.asked["expired"], gate.asked["missing"]) == ("AwaitingApproval", True, 1)
    assert list(gate.world.events.values()).count("ApprovalTimedOut") == 1
    gate.world.spec["steps"][1]["approval"]["timeout"] = "10m"
    gate.decide("alice", verdict="Approve")
    gate.look()
    assert gate.world.state == State.SCALING


def test_a_decision_about_another_question_does_nothing(gate_of):
    gate = gate_of(TWO)
    gate.write({"id": "old", "gate": "step-2.uid-roll.1", "verdict": "Approve", "by": "alice", "via": "kubectl"})
    gate.world.wait(3)
    assert gate.asked["missing"] == 2
    assert len(gate.ignored) == 1
    assert "is not asked (any more)" in gate.ignored[0]


def test_no_command_goes_around_a_gate_that_asks_who_decides(gate_of):
    gate = gate_of(TWO)
    for command in (names.SKIP_ANNOTATION, names.PROMOTE_ANNOTATION, names.APPROVE_ANNOTATION, names.REJECT_ANNOTATION):
        gate.world.annotate(command)
    gate.world.wait(3)
    assert (gate.world.phase, gate.asked["missing"]) == ("AwaitingApproval", 2)
    assert len(gate.ignored) == 4
    assert any("spec.steps[1].approval asks who decides" in note for note in gate.ignored)
    assert any("admission did not say who this was" in note for note in gate.ignored)


def test_promotion_is_not_forced_past_gates_that_lie_ahead(make_world):
    world = make_world(steps=[{"setWeight": 10}], analysis=JUDGED, promotionApproval=TWO).released()
    world.annotate(names.PROMOTE_ANNOTATION)
    world.wait(2)
    assert world.state == State.JUDGING
    assert any("spec.promotionApproval asks who decides" in note for note in world.notes_told)


def test_the_promotion_waits_for_people_after_all_steps(gate_of):
    gate = gate_of(promotion={**TWO, "message": "ship it?"})
    assert gate.world.state == State.AWAITING_PROMOTION
    assert gate.asked["place"] == "the promotion"
    assert gate.world.weight == 10
    gate.decide("alice")
    gate.decide("bob")
    gate.world.wait(20)
    assert gate.world.outcomes == ["Promoted"]
    assert [d["by"] for d in gate.world.status["history"][-1]["approvals"]] == ["alice", "bob"]


def test_a_gate_that_names_nobody_is_passed_by_the_bare_command(gate_of):
    for gate in (gate_of(), gate_of(promotion={})):
        gate.world.annotate(names.APPROVE_ANNOTATION)
        gate.look()
        assert gate.world.state in {State.SCALING, State.FILLING}
        assert not gate.ignored
        assert gate.world.notes.approval.record[0].by == ""


def test_whoever_says_both_says_no(gate_of):
    gate = gate_of()
    gate.world.annotate(names.APPROVE_ANNOTATION)
    gate.world.annotate(names.REJECT_ANNOTATION)
    gate.look()
    assert gate.world.state == State.ROLLING_BACK


def test_guards_stay_on_while_people_are_asked(gate_of):
    gate = gate_of(promotion=TWO)
    gate.world.says(Decision.ROLL_BACK)
    gate.look()
    assert gate.world.state == State.ROLLING_BACK


def test_decisions_of_a_rollout_made_anew_answer_nothing(make_world):
    world = make_world(steps=STEPS, analysis=JUDGED)
    world.annotate(
        names.DECISIONS_ANNOTATION,
        json.dumps([{"id": "1", "gate": "g", "verdict": "Approve", "by": "alice", "via": "kubectl"}]),
    )
    world.settle()
    assert not world.notes_told[1:]


def test_lowering_what_is_required_passes_and_a_name_that_is_taken_off_counts_no_more(gate_of):
    gate = gate_of({**TWO, "required": 3})
    gate.decide("alice")
    gate.decide("bob")
    gate.look()
    assert gate.asked["missing"] == 1
    gate.world.spec["steps"][1]["approval"]["approvers"]["users"] = ["alice"]
    gate.look()
    assert gate.asked["missing"] == 2
    gate.world.spec["steps"][1]["approval"]["required"] = 1
    gate.look()
    assert gate.world.state == State.SCALING


def test_a_spec_that_cannot_be_read_opens_no_gate(gate_of):
    gate = gate_of(TWO)
    asked = gate.asked
    wanted, gate.world.spec, gate.world.spec_error = gate.world.spec, None, "spec.steps: no"
    gate.decide("alice")
    gate.look()
    assert (gate.world.phase, gate.asked) == ("Stalled", asked), "admission still asks for the verb"
    gate.world.spec, gate.world.spec_error = wanted, ""
    gate.decide("bob")
    gate.look()
    assert gate.world.state == State.SCALING


def test_what_is_no_decision_is_left_out():
    good = {"id": "1", "gate": "g", "verdict": "Approve", "by": "a\\lice", "via": "kubectl"}
    assert read_decisions("no json") == read_decisions("{}") == read_decisions(None) == ()
    assert [d.by for d in read_decisions(json.dumps([1, {"id": "2"}, good]))] == ["a\\lice"]
    assert (
        read_decisions('[{"id":"1","gate":"g","verdict":"Approve","by":"a","via":"kubectl","comment":"x\ny"}]')[
            0
        ].comment
        == "x\ny"
    )
