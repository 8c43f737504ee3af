"""A release from commit to end, on a cluster in memory: milliseconds, the clock is ours."""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision
from rollouts.api.names import (
    ABORT_ANNOTATION,
    APPROVE_ANNOTATION,
    PROMOTE_ANNOTATION,
    RESUME_ANNOTATION,
    RETRY_ANNOTATION,
    ROLLOUT_LABEL,
)
from rollouts.core import actions as a
from rollouts.core.observed import CanaryPod
from rollouts.core.templates import revision

MIN = 30


def position(world, action, **fields):
    """Return where in the log an action is."""
    return next(
        i
        for i, x in enumerate(world.log)
        if isinstance(x, action) and all(getattr(x, k) == v for k, v in fields.items())
    )


def weights(world):
    return [x.weights.get("payment-canary", 0) for x in world.log if isinstance(x, a.SetTraffic)]


def judged_at(world, weight):
    assert (world.state, world.weight) == ("Judging", weight), world.status["message"]


def test_a_complete_deployment_is_adopted_and_its_revision_recorded(world):
    world.settle()
    assert world.phase == "Healthy"
    assert world.deployment["metadata"]["labels"][ROLLOUT_LABEL] == "payment"
    assert world.status["stable"]["images"] == ["shop:1"]
    assert world.split["weights"] == {"payment": 100}
    conditions = {c["type"]: c["status"] for c in world.status["conditions"]}
    assert conditions == {"Ready": "True", "Reconciling": "False", "Stalled": "False"}


def test_a_deployment_that_is_still_rolling_out_is_waited_for(world):
    world.deployment["status"]["readyReplicas"] = 1
    world.decide()
    assert world.phase == "Initializing"
    assert "1 of 4 pods are ready" in world.status["message"]


def test_the_canary_has_its_capacity_before_any_weight_moves(world):
    world.settle()
    world.pods_start = False
    world.push("shop:2")
    world.settle()
    assert world.phase == "Starting"
    assert world.canary_replicas == 1
    assert world.weight == 0
    world.pods_start = True
    world.settle()
    judged_at(world, 10)


def test_a_step_counts_only_when_every_proxy_has_acknowledged(world):
    world.settle()
    world.mesh_answers = False
    world.push("shop:2")
    world.settle()
    assert world.state == "Weighting"
    assert "shop/frontend-1" in world.status["message"]
    assert world.status["weight"]["acknowledged"] == 0
    world.mesh_answers = True
    world.settle()
    judged_at(world, 10)
    assert world.status["weight"] | {"actual": 0} == {
        "configured": 10,
        "heldBack": 0,
        "acknowledged": 10,
        "proxies": "2/2",
        "message": "",
        "actual": 0,
    }


def test_a_good_release_goes_10_50_100_and_is_promoted(world):
    world.released()
    world.says(Decision.PROMOTE)
    for weight, replicas in ((10, 1), (50, 2)):
        judged_at(world, weight)
        assert world.canary_replicas == replicas
        world.wait(MIN + 6)
    judged_at(world, 95)
    assert world.canary_replicas == 4, "it has the capacity for everything before the verdict"
    assert world.status["weight"]["heldBack"] == 5
    assert "95 %, 5 % held back on stable to compare with until the verdict" in world.status["message"]
    world.wait(MIN + 20)
    assert world.phase == "Healthy"
    assert world.outcomes == ["Promoted"]
    reason = world.status["history"][0]["reason"]
    assert "at 95 % (errors: " in reason, "the history says by which evidence"
    assert world.status["stable"]["images"] == ["shop:2"]
    assert weights(world) == [0, 10, 50, 95, 100, 0, 0]
    assert (world.canary, world.canary_service, world.paused) == (None, None, False)
    assert world.split["weights"] == {"payment": 100}


