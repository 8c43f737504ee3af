"""Bad input is a Stalled condition that names field and fix."""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision


def invalid(world):
    world.spec, world.spec_error = None, "spec.steps[0].setWeight: 110 is more than 100"


def no_deployment(world):
    world.deployment = None


def no_service(world):
    world.service = None


def no_selector(world):
    world.service["spec"]["selector"] = {}


def no_ports(world):
    world.service["spec"]["ports"] = []


def other_selector(world):
    world.service["spec"]["selector"] = {"app": "shop"}


def foreign_pods(world):
    world.foreign = ("legacy-7f",)


def rival(world):
    world.rival = "payment-old"


def taken(world):
    world.taken = "Service payment-canary"


def no_template(world):
    world.template_problem = "there is no AnalysisTemplate checkout: create it, or correct templateName"


CASES = [
    (invalid, "InvalidSpec", "spec.steps[0].setWeight"),
    (no_deployment, "DeploymentMissing", "spec.workloadRef.name: there is no Deployment payment"),
    (no_service, "ServiceMissing", "spec.service: there is no Service payment"),
    (no_selector, "ServiceWithoutSelector", "spec.selector"),
    (no_ports, "ServiceWithoutPorts", "spec.ports"),
    (other_selector, "ServiceSelectsOthers", "app=shop"),
    (foreign_pods, "ServiceSelectsOthers", "legacy-7f"),
    (rival, "Conflict", "payment-old"),
    (taken, "NameTaken", "rename or delete it"),
    (no_template, "InvalidTemplate", "spec.analysis.templates: there is no AnalysisTemplate checkout"),
]


@pytest.mark.parametrize(("spoil", "reason", "words"), CASES)
def test_a_rollout_with_a_problem_is_stalled_and_touches_nothing(world, spoil, reason, words):
    spoil(world)
    world.settle()
    stalled = next(c for c in world.status["conditions"] if c["type"] == "Stalled")
    assert (world.phase, stalled["status"], stalled["reason"]) == ("Stalled", "True", reason)
    assert words in stalled["message"]
    assert world.log == []


@pytest.mark.parametrize(("spoil", "reason", "words"), CASES[1:7])
def test_it_goes_on_when_the_problem_is_mended(make_world, spoil, reason, words):
    del reason, words
    world = make_world()
    good = make_world()
    spoil(world)
    world.settle()
    world.deployment, world.service, world.foreign = good.deployment, good.service, ()
    world.settle()
    assert world.phase == "Healthy"


def test_a_release_with_a_problem_stays_where_it_is_with_the_guards_on(world):
    world.released()
    world.says(Decision.PROMOTE)
    world.service["spec"]["selector"] = {"app": "shop"}
    world.wait(60)
    assert (world.phase, world.weight) == ("Stalled", 10)
    world.says(Decision.ROLL_BACK)
    world.settle()
    assert world.weight == 0
    assert world.state == "RollingBack"
