"""The steps that people see are the steps that the controller takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.api.rollout import RolloutSpec
from rollouts.core.strategies import step_words
from rollouts.core.strategies import steps_of as controllers
from rollouts.views.steps import steps_of

_SECONDS = st.integers(1, 90_000).map(lambda s: f"{s}s")
_MATCH = st.just([{"headerName": "x-tester", "headerValue": {"exact": "yes"}}])
_KINDS = st.one_of(
    st.fixed_dictionaries({"setWeight": st.integers(0, 100)}),
    st.fixed_dictionaries({"setCanaryScale": st.fixed_dictionaries({"replicas": st.integers(1, 9)})}),
    st.fixed_dictionaries({"setCanaryScale": st.fixed_dictionaries({"weight": st.integers(1, 100)})}),
    st.just({"setCanaryScale": {"matchTrafficWeight": True}}),
    st.fixed_dictionaries({"setHeaderRoute": st.fixed_dictionaries({"name": st.just("t"), "match": _MATCH})}),
    st.just({"setHeaderRoute": {"name": "t"}}),
    st.fixed_dictionaries({"analysis": st.fixed_dictionaries({"duration": _SECONDS})}),
    st.fixed_dictionaries({"experiment": st.fixed_dictionaries({"weight": st.integers(1, 25), "duration": _SECONDS})}),
    st.just({"pause": {}}),
    st.fixed_dictionaries({"pause": st.fixed_dictionaries({"duration": _SECONDS})}),
    st.fixed_dictionaries({"approval": st.fixed_dictionaries({"message": st.text(max_size=9)})}),
)
_MIRROR = {"setMirrorRoute": {"percentage": 50}}
_BLUE_GREEN = st.fixed_dictionaries(
    {}, optional={"mirrorPercent": st.integers(0, 100), "duration": _SECONDS, "approval": st.just({"message": "look"})}
)
SPECS = st.one_of(
    st.just({}),
    st.lists(_KINDS, min_size=1, max_size=8).map(lambda steps: {"steps": steps}),
    st.lists(_KINDS, max_size=2).map(lambda rest: {"steps": [_MIRROR, {"setMirrorRoute": {}}, *rest]}),
    _BLUE_GREEN.map(lambda b: {"strategy": {"blueGreen": b}}),
    st.fixed_dictionaries({"match": _MATCH, "duration": _SECONDS}).map(lambda a: {"strategy": {"abTest": a}}),
)


@given(SPECS)
def test_they_are_the_controllers_own_whatever_the_strategy(spec):
    model = RolloutSpec.model_validate({"workloadRef": {"name": "payment"}, **spec})
    for raw in (spec, model.dump()):  # as written, and as the API server has it with all defaults
        seen, taken = steps_of(raw), controllers(model)
        assert [s.words for s in seen] == [step_words(s) for s in taken]
        assert [s.weight for s in seen] == [s.weight for s in taken]
        assert [s.message for s in seen] == [s.approval.message if s.approval else "" for s in taken]
        assert [s.seconds for s in seen] == [s.pause.duration if s.pause else s.duration for s in taken]


@pytest.mark.parametrize(
    ("entry", "label"),
    [
        ({"setWeight": 10}, "10 %"),
        ({"pause": {}}, "pause"),
        ({"pause": {"duration": "90s"}}, "pause 1m30s"),
        ({"experiment": {"weight": 5, "duration": "2m"}}, "experiment 5 %"),
        ({"setCanaryScale": {"replicas": 3}}, "3 pods"),
        ({"setHeaderRoute": {"name": "testers"}}, "no route testers"),
    ],
)
def test_labels_are_short_enough_for_a_bar(entry, label):
    (step,) = steps_of({"steps": [entry]})
    assert step.label == label


def test_a_step_of_a_newer_version_is_left_out_rather_than_an_error():
    assert [s.words for s in steps_of({"steps": [{"holdMyBeer": {}}, {"setWeight": 5}]})] == ["5 %"]
