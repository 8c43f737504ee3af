"""Objectives in every step, and the time in which a new version is watched."""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision
from rollouts.api.names import ABORT_ANNOTATION, PROMOTE_ANNOTATION, SKIP_ANNOTATION
from rollouts.core.observed import CanaryPod

WATCH = {"duration": "2m"}
STEPS = [{"setWeight": 100}]
BY_TIME = {"enabled": False, "minStepDuration": "2s"}


def watching(make_world, **spec):
    world = make_world(**{"steps": STEPS, "analysis": BY_TIME, "watch": WATCH} | spec).released()
    world.wait(6)
    assert world.phase == "Watching"
    return world


STEPS_THAT_WAIT = {
    "Progressing": [{"setWeight": 10}],
    "Paused": [{"setWeight": 10}, {"pause": {}}],
    "AwaitingApproval": [{"setWeight": 10}, {"approval": {}}],
}


@pytest.mark.parametrize(("phase", "steps"), STEPS_THAT_WAIT.items())
def test_a_missed_objective_takes_the_release_back_in_every_step_with_and_without_analysis(make_world, phase, steps):
    minimum = "1h" if phase == "Progressing" else "2s"
    for analysis in ({"enabled": False}, {}):
        longest = {"minStepDuration": minimum, "maxStepDuration": "2h"}
        world = make_world(steps=steps, analysis={**analysis, **longest}).released()
        world.says(Decision.PROMOTE)
        world.wait(4)
        assert world.phase == phase
        world.misses()
        world.wait(1)
        assert world.phase in {"RollingBack", "RolledBack"}
        assert world.weight == 0
        assert "spec.slos: availability is missed: 30 % of 400" in world.notes.reason


def test_what_burns_within_its_rate_does_not_stop_a_release_and_is_shown(make_world):
    world = make_world(steps=STEPS, analysis=BY_TIME).released()
    world.misses(missed=False)
    world.wait(1)
    (entry,) = world.status["evidence"]
    assert (entry["metric"], entry["burnRate"], entry["canary"]) == ("slo/availability", 300.0, 0.3)
    world.wait(20)
    assert world.outcomes == ["Promoted"]


def test_stable_that_burns_as_well_takes_nothing_off_the_guard_and_is_said(make_world):
    world = make_world().released()
    world.misses(stable_too=True)
    world.wait(5)
    assert world.phase == "RolledBack"
    assert "Stable burns as well" in world.status["history"][0]["reason"]


def test_a_pod_that_alone_misses_an_objective_is_replaced_once_and_is_no_fault_of_the_release(make_world):
    world = make_world().released()
    world.canary_pods = {"a": CanaryPod(uid="uid-a", node="n1"), "b": CanaryPod(uid="uid-b")}
    world.misses(pods=("a",))
    world.wait(1)
    assert world.phase == "Progressing"
    assert world.notes.replaced.name == "a"
    assert list(world.canary_pods) == ["b"]
    world.misses(missed=False)
    world.wait(5)
    world.misses(pods=("b",))
    world.wait(5)
    assert world.phase == "RolledBack"
    assert "it is not one pod's fault" in world.status["history"][0]["reason"]


@pytest.mark.parametrize("pods", [(), ("a",)])
def test_a_missed_objective_is_not_excused_by_a_pod_that_is_not_all_of_it(make_world, pods):
    world = make_world(analysis={"onOutlierPod": "Hold"} if pods else {}).released()
    world.says(Decision.OUTLIER, outlier="a")
    world.misses(pods=pods)
    world.wait(5)
    assert world.phase == "RolledBack"


def test_a_promotion_that_is_forced_is_not_stopped_but_watched(make_world):
    world = make_world(analysis=BY_TIME, watch=WATCH).released()
    world.mesh_answers = False
    world.annotate(PROMOTE_ANNOTATION)
    world.wait(2)
    world.misses()
    world.wait(2)
    assert world.phase == "Promoting"
    world.mesh_answers = True
    world.wait(3)
    assert world.phase in {"RollingBack", "RolledBack"}
    assert "WatchStarted" in world.events.values()