def test_without_a_holdback_the_earlier_evidence_carries_and_the_status_says_so(make_world):
    world = make_world(analysis={"holdbackPercent": 0}).released()
    world.says(Decision.PROMOTE)
    world.wait(2 * MIN + 12)
    judged_at(world, 100)
    world.says(Decision.NO_BASELINE)
    world.wait(2)
    assert world.status["weight"]["heldBack"] == 0
    assert "no concurrent baseline at 100 %: the evidence of the earlier steps carries" in world.status["message"]
    assert "only the absolute guards (SLO, gross) judge" in world.status["message"]
    world.wait(MIN + 20)
    assert world.outcomes == ["Promoted"]
    assert "At 100 % there is no concurrent baseline" in world.status["history"][0]["reason"]
    assert weights(world) == [0, 10, 50, 100, 0, 0]


def test_a_held_back_share_stays_until_promotion_also_over_a_pause(make_world):
    world = make_world(steps=[{"setWeight": 100}, {"pause": {}}], analysis={"holdbackPercent": 10}).released()
    judged_at(world, 90)
    world.says(Decision.NO_BASELINE)
    world.wait(60)
    judged_at(world, 90)
    world.says(Decision.PROMOTE)
    world.settle()
    assert (world.phase, world.weight) == ("Paused", 90)
    assert "10 % held back" in world.status["message"]
    world.annotate(RESUME_ANNOTATION)
    world.wait(10)
    assert weights(world) == [0, 90, 100, 0, 0]


def test_nothing_is_held_back_where_nothing_is_judged_or_another_weight_is_asked_for(make_world):
    world = make_world(steps=[{"setWeight": 99}], analysis={"holdbackPercent": 20}).released()
    judged_at(world, 99)
    assert world.status["weight"]["heldBack"] == 0
    world = make_world(steps=[{"setWeight": 100}], analysis={"enabled": False}).released()
    judged_at(world, 100)


def test_stable_rolls_only_while_the_canary_has_everything_at_full_capacity(world):
    world.released()
    world.says(Decision.PROMOTE)
    world.wait(4 * MIN)
    unpaused = position(world, a.Unpause)
    full = position(world, a.SetTraffic, weights={"payment": 0, "payment-canary": 100})
    back = (
        len(world.log)
        - 1
        - next(
            i
            for i, x in enumerate(reversed(world.log))
            if isinstance(x, a.SetTraffic) and "payment-canary" in x.weights
        )
    )
    assert full < unpaused < back < position(world, a.Delete, kind="Deployment")


def test_steps_without_a_final_100_still_fill_the_canary_before_stable_rolls(make_world):
    world = make_world(steps=[{"setWeight": 20}]).released()
    world.says(Decision.PROMOTE)
    world.wait(MIN + 30)
    assert weights(world) == [0, 20, 100, 0, 0]
    assert world.phase == "Healthy"
    assert world.outcomes == ["Promoted"]


def test_a_step_lasts_at_least_its_minimum_and_goes_on_only_by_evidence(world):
    world.released()
    world.says(Decision.PROMOTE)
    world.wait(MIN - 2)
    judged_at(world, 10)
    world.says(Decision.CONTINUE, need=40)
    world.wait(60)
    judged_at(world, 10)
    assert "about 40s" in world.status["message"]


@pytest.mark.parametrize("silent", [Decision.NO_DATA, Decision.CONTINUE, Decision.NO_BASELINE])
def test_silence_is_not_a_verdict_and_the_step_becomes_inconclusive(make_world, silent):
    world = make_world(analysis={"maxStepDuration": "60s"}).released()
    world.says(silent)
    world.wait(70)
    assert world.phase == "Inconclusive"
    assert world.weight == 10
    world.says(Decision.PROMOTE)
    world.settle()
    judged_at(world, 50)


@pytest.mark.parametrize(("choice", "state"), [("Promote", "Judging"), ("RollBack", "RolledBack")])
def test_an_inconclusive_step_does_what_the_spec_says(make_world, choice, state):
    world = make_world(analysis={"maxStepDuration": "60s", "onInconclusive": choice}).released()
    world.says(Decision.CONTINUE)
    world.wait(62)
    world.settle()
    assert world.state == state


