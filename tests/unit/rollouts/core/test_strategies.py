"""Kinds of steps and strategies, against a small cluster in memory."""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision
from rollouts.api.rollout import RolloutSpec
from rollouts.api.steps import Step
from rollouts.core.shape import PLAIN, Mirror, Route
from rollouts.core.strategies import step_words, steps_of
from rollouts.core.traffic import mirror_of, routes_of, scale_of

TESTERS = {"headerName": "x-tester", "headerValue": {"exact": "yes"}}
BETA = {"cookieName": "beta", "cookieValue": {"prefix": "on"}}
PAUSE = {"pause": {}}


def header_route(*match, name="testers"):
    return {"setHeaderRoute": {"name": name, "match": list(match)}}


def mirror(percentage=None, *match):
    return {"setMirrorRoute": {"percentage": percentage, "match": list(match)}}


def steps(*wanted):
    return tuple(Step.model_validate(step) for step in wanted)


def routes(world):
    return [(route.name, route.service) for route in world.split["shape"].routes]


def mirrored(world):
    found = world.split["shape"].mirror
    return found.percent if found else 0


# --- pure: what steps add up to -------------------------------------------------------------------------------------


def test_a_header_route_is_replaced_and_removed_by_its_name():
    one, two = header_route(TESTERS), header_route(BETA, name="beta")
    assert [r.name for r in routes_of(steps(one, two), "canary")] == ["testers", "beta"]
    changed = routes_of(steps(one, two, header_route(BETA)), "canary")
    assert changed == (Route("testers", steps(one, header_route(BETA))[1].set_header_route.match, "canary"), changed[1])
    assert [r.name for r in routes_of(steps(one, two, header_route()), "canary")] == ["beta"]


@pytest.mark.parametrize(
    "last", [mirror(), mirror(0), {"setWeight": 5}, {"experiment": {"weight": 1, "duration": "1s"}}]
)
def test_a_mirror_ends_by_a_step_without_percentage_and_by_the_first_weight(last):
    begun = steps(mirror(20), {"setWeight": 0})
    assert mirror_of(begun, "canary") == Mirror(20, (), "canary")
    assert mirror_of((*begun, *steps(last)), "canary") is None


def test_the_canarys_scale_follows_the_weight_again_when_asked():
    assert scale_of(steps({"setCanaryScale": {"replicas": 3}})).replicas == 3
    assert (
        scale_of(steps({"setCanaryScale": {"replicas": 3}}, {"setCanaryScale": {"matchTrafficWeight": True}})) is None
    )


def strategy(**wanted):
    return RolloutSpec.model_validate({"workloadRef": {"name": "pay"}, "strategy": wanted})


def test_a_strategy_is_nothing_but_steps():
    spec = strategy(blueGreen={"mirrorPercent": 25, "duration": "2m", "approval": {"message": "Fine?"}})
    assert [step_words(step) for step in steps_of(spec)] == [
        "canary at 100 % of the stable pods", "mirror 25 %", "analysis for 2m", "an approval",
    ]  # fmt: skip
    spec = strategy(abTest={"match": [TESTERS], "duration": "1h"})
    assert [step_words(step) for step in steps_of(spec)] == [
        "canary at 100 % of the stable pods", "header route ab-test", "analysis for 1h",
    ]  # fmt: skip
    assert [step_words(step) for step in steps_of(strategy(canary={}))] == ["10 %", "50 %", "100 %"]


# --- steps of a release ---------------------------------------------------------------------------------------------


def test_testers_come_first_and_everybody_later(make_world):
    world = make_world(steps=[header_route(TESTERS), PAUSE, {"setWeight": 50}, header_route(), PAUSE]).released()
    assert (world.phase, world.weight, routes(world)) == ("Paused", 0, [("testers", "payment-canary")])
    assert "header route testers" in world.status["message"]
    assert world.canary_replicas == 1
    world.annotate("coalmine.dev/resume", "1")
    world.settle()
    assert (world.state, world.weight, routes(world)) == ("Judging", 50, [("testers", "payment-canary")])
    world.says(Decision.PROMOTE)
    world.wait(31)
    assert (world.phase, world.weight, routes(world)) == ("Paused", 50, [])


