"""Writing down who decided, as the webhook does it; that the policies write the same is tested on the real API server."""

from __future__ import annotations

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.api.author import stamp_author
from rollouts.api.names import DECISIONS_ANNOTATION
from rollouts.api.stamps import stamp_decision
from rollouts.core.approvals import read_decisions

GATE = "step-2.0a1b2c3d.7"


def request(old=None, new=None, *, user="alice", groups=(), gate=GATE, manager="kubectl-annotate", asked=("leads",)):
    status = {"approval": {"gate": gate, "approvers": {"groups": list(asked)}}} if gate else {}
    metadata = {"name": "pay", "resourceVersion": "41"}
    return {
        "operation": "UPDATE",
        "resource": {"resource": "rollouts"},
        "userInfo": {"username": user, "groups": list(groups)},
        "options": {"fieldManager": manager},
        "oldObject": {"metadata": {**metadata, "annotations": dict(old or {})}, "status": status},
        "object": {"metadata": {**metadata, "annotations": dict(new or {})}, "status": status},
    }


def stamped(**given):
    asked = request(**given)
    return jsonpatch.apply_patch(asked["object"], stamp_decision(asked))["metadata"]["annotations"]


@given(st.text(), st.text(min_size=1), st.lists(st.text(), max_size=3))
def test_whatever_people_write_is_read_as_it_was(comment, user, groups):
    new = {"coalmine.dev/approve": "now", "coalmine.dev/comment": comment}
    found = stamped(new=new, user=user[:256], groups=groups, asked=tuple(groups))
    assert set(found) == {DECISIONS_ANNOTATION}
    (decision,) = read_decisions(found[DECISIONS_ANNOTATION])
    assert (decision.by, decision.comment, decision.groups) == (user[:256], comment[:500], tuple(groups))


def test_decisions_of_the_same_gate_gather_and_those_of_another_are_over():
    first = stamped(new={"coalmine.dev/approve": "now"})
    second = stamped(old=first, new={**first, "coalmine.dev/reject": "now"}, user="bob", manager="coalmine-cli")
    assert [(d.by, d.verdict, d.via) for d in read_decisions(second[DECISIONS_ANNOTATION])] == [
        ("alice", "Approve", "kubectl"),
        ("bob", "Reject", "coalmine"),
    ]
    third = stamped(old=second, new={**second, "coalmine.dev/approve": "now"}, gate="promotion.0a1b2c3d.9")
    assert [d.gate for d in read_decisions(third[DECISIONS_ANNOTATION])] == ["promotion.0a1b2c3d.9"]


def test_a_command_that_stood_there_before_stays_and_says_nothing():
    old = {"coalmine.dev/approve": "yesterday", "coalmine.dev/comment": "old"}
    assert stamp_decision(request(old=old, new={**old, "other": "x"})) == []
    found = stamped(old=old, new={**old, "coalmine.dev/approve": "now"})
    assert found["coalmine.dev/approve"] == "yesterday"
    assert read_decisions(found[DECISIONS_ANNOTATION])[0].comment == "", "it was said about something else"


def test_without_an_open_gate_nothing_is_written_and_forged_entries_are_left_to_the_guard():
    assert stamp_decision(request(new={"coalmine.dev/approve": "now"}, gate="")) == []
    assert stamp_decision(request(new={"coalmine.dev/approve": "now", DECISIONS_ANNOTATION: "[]"})) == []


def test_what_was_decided_is_not_dropped():
    first = stamped(new={"coalmine.dev/approve": "now"})
    assert stamped(old=first, new={}) == first


@pytest.mark.parametrize("stamp", [stamp_decision, stamp_author])
def test_another_question_is_refused(stamp):
    with pytest.raises(ValueError, match="correct the rules"):
        stamp({**request(), "resource": {"resource": "pods"}})