def test_an_inconclusive_step_can_ask_a_person_who_lets_it_pass(make_world):
    world = make_world(analysis={"maxStepDuration": "60s", "onInconclusive": "Approve"}).released()
    world.says(Decision.CONTINUE)
    world.wait(62)
    assert (world.phase, world.weight) == ("AwaitingApproval", 10)
    assert "coalmine.dev/approve passes the step" in world.status["message"]
    assert "DecisionRequested" in world.events.values()
    world.says(Decision.PROMOTE)
    world.wait(60)
    assert world.phase == "AwaitingApproval", "it is the person's decision now"
    world.annotate(APPROVE_ANNOTATION)
    world.settle()
    judged_at(world, 50)


@pytest.mark.parametrize(
    ("annotation", "decision", "outcome"),
    [
        (PROMOTE_ANNOTATION, Decision.CONTINUE, "Promoted"),
        (ABORT_ANNOTATION, Decision.CONTINUE, "Aborted"),
        (None, Decision.ROLL_BACK, "RolledBack"),
    ],
)
def test_while_a_person_is_asked_everything_else_still_ends_it(make_world, annotation, decision, outcome):
    world = make_world(analysis={"maxStepDuration": "60s", "onInconclusive": "Approve"}).released()
    world.says(Decision.CONTINUE)
    world.wait(62)
    if annotation:
        world.annotate(annotation)
    world.says(decision)
    world.wait(12)
    assert world.outcomes == [outcome]


def with_pods(world, *names):
    world.canary_pods = {name: CanaryPod(uid=f"uid-{name}", node=f"node-of-{name}") for name in names}
    return world


def test_a_pod_that_alone_is_worse_is_replaced_once_and_the_release_goes_on(world):
    with_pods(world.released(), "a", "b", "c")
    world.says(Decision.OUTLIER, "One canary pod, a, carries the whole difference: …", outlier="a")
    world.settle()
    assert world.log.count(a.Evict("a", "uid-a")) == 1
    assert list(world.events.values()).count("PodReplaced") == 1
    assert world.notes.replaced.node == "node-of-a"
    judged_at(world, 10)
    world.says(Decision.CONTINUE)
    world.wait(1)
    assert "Canary pod a on node node-of-a was replaced; its requests are left out" in world.status["message"]
    world.says(Decision.PROMOTE)
    world.wait(MIN + 6)
    judged_at(world, 50)


def test_a_second_pod_that_alone_is_worse_takes_the_release_back(world):
    with_pods(world.released(), "a", "b", "c")
    world.says(Decision.OUTLIER, outlier="a")
    world.settle()
    world.says(Decision.OUTLIER, outlier="b")
    world.settle()
    assert world.outcomes == ["RolledBack"]
    assert "a was replaced before" in world.status["history"][0]["reason"]
    assert [x for x in world.log if isinstance(x, a.Evict)] == [a.Evict("a", "uid-a")]


def test_a_pod_that_cannot_be_replaced_takes_the_release_back(world):
    with_pods(world.released(), "a", "b")
    world.do_evict = world.do
    world.do = lambda action: None if isinstance(action, a.Evict) else world.do_evict(action)
    world.says(Decision.OUTLIER, outlier="a")
    world.wait(50)
    judged_at(world, 10)
    world.wait(15)
    assert world.outcomes == ["RolledBack"]
    assert "could not be" in world.status["history"][0]["reason"]


@pytest.mark.parametrize(("choice", "phase"), [("Hold", "Inconclusive"), ("RollBack", "RolledBack")])
def test_an_outlier_does_what_the_spec_says(make_world, choice, phase):
    world = make_world(analysis={"maxStepDuration": "60s", "onOutlierPod": choice})
    with_pods(world.released(), "a", "b")
    world.says(Decision.OUTLIER, outlier="a")
    world.wait(62)
    assert world.phase == phase
    assert not [x for x in world.log if isinstance(x, a.Evict)]


def test_a_new_release_may_replace_a_pod_again(world):
    with_pods(world.released(), "a", "b")
    world.says(Decision.OUTLIER, outlier="a")
    world.settle()
    world.push("shop:3")
    world.says(Decision.CONTINUE)
    world.wait(12)
    judged_at(world, 10)
    assert world.notes.replaced is None