@pytest.mark.parametrize("step", [header_route(TESTERS), mirror(20)])
def test_a_canary_that_dies_is_taken_back_at_weight_0_too(make_world, step):
    world = make_world(steps=[step, PAUSE, {"setWeight": 50}]).released()
    assert world.phase == "Paused"
    assert world.split["shape"] != PLAIN
    world.canary["status"]["readyReplicas"] = 0
    world.pods_start = False
    world.decide()
    assert world.state == "RollingBack"
    assert world.split["shape"] == PLAIN
    world.settle()
    assert world.phase == "RolledBack"
    assert "no ready pod left while it gets requests: 0 %, " in world.notes.reason


def test_an_abort_takes_routes_and_mirror_with_the_weight_and_the_pods_answer_to_the_end(make_world):
    world = make_world(steps=[header_route(TESTERS), mirror(20), PAUSE]).released()
    assert mirrored(world) == 20
    world.mesh_answers = False
    world.annotate("coalmine.dev/abort")
    world.decide()
    assert world.split["shape"] == PLAIN
    world.wait(20)
    assert world.state == "RollingBack"
    assert world.canary is not None, "pods went while a proxy still sent them requests"
    world.mesh_answers = True
    world.wait(50)
    assert (world.phase, world.canary) == ("RolledBack", None)


def test_mirrored_requests_are_load_and_the_canary_is_sized_for_it(make_world):
    world = make_world(steps=[mirror(75), PAUSE]).released()
    assert (world.canary_replicas, mirrored(world), world.weight) == (3, 75, 0)


def test_the_scale_may_be_more_than_the_weight_needs_but_never_less(make_world):
    scaled = [{"setCanaryScale": {"replicas": 3}}, PAUSE, {"setWeight": 100}, PAUSE]
    world = make_world(steps=scaled, analysis={"enabled": False, "minStepDuration": "1s"}).released()
    assert (world.phase, world.canary_replicas, world.weight) == ("Paused", 3, 0)
    world.annotate("coalmine.dev/resume")
    world.wait(5)
    assert (world.phase, world.canary_replicas, world.weight) == ("Paused", 4, 100)


def test_an_analysis_step_passes_on_evidence_or_at_its_end(make_world):
    wanted = [header_route(TESTERS), {"analysis": {"duration": "100s"}}, PAUSE]
    world = make_world(steps=wanted).released()
    assert world.state == "Judging"
    world.says(Decision.CONTINUE)
    world.wait(90)
    assert world.state == "Judging"
    assert "at most 10s more" in world.status["message"]
    world.wait(15)
    assert world.phase == "Paused"
    world = make_world(steps=wanted).released()
    world.says(Decision.PROMOTE)
    world.wait(32)
    assert world.phase == "Paused"
    world = make_world(steps=wanted).released()
    world.says(Decision.ROLL_BACK)
    world.wait(2)
    assert world.phase == "RolledBack"


def test_an_analysis_step_does_not_pass_while_nothing_can_be_measured(make_world):
    world = make_world(steps=[header_route(TESTERS), {"analysis": {"duration": "10s"}}, PAUSE]).released()
    world.measuring_problem = "no telemetry"
    world.wait(60)
    assert world.state == "Judging"
    world.measuring_problem = ""
    world.wait(2)
    assert world.phase == "Paused"


def test_an_experiment_starts_fresh_stable_pods_at_the_same_size_and_removes_them(make_world):
    experiment = {"experiment": {"weight": 5, "replicas": 2, "duration": "60s"}}
    world = make_world(steps=[experiment, PAUSE, {"setWeight": 50}]).released()
    assert world.state == "Judging"
    assert world.split["weights"] == {"payment": 90, "payment-canary": 5, "payment-baseline": 5}
    pods = world.baseline["spec"]["template"]
    assert pods["spec"]["containers"][0]["image"] == "shop:1"
    assert pods["metadata"]["labels"] == {"app": "payment-baseline", "team": "shop", "coalmine.dev/role": "baseline"}
    assert (world.baseline["spec"]["replicas"], world.canary_replicas) == (2, 2)
    assert world.baseline["spec"]["selector"]["matchLabels"] == world.baseline_service["spec"]["selector"]
    world.wait(63)
    assert world.phase == "Paused"
    assert world.split["weights"] == {"payment": 95, "payment-canary": 5}
    world.wait(8)
    assert (world.baseline, world.baseline_service) == (None, None)


