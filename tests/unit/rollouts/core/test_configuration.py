"""A changed ConfigMap or Secret is a release where that is asked for: held, judged, taken back like any other."""

from __future__ import annotations

import pytest

from rollouts.api import names
from rollouts.api.configuration import CONFIG_ANNOTATION
from rollouts.core.configuration import CONFIG_SECONDS, ConfigFacts, ConfigReference, references

STEPS = [{"setWeight": 50}, {"pause": {}}]


@pytest.fixture
def world(make_world):
    """At rest, with contents D0."""
    world = make_world(steps=STEPS, configChanges="Release", analysis={"enabled": False, "minStepDuration": "1s"})
    world.config = ConfigFacts("d0")
    world.settle()
    assert world.phase == "Healthy"
    return world


def annotation(world):
    return (world.deployment["spec"]["template"]["metadata"].get("annotations") or {}).get(CONFIG_ANNOTATION)


def changed(world, digest, seconds=15):
    world.config = ConfigFacts(digest)
    world.wait(seconds)


def promoted(world):
    world.annotate(names.RESUME_ANNOTATION, str(world.now))
    world.wait(30)
    assert world.phase == "Healthy"


def test_switching_it_on_releases_nothing_and_looks_again(world):
    assert annotation(world) is None
    assert "ReleaseStarted" not in world.events.values()
    assert world.decide().wake_at == world.now + CONFIG_SECONDS


def test_changed_contents_are_released_and_promoted_like_a_template(world):
    changed(world, "d1")
    assert annotation(world) == "d1"
    assert (world.phase, world.weight, world.paused) == ("Paused", 50, True)
    assert world.canary["spec"]["template"]["metadata"]["annotations"][CONFIG_ANNOTATION] == "d1"
    promoted(world)
    assert world.outcomes == ["Promoted"]
    changed(world, "d1")
    assert world.outcomes == ["Promoted"]


def test_contents_that_go_back_give_the_stable_template_back(world):
    changed(world, "d1")
    changed(world, "d0")
    assert annotation(world) is None
    assert (world.phase, world.outcomes) == ("Healthy", ["Reverted"])
    changed(world, "d2")
    promoted(world)
    changed(world, "d3")
    changed(world, "d2")
    assert annotation(world) == "d2"
    assert world.outcomes == ["Reverted", "Promoted", "Reverted"]


def test_a_second_change_supersedes_the_first(world):
    changed(world, "d1")
    changed(world, "d2", 20)
    assert (world.phase, world.outcomes, annotation(world)) == ("Paused", ["Superseded"], "d2")


def test_contents_that_were_taken_back_stay_so_until_they_change(world):
    changed(world, "d1")
    world.annotate(names.ABORT_ANNOTATION)
    world.wait(60)
    assert (world.phase, world.outcomes) == ("RolledBack", ["Aborted"])
    changed(world, "d0", 20)
    assert (world.phase, annotation(world)) == ("Healthy", None)


def test_a_push_that_refers_to_other_contents_is_one_release(world):
    world.push("shop:2")
    changed(world, "other references")
    assert annotation(world) is None
    assert (world.phase, world.outcomes) == ("Paused", [])
    promoted(world)
    assert annotation(world) is None
    changed(world, "d5")
    assert annotation(world) == "d5"


def test_a_replacement_that_drops_the_annotation_is_no_release(world):
    changed(world, "d1")
    promoted(world)
    template = dict(world.deployment["spec"]["template"])
    template["metadata"] = {k: v for k, v in template["metadata"].items() if k != "annotations"}
    world.change(template)
    world.wait(20)
    assert (world.phase, annotation(world)) == ("Healthy", "d1")
    assert world.weight == 0


def test_nothing_is_written_where_nobody_asked(make_world):
    world = make_world()
    world.config = ConfigFacts("d0")
    world.settle()
    changed(world, "d1")
    assert annotation(world) is None
    assert world.decide().wake_at is None


def test_contents_that_may_not_be_read_stall_with_the_fix(world):
    world.config = ConfigFacts(problem="the controller may not read Secret payment in namespace shop: bind it")
    world.settle()
    assert world.phase == "Stalled"
    assert world.status["message"].startswith("spec.configChanges: the controller may not read Secret payment")
    world.config = ConfigFacts("d0")
    world.settle()
    assert world.phase == "Healthy"


def test_everything_that_a_template_takes_from_config_maps_and_secrets_is_found():
    template = {
        "spec": {
            "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]}],
            "containers": [
                {
                    "name": "c",
                    "env": [
                        {"name": "X", "value": "1"},
                        {"name": "Y", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                        {"name": "Z", "valueFrom": {"secretKeyRef": {"name": "d", "key": "k"}}},
                    ],
                }
            ],
            "volumes": [
                {"name": "v", "configMap": {"name": "e"}},
                {"name": "w", "secret": {"secretName": "f", "items": [{"key": "z"}, {"key": "y"}]}},
                {"name": "x", "projected": {"sources": [{"configMap": {"name": "g"}}, {"secret": {"name": "h"}}, {"serviceAccountToken": {}}]}},
                {"name": "y", "emptyDir": {}},
            ],
        }
    }  # fmt: skip
    assert references(template) == (
        ConfigReference("ConfigMap", "a"),
        ConfigReference("ConfigMap", "c", ("k",)),
        ConfigReference("ConfigMap", "e"),
        ConfigReference("ConfigMap", "g"),
        ConfigReference("Secret", "b"),
        ConfigReference("Secret", "d", ("k",)),
        ConfigReference("Secret", "f", ("y", "z")),
        ConfigReference("Secret", "h"),
    )
    assert references({"spec": {}}) == ()
