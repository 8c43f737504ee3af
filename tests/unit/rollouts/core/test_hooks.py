"""Hooks on a cluster in memory: when they begin, what waits for them, and what their answers do."""

from __future__ import annotations

import json

import pytest

from analysis.model.verdict import Decision
from rollouts.api.names import (
    ABORT_ANNOTATION,
    APPROVE_ANNOTATION,
    PROMOTE_ANNOTATION,
    RESUME_ANNOTATION,
    RETRY_ANNOTATION,
    SKIP_ANNOTATION,
)
from rollouts.api.rollout import RolloutStatus
from rollouts.core import actions as a

HTTP = {"http": {"url": "http://gate/open"}}
JOB = {"job": {"template": {"spec": {"template": {"spec": {"containers": [{"name": "t", "image": "k6"}]}}}}}}
STEPS = [{"setWeight": 50}, {"setWeight": 100}]
BY_TIME = {"enabled": False, "minStepDuration": "3s"}


def hook(at, name="gate", what=HTTP, **more):
    return {"name": name, "at": at, **what, **more}


@pytest.fixture
def open_(make_world):
    """Returns a world with some hooks in which revision 2 was pushed."""

    def opened(*hooks, steps=STEPS, analysis=BY_TIME, **spec):
        return make_world(hooks=list(hooks), steps=steps, analysis=analysis, **spec).released()

    return opened


def test_before_the_rollout_no_request_goes_to_the_canary(open_):
    world = open_(hook("BeforeRollout"))
    assert (world.state, world.weight, world.under_way) == ("Starting", 0, ["gate"])
    assert world.canary_replicas >= 1, "it is asked about pods that are ready"
    assert world.status["message"].startswith(
        "waits for hook gate (1st try of 3); the guards stay on. starts the canary"
    )
    world.wait(60)
    assert world.state == "Starting"
    world.answers("gate", passed=True)
    world.settle()
    assert (world.state, world.weight) == ("Judging", 50)


def test_it_is_not_asked_before_the_canary_is_ready(make_world):
    world = make_world(hooks=[hook("BeforeRollout")])
    world.settle()
    world.pods_start = False
    world.push("shop:2")
    world.settle()
    assert world.under_way == []


def test_during_each_step_it_runs_once_and_the_step_waits_for_it(open_):
    world = open_(hook("DuringStep", "load", JOB))
    keys = []
    for weight in (50, 100):
        assert (world.state, world.weight, world.under_way) == ("Judging", weight, ["load"])
        keys.append(world.hook("load").run.key)
        world.wait(30)
        assert world.weight == weight, "the step's time is over, but the load test runs"
        assert f"waits for hook load (Job {world.hook('load').run.job})" in world.status["message"]
        world.answers("load", passed=True)
        world.settle()
    assert len(set(keys)) == 2
    world.wait(20)
    assert world.outcomes == ["Promoted"]


def test_a_load_test_may_outlast_the_time_that_the_judge_has(open_):
    world = open_(hook("DuringStep"), analysis={"minStepDuration": "3s", "maxStepDuration": "10s"})
    world.says(Decision.PROMOTE)
    world.wait(30)
    assert world.state == "Judging"
    world.answers("gate", passed=True)
    world.settle()
    assert world.weight == 95


def test_before_traffic_grows_it_is_asked_about_the_weight_to_come(open_):
    world = open_(hook("BeforeTrafficIncrease"), steps=[{"setWeight": 50}, {"setWeight": 20}, {"setWeight": 80}])
    told = []
    for before in (0, 50, 20, 80):
        if before == 50:
            world.wait(6)
            assert world.weight == 20, "nobody is asked about less traffic"
            continue
        world.wait(6)
        assert (world.weight, world.under_way) == (before, ["gate"])
        told.append((world.hook("gate").run.place, world.hook("gate").event["weight"]))
        world.answers("gate", passed=True)
        world.settle()
    assert told == [("1", 50), ("3", 80), ("promotion", 100)]
    world.wait(20)
    assert world.outcomes == ["Promoted"]


def test_weights_limit_a_hook_to_some_steps(open_):
    world = open_(hook("DuringStep", weights=[100]))
    world.wait(6)
    assert (world.weight, world.under_way) == (100, ["gate"])