def test_an_experiment_waits_for_its_baseline_and_does_not_send_requests_to_a_dead_one(make_world):
    experiment = {"experiment": {"weight": 5, "duration": "60s"}}
    world = make_world(steps=[experiment, PAUSE])
    world.settle()
    world.push("shop:2")
    while not world.baseline:
        world.decide()
        world.kubernetes() if not world.baseline else None
        world.mesh()
    world.decide()
    assert (world.state, world.weight) == ("Scaling", 0)
    assert "0 of 1 fresh stable pods" in world.status["message"]
    world.settle()
    assert world.state == "Judging"
    world.baseline["status"]["readyReplicas"] = 0
    world.pods_start = False
    world.settle(2)
    assert world.split["weights"] == {"payment": 95, "payment-canary": 5}


def test_the_fresh_pods_stay_until_no_proxy_sends_them_anything(make_world):
    world = make_world(steps=[{"experiment": {"weight": 5, "duration": "10m"}}, PAUSE]).released()
    world.mesh_answers = False
    world.annotate("coalmine.dev/skip")
    world.wait(30)
    assert world.phase == "Paused"
    assert "payment-baseline" not in world.split["weights"]
    assert world.baseline is not None
    world.mesh_answers = True
    world.wait(10)
    assert (world.baseline, world.baseline_service) == (None, None)


@pytest.mark.parametrize("end", ["abort", "supersede", "delete"])
def test_nothing_of_an_experiment_is_left_however_the_release_ends(make_world, end):
    world = make_world(steps=[{"experiment": {"weight": 5, "duration": "10m"}}]).released()
    assert world.baseline
    if end == "abort":
        world.annotate("coalmine.dev/abort")
    elif end == "supersede":
        world.push("shop:3")
    else:
        world.delete()
    world.settle(3)
    assert world.split is None or "payment-baseline" not in world.split["weights"]
    world.wait(60)
    if end == "supersede":
        assert world.status["canary"]["images"] == ["shop:3"]
        assert world.baseline["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"
    else:
        assert (world.baseline, world.baseline_service) == (None, None)


# --- strategies -----------------------------------------------------------------------------------------------------


def test_blue_green_looks_at_a_full_preview_and_switches_at_once(make_world):
    world = make_world(strategy={"blueGreen": {"mirrorPercent": 100, "duration": "20s", "approval": {}}}).released()
    assert (world.state, world.canary_replicas, world.weight, mirrored(world)) == ("Judging", 4, 0, 100)
    world.says(Decision.PROMOTE)
    world.wait(15)
    assert world.state == "Judging", "the duration is not a maximum"
    world.wait(10)
    assert (world.phase, world.weight) == ("AwaitingApproval", 0)
    written = len(world.log)
    world.annotate("coalmine.dev/approve")
    world.settle()
    assert [a.weights.get("payment-canary") for a in world.log[written:] if hasattr(a, "weights")][:1] == [100]
    assert world.split["shape"] == PLAIN
    world.wait(20)
    assert (world.phase, world.outcomes) == ("Healthy", ["Promoted"])


def test_an_a_b_test_lasts_its_time_and_then_promotes(make_world):
    world = make_world(strategy={"abTest": {"match": [TESTERS, BETA], "duration": "60s"}}).released()
    assert (world.state, world.weight, routes(world)) == ("Judging", 0, [("ab-test", "payment-canary")])
    assert world.canary_replicas == 4
    world.says(Decision.PROMOTE)
    world.wait(50)
    assert world.state == "Judging"
    world.wait(40)
    assert (world.phase, routes(world)) == ("Healthy", [])


def test_affinity_is_written_while_the_canary_has_a_weight(make_world):
    world = make_world(steps=[{"setWeight": 0}, PAUSE, {"setWeight": 10}, PAUSE], sessionAffinity={}).released()
    assert (world.phase, world.split["shape"].affinity) == ("Paused", None)
    world.says(Decision.PROMOTE)
    world.annotate("coalmine.dev/resume", "1")
    world.wait(32)
    assert (world.phase, world.split["shape"].affinity.cookie) == ("Paused", "coalmine-affinity")
    world.annotate("coalmine.dev/abort")
    world.wait(3)
    assert world.split["shape"].affinity is None


def test_what_nobody_can_read_any_more_leaves_the_routes_as_they_are(make_world):
    world = make_world(steps=[header_route(TESTERS), PAUSE]).released()
    world.spec, world.spec_error = None, "spec.steps: unreadable"
    world.settle()
    assert routes(world) == [("testers", "payment-canary")]
    world.delete()
    world.settle()
    world.wait(20)
    assert world.gone
