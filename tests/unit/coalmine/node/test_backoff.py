from __future__ import annotations

import pytest

from coalmine.local.node.backoff import CrashBackoff, should_restart


def waits(ran):
    backoff, found = CrashBackoff(), []
    for index, seconds in enumerate(ran):
        backoff = backoff.after_exit(ran_seconds=seconds, first=index == 0)
        found.append(backoff.seconds)
    return found


def test_the_first_restart_is_immediate_and_then_waits_double_up_to_five_minutes():
    assert waits([1] * 9) == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_ten_minutes_of_running_forget_the_past():
    assert waits([1, 1, 1, 600, 1]) == [0, 10, 20, 0, 10]


def test_a_new_agent_goes_on_where_the_old_one_was():
    for restarts in range(1, 9):
        known = CrashBackoff.after_restarts(restarts).after_exit(ran_seconds=1, first=False)
        assert known.seconds == waits([1] * (restarts + 1))[-1]


@pytest.mark.parametrize(
    ("policy", "after_success", "after_failure"),
    [("Always", True, True), ("OnFailure", False, True), ("Never", False, False)],
)
def test_restart_policies(policy, after_success, after_failure):
    assert should_restart(policy, 0) is after_success
    assert should_restart(policy, 1) is after_failure


def test_an_unknown_policy_is_an_error():
    with pytest.raises(ValueError, match="restartPolicy: 'Sometimes'"):
        should_restart("Sometimes", 0)
