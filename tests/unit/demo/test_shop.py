"""The shop's manifests as the demo commits them."""

import pytest
import yaml

from coalmine.demo.scenes import shortened
from coalmine.demo.shop import main, manifests, shop_folder
from rollouts.api.rollout import RolloutSpec


def documents(files: dict[str, str]) -> list[dict]:
    return [d for text in files.values() for d in yaml.safe_load_all(text)]


def test_every_pod_runs_a_program_of_the_shop() -> None:
    found = documents(manifests(shop_folder(), 50))
    containers = [c for d in found if d["kind"] == "Deployment" for c in d["spec"]["template"]["spec"]["containers"]]
    assert len(containers) == 3
    for container in containers:
        *command, program = container["command"]
        assert command == ["python3", "-m", "coalmine.demo.shop"]
        assert (shop_folder() / f"{program}.py").is_file()


@pytest.mark.parametrize("arguments", [[], ["nope"], ["payment", "load"], ["../payment"]])
def test_anything_else_is_refused_with_what_there_is(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"frontend\|load\|payment"):
        main(arguments)


def test_the_namespace_comes_first() -> None:
    assert documents(manifests(shop_folder(), 50))[0]["kind"] == "Namespace"


def test_the_rate_is_the_load_s() -> None:
    load = yaml.safe_load(manifests(shop_folder(), 50)["load.yaml"])
    env = {e["name"]: e.get("value") for e in load["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["RATE"] == "50"


def test_the_manifest_in_git_has_no_path_of_this_machine() -> None:
    for path in (shop_folder() / "deploy").glob("*.yaml"):
        assert str(shop_folder()) not in path.read_text()


def test_the_screen_names_each_setting_that_the_manifest_changes() -> None:
    rollout = yaml.safe_load((shop_folder() / "deploy" / "rollout.yaml").read_text())
    analysis = rollout["spec"]["analysis"]
    changed = sum(len(value) if isinstance(value, dict) else 1 for value in analysis.values())
    texts = shortened(RolloutSpec.model_validate(rollout["spec"]))
    assert len(texts) == changed
    assert "min step duration 5s instead of 30s" in texts


def test_defaults_are_not_named() -> None:
    assert shortened(RolloutSpec.model_validate({"workloadRef": {"name": "payment"}})) == ()