def test_a_bad_release_gets_weight_0_first_then_the_deployment_is_marked(world):
    world.released()
    stable = dict(world.stable_pods)
    world.says(Decision.ROLL_BACK, "canary 5.1 % errors of 1,204 requests, baseline 0.1 % of 10,911")
    world.settle()
    assert world.phase == "RolledBack"
    assert world.failed
    assert world.paused
    assert position(world, a.SetTraffic, weights={"payment": 100, "payment-canary": 0}) < position(world, a.MarkFailed)
    assert world.status["failedRevision"] == world.status["canary"]["revision"]
    assert world.outcomes == ["RolledBack"]
    assert "5.1 % errors" in world.status["history"][0]["reason"]
    assert world.stable_pods == stable
    assert {c["type"]: c["status"] for c in world.status["conditions"]} == {
        "Ready": "False",
        "Reconciling": "False",
        "Stalled": "True",
    }


def test_the_canary_stays_for_a_look_after_a_rollback_and_then_goes(world):
    world.released()
    world.says(Decision.ROLL_BACK)
    world.settle()
    world.wait(20)
    assert world.canary_replicas == 1
    world.wait(15)
    assert (world.canary, world.canary_service) == (None, None)
    assert world.failed


def test_the_mark_waits_for_the_proxies_but_not_for_ever(world):
    world.released()
    world.mesh_answers = False
    world.says(Decision.ROLL_BACK)
    world.wait(30)
    assert (world.state, world.failed) == ("RollingBack", False)
    world.wait(40)
    assert (world.state, world.failed) == ("RolledBack", True)
    assert "not every proxy has confirmed" in world.status["history"][0]["reason"]


def test_a_canary_that_does_not_become_ready_is_taken_back_without_any_weight(make_world):
    world = make_world(progressDeadlineSeconds=60)
    world.settle()
    world.pods_start = False
    world.push("shop:2")
    world.wait(70)
    assert world.phase == "RolledBack"
    assert max(weights(world)) == 0
    assert "spec.progressDeadlineSeconds" in world.status["history"][0]["reason"]


def test_requests_never_go_on_to_a_canary_without_a_ready_pod(world):
    world.released()
    world.pods_start = False
    world.canary["status"]["readyReplicas"] = 0
    world.settle()
    assert world.phase == "RolledBack"
    assert "no ready pod" in world.status["history"][0]["reason"]