def test_before_promotion_the_last_step_goes_on_and_is_judged(open_):
    world = open_(hook("BeforePromotion"), analysis={"minStepDuration": "3s"})
    world.says(Decision.PROMOTE)
    world.wait(12)
    assert (world.state, world.under_way) == ("Judging", ["gate"])
    world.says(Decision.ROLL_BACK, "twice the errors")
    world.settle()
    assert world.phase == "RolledBack", "the guards stay on"
    assert world.under_way == []


def test_evidence_that_goes_while_a_hook_runs_is_waited_for_again(open_):
    world = open_(hook("BeforePromotion"), analysis={"minStepDuration": "3s"})
    world.says(Decision.PROMOTE)
    world.wait(12)
    key = world.hook("gate").run.key
    world.says(Decision.CONTINUE)
    world.wait(2)
    assert world.hook("gate").run.key == key
    world.answers("gate", passed=True)
    world.settle()
    assert world.state == "Judging"
    world.says(Decision.PROMOTE)
    world.wait(20)
    assert world.outcomes == ["Promoted"]
    assert [x for x in world.log if isinstance(x, a.RunHook)] == [a.RunHook(world.orders[key])]


def test_a_definite_no_takes_the_release_back_and_is_told_once(open_):
    world = open_(hook("BeforeTrafficIncrease"))
    world.answers("gate", passed=False, words="http://gate/open answers 403 Forbidden, frozen")
    world.wait(40)
    assert (world.phase, world.weight) == ("RolledBack", 0)
    reason = world.status["history"][0]["reason"]
    assert reason == "hook gate (BeforeTrafficIncrease) failed: http://gate/open answers 403 Forbidden, frozen"
    assert list(world.events.values()).count("HookFailed") == 1
    assert list(world.events.values()).count("RollbackStarted") == 1


def test_on_failure_continue_tells_and_goes_on(open_):
    world = open_(hook("BeforeRollout", onFailure="Continue"))
    world.answers("gate", passed=False, words="503")
    world.settle()
    assert world.state == "Judging"
    assert list(world.events.values()).count("HookFailed") == 1


def test_hooks_of_one_point_run_side_by_side_and_all_must_pass(open_):
    world = open_(hook("BeforeRollout", "a"), hook("BeforeRollout", "b"))
    assert world.under_way == ["a", "b"]
    world.answers("a", passed=True)
    world.settle()
    assert (world.state, world.under_way) == ("Starting", ["b"])
    world.answers("b", passed=True)
    world.settle()
    assert world.state == "Judging"


def test_after_the_promotion_it_runs_once_and_nothing_waits_for_it(open_):
    world = open_(hook("AfterPromotion", what=JOB), hook("OnRollback", "news"))
    assert world.under_way == []
    world.wait(30)
    assert (world.phase, world.outcomes, world.under_way) == ("Healthy", ["Promoted"], ["gate"])
    assert "Under way: hook gate (Job payment-gate-" in world.status["message"]
    assert world.hook("gate").event["stable"]["images"] == ["shop:2"]
    world.answers("gate", passed=False, words="exit 3")
    world.wait(5)
    assert world.phase == "Healthy"
    assert list(world.events.values()).count("HookFailed") == 1
    assert len([x for x in world.log if isinstance(x, a.RunHook)]) == 1
    assert world.notes.hooks.runs == ()


def test_one_that_is_new_when_the_release_has_ended_does_not_run_for_it(open_):
    world = open_()
    world.wait(30)
    assert world.outcomes == ["Promoted"]
    world.spec["hooks"] = [hook("AfterPromotion"), hook("OnRollback", "news")]
    world.wait(5)
    assert world.under_way == []


def test_a_rollback_is_told_and_does_not_wait(open_):
    world = open_(hook("OnRollback", "news"), analysis={"enabled": False, "minStepDuration": "300s"})
    world.annotate(ABORT_ANNOTATION)
    world.settle()
    assert (world.phase, world.weight, world.under_way) == ("RolledBack", 0, ["news"])
    assert world.hook("news").event["reason"] == "aborted: annotation coalmine.dev/abort was set"
    world.push("shop:3")
    world.wait(20)
    assert world.state == "Judging"
    assert world.under_way == ["news"], "the next release does not end it"
    world.answers("news", passed=True)
    world.settle()
    assert world.under_way == []