def test_without_a_watch_the_deployment_is_rolled_at_once(make_world):
    world = make_world(steps=STEPS, analysis=BY_TIME).released()
    world.wait(20)
    assert "Watching" not in world.phases
    assert world.outcomes == ["Promoted"]


def test_a_quiet_watch_keeps_both_versions_and_then_promotes(make_world):
    world = watching(make_world)
    assert (world.weight, world.canary_replicas, world.deployment["spec"]["replicas"]) == (100, 4, 4)
    assert world.paused  # kubectl rollout status waits
    assert "is watched for 1m" in world.status["message"]
    world.wait(100)
    assert world.phase == "Watching"
    world.wait(40)
    assert world.phases[-3:] == ["Watching", "Promoting", "Healthy"]
    assert world.outcomes == ["Promoted"]


@pytest.mark.parametrize("finding", ["slo", "judge", "lost"])
def test_what_is_found_in_the_watch_goes_back_by_one_weight_change(make_world, finding):
    world = judged_into_watch(make_world) if finding == "judge" else watching(make_world)
    if finding == "slo":
        world.misses()
    elif finding == "judge":
        world.says(Decision.ROLL_BACK, "gross-errors: worse")
    else:
        world.canary["status"]["readyReplicas"] = 0
    before = len(world.log)
    world.decide()
    assert world.weight == 0
    assert [type(action).__name__ for action in world.log[before:]] == ["SetTraffic"]
    world.pods_start = finding != "lost"
    world.wait(5)
    assert world.phase == "RolledBack"
    assert world.failed  # kubectl rollout status fails
    assert world.outcomes == ["RolledBack"]


def judged_into_watch(make_world):
    world = make_world(steps=STEPS, analysis={"minStepDuration": "2s"}, watch=WATCH).released()
    world.says(Decision.PROMOTE)
    world.wait(6)
    assert world.phase == "Watching"
    world.says(Decision.NO_BASELINE)
    world.wait(60)
    assert world.phase == "Watching"
    return world


@pytest.mark.parametrize("annotation", [SKIP_ANNOTATION, PROMOTE_ANNOTATION])
def test_people_end_the_watch(make_world, annotation):
    world = watching(make_world)
    world.annotate(annotation)
    world.wait(15)
    assert world.phase == "Healthy"
    assert world.outcomes == ["Promoted"]
    assert "CommandIgnored" not in world.events.values()


def test_people_take_a_watched_release_back(make_world):
    world = watching(make_world)
    world.annotate(ABORT_ANNOTATION)
    world.wait(3)
    assert world.outcomes == ["Aborted"]
    world = watching(make_world)
    world.push("shop:1")
    world.decide()
    assert world.weight == 0
    world.wait(10)
    assert world.outcomes == ["Reverted"]


def test_another_change_in_the_watch_starts_from_the_old_version(make_world):
    world = watching(make_world)
    world.push("shop:3")
    world.decide()
    assert world.weight == 0
    world.wait(15)
    assert world.outcomes[0] == "Superseded"
    assert world.status["stable"]["images"] == ["shop:1"]
    assert world.status["canary"]["images"] == ["shop:3"]


def test_spec_paused_holds_the_watch_and_its_guard_stays_on(make_world):
    world = watching(make_world)
    world.spec["paused"] = True
    world.wait(200)
    assert world.phase == "Paused"
    world.misses()
    world.wait(1)
    assert world.weight == 0


def test_a_shorter_watch_takes_effect_at_once(make_world):
    world = watching(make_world)
    world.spec["watch"] = {"duration": "0s"}
    world.wait(15)
    assert world.outcomes == ["Promoted"]


def test_a_watch_that_measures_nothing_says_so_and_ends_at_its_time(make_world):
    world = watching(make_world, watch={"duration": "20s"})
    world.measuring_problem = "no telemetry from the mesh"
    world.wait(1)
    assert world.status["message"].endswith("nothing can be measured: no telemetry from the mesh")
    world.wait(30)
    assert world.outcomes == ["Promoted"]
    notes = {e["reason"]: e["note"] for e in world.status["internal"]["announcements"]}
    assert notes["WatchPassed"] == "nothing was found while spec.watch lasted, but no telemetry from the mesh"