def test_a_second_change_supersedes_and_starts_from_the_first_step(world):
    world.released()
    world.says(Decision.PROMOTE)
    world.wait(MIN + 6)
    judged_at(world, 50)
    world.push("shop:3")
    world.says(Decision.CONTINUE)
    world.settle()
    assert world.weight == 0
    world.wait(10)
    judged_at(world, 10)
    assert world.status["canary"]["images"] == ["shop:3"]
    assert world.canary["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:3"
    assert world.outcomes == ["Superseded"]
    zero = next(
        i
        for i, x in enumerate(world.log)
        if isinstance(x, a.SetTraffic) and x.weights == {"payment": 100, "payment-canary": 0}
    )
    assert zero < position(world, a.Delete, kind="Deployment")


def test_a_git_revert_mid_canary_ends_it_quietly(world):
    world.released()
    world.push("shop:1")
    world.wait(15)
    assert world.phase == "Healthy"
    assert (world.paused, world.failed, world.canary) == (False, False, None)
    assert world.outcomes == ["Reverted"]


def test_a_git_revert_after_a_rollback_makes_it_healthy_again(world):
    world.released()
    world.says(Decision.ROLL_BACK)
    world.wait(40)
    world.push("shop:1")
    world.wait(10)
    assert world.phase == "Healthy"
    assert (world.paused, world.failed) == (False, False)
    assert world.outcomes == ["RolledBack"]


def test_the_failed_revision_is_not_tried_again_when_it_is_applied_again(world):
    world.released()
    world.says(Decision.ROLL_BACK)
    world.wait(40)
    world.push("shop:1")
    world.wait(10)
    world.says(Decision.PROMOTE)
    world.push("shop:2")
    world.wait(10)
    assert world.phase == "RolledBack"
    assert world.failed
    assert world.canary is None
    world.annotate(RETRY_ANNOTATION)
    world.wait(10)
    judged_at(world, 10)
    assert not world.failed


def test_another_template_after_a_rollback_is_released(world):
    world.released()
    world.says(Decision.ROLL_BACK)
    world.settle()
    world.says(Decision.CONTINUE)
    world.push("shop:3")
    world.wait(10)
    judged_at(world, 10)
    assert not world.failed
    assert world.status["canary"]["images"] == ["shop:3"]


def test_kubectl_rollout_resume_ships_it_and_is_recorded(world):
    world.released()
    world.resume()
    world.decide()
    assert (world.phase, world.weight) == ("Promoting", 10)
    world.wait(12)
    assert world.phase == "Healthy"
    assert world.outcomes == ["Overridden"]
    assert world.status["stable"]["images"] == ["shop:2"]


def test_abort_takes_the_release_back_once(world):
    world.released()
    world.annotate(ABORT_ANNOTATION)
    world.settle()
    assert (world.phase, world.outcomes) == ("RolledBack", ["Aborted"])
    world.push("shop:3")
    world.wait(10)
    judged_at(world, 10)


def test_promote_skips_the_evidence_and_the_guards(world):
    world.released()
    world.says(Decision.CONTINUE)
    world.annotate(PROMOTE_ANNOTATION)
    world.decide()
    world.says(Decision.ROLL_BACK)
    world.wait(12)
    assert (world.phase, world.outcomes) == ("Healthy", ["Promoted"])
    assert "PromotionForced" in world.events.values()


def test_a_command_that_nothing_waits_for_does_nothing_later_either(world):
    world.settle()
    world.annotate(ABORT_ANNOTATION)
    world.settle()
    assert "CommandIgnored" in world.events.values()
    world.push("shop:2")
    world.settle()
    judged_at(world, 10)


def test_commands_that_came_with_the_rollout_are_old(world):
    world.annotate(PROMOTE_ANNOTATION)
    world.released()
    judged_at(world, 10)


def test_a_pause_step_waits_its_time_with_the_guards_on(make_world):
    world = make_world(steps=[{"setWeight": 10}, {"pause": {"duration": "50s"}}, {"setWeight": 50}]).released()
    world.says(Decision.PROMOTE)
    world.wait(MIN + 1)
    assert (world.phase, world.weight) == ("Paused", 10)
    world.wait(40)
    assert world.phase == "Paused"
    world.wait(20)
    judged_at(world, 50)


def test_a_pause_without_duration_waits_for_resume_and_still_rolls_back(make_world):
    world = make_world(steps=[{"setWeight": 10}, {"pause": {}}]).released()
    world.says(Decision.PROMOTE)
    world.wait(200)
    assert world.phase == "Paused"
    world.annotate(RESUME_ANNOTATION)
    world.settle()
    assert world.phase == "Promoting"
    again = make_world(steps=[{"setWeight": 10}, {"pause": {}}]).released()
    again.says(Decision.PROMOTE)
    again.wait(200)
    again.says(Decision.ROLL_BACK)
    again.settle()
    assert again.phase == "RolledBack"


def test_an_approval_step_waits_for_people(make_world):
    world = make_world(
        steps=[{"setWeight": 10}, {"approval": {"message": "ask the bank"}}, {"setWeight": 50}]
    ).released()
    world.says(Decision.PROMOTE)
    world.wait(500)
    assert world.phase == "AwaitingApproval"
    assert "ask the bank" in world.status["message"]
    world.annotate(APPROVE_ANNOTATION)
    world.settle()
    judged_at(world, 50)


def test_spec_paused_holds_a_release_where_it_is_with_the_guards_on(world):
    world.released()
    world.spec["paused"] = True
    world.says(Decision.PROMOTE)
    world.wait(100)
    assert (world.phase, world.weight, world.state) == ("Paused", 10, "Judging")
    world.says(Decision.ROLL_BACK)
    world.settle()
    assert world.phase == "RolledBack"


def test_spec_paused_starts_no_release(make_world):
    world = make_world(paused=True).released()
    assert world.phase == "Healthy"
    assert "spec.paused" in world.status["message"]
    assert world.canary is None


def test_without_analysis_steps_go_by_time(make_world):
    world = make_world(analysis={"enabled": False}).released()
    for weight in (10, 50, 100):
        judged_at(world, weight)
        world.wait(MIN + 2)
    world.wait(20)
    assert world.outcomes == ["Promoted"]


def test_a_change_while_stable_rolls_waits_for_the_mixture_and_is_released_against_it(world):
    world.released()
    world.says(Decision.PROMOTE)
    while world.state != "Rolling":
        world.wait(1)
    two, three = revision(world.deployment["spec"]["template"]), "shop:3"
    world.decide()
    world.stable_pods = {**{r: 2 for r in world.stable_pods if r != two}, two: 2}
    world.push(three)
    world.kubernetes()
    world.says(Decision.CONTINUE)
    world.wait(20)
    judged_at(world, 10)
    assert world.status["stable"]["revision"] == two
    assert world.outcomes == ["Promoted"]


def test_a_deployment_scaled_to_zero_takes_the_change_as_it_is(make_world):
    world = make_world(replicas=0)
    world.stable_pods = {}
    world.released()
    world.wait(10)
    assert (world.phase, world.paused, world.weight) == ("Healthy", False, 0)
    assert world.status["stable"]["images"] == ["shop:2"]


def test_a_change_that_nothing_held_is_told_and_becomes_stable(world):
    world.settle()
    world.push("shop:2")
    world.resume()
    world.settle()
    assert world.phase == "Healthy"
    assert world.status["stable"]["images"] == ["shop:2"]
    assert "RolledOutUnheld" in world.events.values()


def test_deletion_mid_canary_leaves_a_plain_deployment(world):
    world.released()
    world.says(Decision.PROMOTE)
    world.wait(MIN + 6)
    world.delete()
    world.wait(15)
    assert world.gone
    assert (world.canary, world.canary_service, world.split, world.finalizers) == (None, None, None, [])
    assert ROLLOUT_LABEL not in world.deployment["metadata"]["labels"]
    assert not world.paused
    zero = position(world, a.SetTraffic, weights={"payment": 100, "payment-canary": 0})
    assert zero < position(world, a.Release) < position(world, a.Unpause)


def test_deletion_does_not_ship_a_revision_that_was_taken_back(world):
    world.released()
    world.says(Decision.ROLL_BACK)
    world.settle()
    world.delete()
    world.wait(15)
    assert world.gone
    assert world.paused


def test_deletion_goes_through_even_when_the_mesh_never_answers(world):
    world.released()
    world.mesh_answers = False
    world.delete()
    world.wait(90)
    assert world.gone


def test_deletion_of_a_rollout_that_never_was_valid(make_world):
    world = make_world()
    world.spec, world.spec_error = None, "spec.workloadRef.name: is missing; write it"
    world.finalizers = ["coalmine.dev/restore"]
    world.decide()
    assert world.phase == "Stalled"
    world.delete()
    world.decide()
    assert world.gone


def test_stable_that_scales_up_takes_the_canary_with_it(world):
    world.released()
    world.says(Decision.PROMOTE)
    world.wait(MIN + 6)
    world.deployment["spec"]["replicas"] = 10
    world.stable_pods = dict.fromkeys(world.stable_pods, 10)
    world.settle()
    assert world.canary_replicas == 5


def test_each_transition_is_announced_exactly_once_even_when_it_is_decided_twice(world):
    world.settle()
    world.push("shop:2")
    plan = None
    for _ in range(3):  # killed before the status was written
        from rollouts.core.decide import decide  # noqa: PLC0415

        plan = decide(world.observe(), world.now)
    world.write(plan)  # killed before the actions
    world.settle()
    judged_at(world, 10)
    assert list(world.events.values()) == [
        "Adopted",
        "ReleaseStarted",
        "StepStarted",
        "CanaryScaled",
        "WeightAcknowledged",
    ]