def test_a_revision_that_is_refused_is_not_told_as_another_rollback(open_):
    world = open_(hook("OnRollback", "news"))
    world.annotate(ABORT_ANNOTATION)
    world.wait(40)
    world.answers("news", passed=True)
    world.settle()
    world.push("shop:1")
    world.wait(20)
    world.push("shop:2")
    world.settle()
    assert (world.phase, world.under_way) == ("RolledBack", [])


@pytest.mark.parametrize("end", ["abort", "revert", "supersede", "override", "delete"])
def test_whatever_ends_a_release_ends_its_hooks_and_deletes_their_jobs(open_, end):
    world = open_(hook("DuringStep", "load", JOB), hook("DuringStep", "ask"))
    assert world.under_way == ["ask", "load"]
    key, job = world.hook("load").run.key, world.hook("load").run.job
    {
        "abort": lambda: world.annotate(ABORT_ANNOTATION),
        "revert": lambda: world.push("shop:1"),
        "supersede": lambda: world.push("shop:3"),
        "override": world.resume,
        "delete": world.delete,
    }[end]()
    world.decide()
    assert world.under_way == []
    assert a.EndHook(key, job) in world.log
    world.wait(30)
    assert world.gone or world.notes.hooks.canceled == ()


def test_a_job_is_deleted_although_the_controller_was_killed_before_it_did(open_):
    world = open_(hook("DuringStep", "load", JOB))
    key, job = world.hook("load").run.key, world.hook("load").run.job
    world.annotate(ABORT_ANNOTATION)
    do, world.do = world.do, lambda _action: None
    world.decide()
    world.do, world.hooks = do, {}
    world.decide()
    assert a.EndHook(key, job) in world.log
    world.settle()
    assert world.notes.hooks.canceled == ()


def test_after_a_restart_the_same_run_begins_with_the_same_key_and_the_same_words(open_):
    world = open_(hook("BeforeRollout", metadata={"team": "shop"}))
    before = world.hook("gate")
    world.hooks = {}
    world.now += 300
    world.decide()
    assert world.hook("gate") == before
    assert before.event["metadata"] == {"team": "shop"}


def test_a_retry_of_the_same_revision_asks_again(open_):
    world = open_(hook("BeforeRollout"))
    key = world.hook("gate").run.key
    world.answers("gate", passed=False, words="no")
    world.wait(40)
    assert world.phase == "RolledBack"
    world.annotate(RETRY_ANNOTATION)
    world.wait(10)
    assert world.under_way == ["gate"]
    assert world.hook("gate").run.key != key


def test_promote_goes_past_hooks_and_skip_past_those_of_the_step(open_):
    world = open_(hook("DuringStep", "load", JOB), hook("BeforePromotion"))
    world.annotate(SKIP_ANNOTATION)
    world.settle()
    assert (world.state, world.weight) == ("Judging", 100)
    world.annotate(SKIP_ANNOTATION, "again")
    world.settle()
    assert (world.state, world.under_way) == ("Judging", ["gate", "load"])
    assert "CommandIgnored" not in world.events.values()
    world.annotate(PROMOTE_ANNOTATION)
    world.wait(20)
    assert world.outcomes == ["Promoted"]
    assert world.under_way == []


@pytest.mark.parametrize(
    ("step", "command"), [({"pause": {}}, RESUME_ANNOTATION), ({"approval": {}}, APPROVE_ANNOTATION)]
)
def test_a_command_waits_together_with_the_hook(open_, step, command):
    world = open_(hook("BeforePromotion"), steps=[{"setWeight": 50}, step])
    world.wait(6)
    assert world.under_way == []
    world.annotate(command)
    world.settle()
    assert world.under_way == ["gate"]
    world.answers("gate", passed=True)
    world.wait(20)
    assert world.outcomes == ["Promoted"]
    assert "CommandIgnored" not in world.events.values()


