"""The webhook's side of the floor; the policy's is shown on the real API server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.api.floors import floor_patch, floor_policy_objects, floor_webhook


def request(present, asked, **more):
    return {
        "operation": "UPDATE", "resource": {"resource": "deployments"}, "subResource": "scale",
        "object": {"spec": {"replicas": asked}}, "oldObject": {"spec": {"replicas": present}}, **more,
    }  # fmt: skip


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_nobody_goes_below_the_floor_or_is_pushed_up(present, asked, floor):
    patch = floor_patch(request(present, asked), floor)
    granted = patch[0]["value"] if patch else asked
    assert granted == asked or granted <= present
    assert granted >= min(floor, present) or present < asked
    assert granted >= asked


def test_a_scale_without_replicas_is_zero():
    assert floor_patch({**request(4, 0), "object": {"spec": {}}}, 3) == [{"op": "add", "path": "/spec/replicas", "value": 3}]  # fmt: skip


def test_it_refuses_to_judge_what_it_was_not_made_for():
    with pytest.raises(ValueError, match="deployments/scale"):
        floor_patch({**request(4, 1), "subResource": ""}, 3)


def test_whom_it_concerns_is_asked_for_by_both():
    policy, _ = floor_policy_objects("v1", ["me"])
    (who, _) = floor_webhook({}, ["me"])["matchConditions"]
    assert who in policy["spec"]["matchConditions"]
    assert 'in ["me"]' in who["expression"]
