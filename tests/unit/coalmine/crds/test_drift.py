"""The committed files are what the models say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from coalmine.crds import crds, documents, files
from rollouts.api.rollout import RolloutSpec
from rollouts.api.validate import parse_rollout

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "examples" / "rollout"


@pytest.mark.parametrize("path", files(), ids=str)
def test_no_generated_file_drifts_from_the_models(path):
    assert (ROOT / path).read_text(encoding="utf-8") == files()[path], "run `coalmine crds generate` and commit it"


def test_there_is_no_definition_that_nobody_generates():
    assert {p.name for p in (ROOT / "crds").glob("*.yaml")} == {p.name for p in files() if p.parent.name == "crds"}


def test_the_text_is_the_documents():
    for path, text in files().items():
        assert list(yaml.safe_load_all(text)) == documents()[path]


def test_check_names_what_differs_and_generate_mends_it(tmp_path):
    run = CliRunner()
    where = ["--directory", str(tmp_path)]
    missing = run.invoke(crds, ["generate", "--check", *where])
    assert missing.exit_code == 1
    assert "crds/coalmine.dev_rollouts.yaml" in missing.output
    assert not list(tmp_path.iterdir())
    assert run.invoke(crds, ["generate", *where]).exit_code == 0
    assert run.invoke(crds, ["generate", "--check", *where]).exit_code == 0
    changed = tmp_path / "crds" / "mesh.coalmine.dev_trafficsplits.yaml"
    changed.write_text(changed.read_text() + "\n")
    drifted = run.invoke(crds, ["generate", "--check", *where])
    assert drifted.exit_code == 1
    assert "crds/mesh.coalmine.dev_trafficsplits.yaml: differs" in drifted.output


def test_print_gives_everything_at_once():
    printed = CliRunner().invoke(crds, ["print"])
    assert printed.exit_code == 0
    assert list(yaml.safe_load_all(printed.output)) == [obj for objects in documents().values() for obj in objects]


@pytest.mark.parametrize("name", ["minimal.yaml", "full.yaml", "metrics.yaml"])
def test_an_example_survives_the_models(name):
    spec = parse_rollout(yaml.safe_load((EXAMPLES / name).read_text()))
    assert parse_rollout({"spec": spec.dump()}) == spec


def paths(schema, path):
    """Return every field of a schema."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from paths(inner.get("items", inner), f"{path}.{name}")


def free(schema, path):
    """Return where people write what they like."""
    if schema.get("type") == "object" and "properties" not in schema:
        yield f"{path}."
    for name, inner in schema.get("properties", {}).items():
        yield from free(inner.get("items", inner), f"{path}.{name}")


def shown(value, path):
    """Return every field of an example."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from shown(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from shown(item, path)


def test_the_full_example_shows_every_field():
    (definition,) = next(objects for path, objects in documents().items() if path.name == "coalmine.dev_rollouts.yaml")
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    full = yaml.safe_load((EXAMPLES / "full.yaml").read_text())
    others = (
        "spec.analysis.source.prometheus",
        "spec.analysis.source.openTelemetry",
        "spec.strategy.blueGreen",
        "spec.strategy.abTest",
        "spec.steps.setMirrorRoute.match.cookie",
        "spec.steps.setMirrorRoute.match.headerValue.prefix",
        "spec.steps.setMirrorRoute.match.headerValue.regex",
    )  # alternatives to the one that is shown
    wanted = {path for path in paths(schema, "spec") if not path.startswith(others)}
    as_people_like = tuple(free(schema, "spec"))
    have = {path for path in shown(full["spec"], "spec") if not path.startswith(as_people_like)}
    assert sorted(wanted - have) == []
    assert sorted(have - wanted) == []
    assert set(schema["properties"]) == {info.alias for info in RolloutSpec.model_fields.values()}