def test_while_the_spec_is_paused_no_hook_begins(open_):
    world = open_(hook("BeforeTrafficIncrease"), paused=True)
    world.spec["paused"] = False
    world.push("shop:2")
    world.settle()
    assert world.under_way == ["gate"]
    world.answers("gate", passed=True)
    world.settle()
    world.spec["paused"] = True
    world.wait(20)
    assert world.under_way == []


def test_what_cannot_be_run_is_said_and_fails_after_the_deadline(open_):
    world = open_(hook("BeforeRollout"), progressDeadlineSeconds=60)
    world.wait(100)
    world.answers("gate", problem="there is no Secret signing in namespace shop: create it", problem_at=world.now)
    world.wait(50)
    assert "hook gate (it cannot be run: there is no Secret signing" in world.status["message"]
    assert world.state == "Starting"
    world.wait(20)
    assert world.phase == "RolledBack"
    assert "could not be run within spec.progressDeadlineSeconds (60 s)" in world.status["message"]


def test_the_message_counts_the_tries(open_):
    world = open_(hook("BeforeRollout", what={"http": {"url": "http://gate/", "retries": 11}}))
    for tries, words in ((1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th")):
        world.answers("gate", tries=tries, words="503")
        world.decide()
        assert f"hook gate ({words} try of 12: 503)" in world.status["message"]


def test_the_message_of_a_gate_that_is_asked_again_and_again(open_):
    world = open_(hook("BeforeRollout", what={"http": {"url": "http://gate/", "pollInterval": "10s"}}))
    world.answers("gate", tries=7, words="403")
    world.decide()
    assert "hook gate (asked 7 times, again every 10s: 403)" in world.status["message"]


def test_other_settings_begin_the_run_again_with_its_key(open_):
    world = open_(hook("BeforeRollout"))
    key = world.hook("gate").run.key
    world.spec["hooks"] = [hook("BeforeRollout", what={"http": {"url": "http://other/"}})]
    world.decide()
    assert world.hook("gate").run.key == key
    assert world.hook("gate").hook.http.url == "http://other/"


def test_a_hook_that_is_taken_out_of_the_spec_is_not_waited_for(open_):
    world = open_(hook("BeforeRollout", what=JOB))
    world.spec["hooks"] = []
    world.settle()
    assert (world.state, world.under_way) == ("Judging", [])


def test_a_spec_that_cannot_be_read_leaves_the_run_as_it_is(open_):
    world = open_(hook("BeforeRollout"))
    spec, world.spec, world.spec_error = world.spec, None, "spec.hooks[0].at is 'x'"
    world.wait(3)
    assert world.under_way == ["gate"]
    world.spec, world.spec_error = spec, ""
    world.answers("gate", passed=True)
    world.settle()
    assert world.state == "Judging"


def test_the_event_tells_who_what_and_where(open_):
    world = open_(hook("DuringStep"))
    event = world.hook("gate").event
    assert event | {"timestamp": "", "revision": "", "checksum": "", "stable": ""} == {
        "type": "DuringStep", "timestamp": "", "hook": "gate", "name": "payment", "namespace": "shop", "uid": "uid-rollout",
        "phase": "Progressing", "checksum": "", "revision": "", "images": ["shop:2"], "stable": "", "step": 1, "weight": 50,
        "canaryWeight": 50, "service": "payment", "canaryService": "payment-canary", "reason": "", "metadata": {},
    }  # fmt: skip
    assert event["stable"]["images"] == ["shop:1"]


def test_what_is_remembered_stays_small(open_):
    steps = [{"setWeight": w} for w in range(1, 13)]
    hooks = [hook(at, f"{at.lower()}-{n}") for at in ("DuringStep", "BeforeTrafficIncrease") for n in range(8)]
    world = open_(*hooks, steps=steps)
    for _ in range(60):
        for name in world.under_way:
            world.answers(name, passed=True, words="w" * 5000)
        world.wait(1)
    assert world.outcomes == ["Promoted"] or world.weight > 5
    runs = world.notes.hooks.runs
    assert len(runs) <= 16
    assert len(json.dumps(RolloutStatus.model_validate(world.status).dump()["internal"])) < 30_000
