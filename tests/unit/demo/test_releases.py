"""The demo's commits change what they mean to change, and nothing else."""

from pathlib import Path

import pytest
import yaml

from coalmine.demo.releases import BAD_ERRORS, RELEASES, SLOW, image_version, set_env, write_release

DEPLOY = Path(__file__).parents[3] / "examples" / "shop" / "deploy"


@pytest.fixture
def manifest() -> str:
    return (DEPLOY / "payment.yaml").read_text()


def container(manifest: str) -> dict:
    deployment = next(iter(yaml.safe_load_all(manifest)))
    return deployment["spec"]["template"]["spec"]["containers"][0]


def test_a_release_sets_image_and_behaviour(manifest: str) -> None:
    changed = container(write_release(manifest, BAD_ERRORS))
    env = {e["name"]: e.get("value") for e in changed["env"]}
    assert changed["image"] == "registry.example/shop/payment:v3"
    assert (env["VERSION"], env["ERROR_RATE"], env["LATENCY_MS"]) == ("v3", "0.05", "20")


def test_a_release_leaves_everything_else_as_it_is(manifest: str) -> None:
    before, after = manifest.splitlines(), write_release(manifest, SLOW).splitlines()
    assert len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 3  # image, VERSION, LATENCY_MS


def test_releases_follow_each_other_in_one_file(manifest: str) -> None:
    for release in RELEASES:
        manifest = write_release(manifest, release)
    env = {e["name"]: e.get("value") for e in container(manifest)["env"]}
    assert (env["VERSION"], env["ERROR_RATE"], env["LATENCY_MS"]) == ("v5", "0", "20")


def test_a_missing_variable_is_named(manifest: str) -> None:
    with pytest.raises(ValueError, match="the variable NOPE 0 times"):
        set_env(manifest, "NOPE", "1")


def test_a_missing_image_is_an_error() -> None:
    with pytest.raises(ValueError, match="payment's image 0 times"):
        write_release("kind: ConfigMap", SLOW)


@pytest.mark.parametrize(("images", "version"), [((), ""), (("r.example:5000/shop/payment:v2",), "v2")])
def test_version_is_the_tag(images: tuple[str, ...], version: str) -> None:
    assert image_version(images) == version
