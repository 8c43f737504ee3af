"""What people write under spec.hooks, and what they are told when it is wrong."""

from __future__ import annotations

import pytest

from rollouts.api.hooks import Point
from rollouts.api.validate import InvalidRollout, parse_rollout

HTTP = {"url": "https://gate.shop/open"}
JOB = {"template": {"spec": {"template": {"spec": {"containers": [{"name": "t", "image": "k6"}]}}}}}


def parsed(*hooks):
    return parse_rollout({"spec": {"workloadRef": {"name": "payment"}, "hooks": list(hooks)}}).hooks


def hook(**changes):
    found = {"name": "gate", "at": "BeforePromotion", "http": HTTP, **changes}
    return {key: value for key, value in found.items() if value is not None}


def test_the_defaults_are_safe():
    (found,) = parsed(hook())
    http = found.http
    assert (http.method, http.timeout, http.retries, http.poll_interval) == ("POST", 30.0, 2, None)
    assert found.takes_back
    assert parsed(hook(http=None, job=JOB))[0].job.timeout is None


@pytest.mark.parametrize("point", Point)
def test_only_what_a_release_waits_for_can_take_it_back(point):
    (found,) = parsed(hook(at=point.value))
    assert found.takes_back == found.gates == (point not in {Point.AFTER_PROMOTION, Point.ON_ROLLBACK})
    assert not parsed(hook(at=point.value, onFailure="Continue"))[0].takes_back


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"http": None}, "spec.hooks[0]: a hook is exactly one of http, job: write one of them"),
        ({"job": JOB}, "a hook is exactly one of http, job"),
        ({"at": "AfterPromotion", "onFailure": "RollBack"}, "write Continue or leave it out"),
        ({"at": "Whenever"}, "spec.hooks[0].at is 'Whenever': write 'BeforeRollout', 'DuringStep'"),
        ({"weights": [50]}, "weights goes with at: DuringStep or at: BeforeTrafficIncrease"),
        ({"name": "Gate!"}, "spec.hooks[0].name is 'Gate!'"),
        ({"http": {"url": "gate.shop"}}, "spec.hooks[0].http.url is 'gate.shop': write what matches ^https?://"),
        ({"http": {"url": "http://"}}, "write one like https://gate.shop/open"),
        ({"http": {"url": "http://gate:x/"}}, "write one like https://gate.shop/open"),
        ({"http": {"url": "http://gate/a b"}}, "write one like https://gate.shop/open"),
        ({"http": HTTP | {"retries": 21}}, "spec.hooks[0].http.retries is 21"),
        ({"http": HTTP | {"pollTimeout": "1m"}}, "pollTimeout goes with pollInterval"),
        ({"http": HTTP | {"pollInterval": "10ms"}}, "spec.hooks[0].http.pollInterval"),
        ({"http": HTTP | {"headers": [{"key": "A", "value": "1"}, {"key": "a", "value": "2"}]}}, "headers has a name twice"),
        ({"http": None, "job": {"template": {"spec": {}}}}, "template.spec.containers is missing"),
        ({"retires": 3}, "spec.hooks[0].retires is not a field"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_field_and_the_fix(changes, words):
    with pytest.raises(InvalidRollout) as wrong:
        parsed(hook(**changes))
    assert words in str(wrong.value)


def test_each_hook_has_a_name_of_its_own():
    with pytest.raises(InvalidRollout, match="the name gate is there twice: give each hook a name of its own"):
        parsed(hook(), hook(at="BeforeRollout"))


def test_there_are_at_most_sixteen():
    with pytest.raises(InvalidRollout, match="at most 16"):
        parsed(*(hook(name=f"h{n}") for n in range(17)))
