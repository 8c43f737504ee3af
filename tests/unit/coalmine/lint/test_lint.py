"""The command: what it reads, what it leaves alone, how it answers and ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from coalmine.cli import main
from coalmine.lint.near import near_name

ROOT = Path(__file__).parents[4]
GOOD = """\
apiVersion: coalmine.dev/v1alpha1
kind: Rollout
metadata: {name: payment}
spec:
  workloadRef: {name: payment}
"""
BAD = GOOD.replace("workloadRef", "workload")
ODD = GOOD + "  steps: [{setWeight: 10}]\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*args, stdin=None, **files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_yaml", ".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return CliRunner().invoke(main, ["lint", *args], input=stdin)

    return run


def test_nothing_wrong_ends_with_0(run):
    result = run("a.yaml", a_yaml=GOOD)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "nothing to report (1 object in 1 file looked at)\n"


def test_an_error_ends_with_1(run):
    result = run("a.yaml", a_yaml=BAD)
    assert result.exit_code == 1
    assert (
        "a.yaml:5:3: error: Rollout payment: spec.workload is not a field: did you mean workloadRef?" in result.stdout
    )


def test_a_warning_ends_with_1_only_when_it_is_asked_for(run):
    assert run("a.yaml", a_yaml=ODD).exit_code == 0
    assert run("a.yaml", "--strict").exit_code == 1


def test_a_suppressed_code_is_not_told(run):
    result = run("a.yaml", "--strict", "--suppress", "cm0701", a_yaml=ODD)
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_code_that_does_not_exist_is_wrong_usage(run):
    result = run("a.yaml", "--suppress", "CM9999", a_yaml=ODD)
    assert result.exit_code == 2
    assert "CM9999 is no code: `coalmine lint --codes` lists them" in result.stderr


def test_a_file_that_is_not_there_is_wrong_usage(run):
    result = run("nothing.yaml")
    assert result.exit_code == 2
    assert "nothing.yaml" in result.stderr


def test_no_path_is_wrong_usage(run):
    assert run().exit_code == 2


def test_codes_are_listed(run):
    assert "CM0701  Warning  The steps do not end at 100 percent" in run("--codes").stdout


def test_standard_input_is_read_and_helms_template_is_named(run):
    text = f"---\n# Source: shop/templates/cm.yaml\nkind: ConfigMap\n---\n# Source: shop/templates/rollout.yaml\n{BAD}"
    result = run("-", stdin=text)
    assert result.exit_code == 1
    assert "<stdin>:10:3: error: Rollout payment: spec.workload is not a field" in result.stdout
    assert "(from shop/templates/rollout.yaml)" in result.stdout


def test_a_folder_is_read_and_those_below_it_when_asked(run):
    assert run("d", d__a_yaml=GOOD, d__below__b_yaml=BAD).exit_code == 0
    result = run("d", "-R")
    assert result.exit_code == 1
    assert "d/below/b.yaml:5:3: error: " in result.stdout


def test_a_template_and_a_patch_are_not_judged(run):
    chart = "apiVersion: coalmine.dev/v1alpha1\nkind: Rollout\n{{- if .Values.on }}\nspec: {}\n{{- end }}\n"
    kustomization = "patches: [{path: patch.yaml}]\npatchesStrategicMerge: [other.yaml]\n"
    result = run(
        "-R",
        "--strict",
        ".",
        c__a_yaml=chart,
        k__patch_yaml=BAD,
        k__other_yaml=BAD,
        k__kustomization_yaml=kustomization,
    )
    assert result.exit_code == 0
    assert "c/a.yaml:1:1: hint: is a template" in result.stdout
    assert "k/patch.yaml:1:1: hint: is a patch of a kustomization" in result.stdout
    assert "kustomize build k | coalmine lint -" in result.stdout


def test_other_peoples_dialects_are_left_alone(run):
    others = {
        "ci_yaml": "job: {script: !reference [a, b]}\n",
        "site_yaml": "plugin: !!python/name:x.y\n",
        "a_yaml": "a: [1\n",
    }
    result = run("--strict", ".", **others)
    assert (result.exit_code, result.stdout) == (0, "")


def test_json_may_be_indented_with_tabs(run, tmp_path):
    text = json.dumps(
        {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "a"}, "spec": {}}, indent="\t"
    )
    (tmp_path / "a.json").write_text(text)
    assert run(".").stdout.startswith("a.json:7:2: error: Rollout a: spec.workloadRef is missing")


def test_environments_with_the_same_objects_are_not_mixed(run):
    service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: payment}\nspec: {selector: {app: a}, ports: [{port: 80}]}\n"
    deployment = """---
apiVersion: apps/v1
kind: Deployment
metadata: {name: payment}
spec:
  selector: {matchLabels: {app: APP}}
  template:
    metadata: {labels: {app: APP}}
    spec: {containers: [{name: c, readinessProbe: {httpGet: {port: 80}}, ports: [{containerPort: 80}]}]}
"""
    staging = GOOD + service + deployment.replace("APP", "a")
    production = GOOD + service.replace("app: a", "app: b") + deployment.replace("APP", "b")
    assert run("-R", ".", staging__a_yaml=staging, production__a_yaml=production).exit_code == 0
    result = run("-R", ".", production__a_yaml=production.replace("{labels: {app: b}}", "{labels: {app: c}}"))
    assert result.exit_code == 1
    assert (
        "production/a.yaml:10:8: error: Service payment: spec.selector: Service payment selects app=b" in result.stdout
    )


@pytest.mark.parametrize("folder", ["examples", "deploy", "crds"])
def test_what_we_ship_is_fine(run, folder):
    result = run("-R", "--strict", str(ROOT / folder))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("paymnt", "payment"),
        ("pyament", "payment"),
        ("payment-db", ""),
        ("pay-v2", ""),
        ("load-tset", "load-test"),
        ("x", ""),
    ],
)
def test_only_a_slip_of_the_pen_is_one(name, meant):
    assert near_name(name, ["payment", "orders", "pay-v1", "load-test"]) == meant


def test_json_says_where_and_what(run):
    (found,) = json.loads(run("a.yaml", "-o", "json", a_yaml=GOOD + "  paussed: true\n").stdout)
    assert found == {
        "file": "a.yaml",
        "line": 6,
        "column": 3,
        "severity": "error",
        "code": "CM0001",
        "object": "Rollout payment",
        "field": "spec.paussed",
        "message": found["message"],
    }
    assert found["message"].startswith("is not a field: did you mean paused? ")


def test_json_of_nothing_is_an_empty_list(run):
    assert json.loads(run("a.yaml", "-o", "json", a_yaml=GOOD).stdout) == []


def test_github_shows_it_beside_the_line(run):
    odd = GOOD.replace("payment}\nspec", 'payment, labels: {"100%": 1}}\nspec')
    (line,) = run("a,b.yaml", "-o", "github", **{"a,b_yaml": odd}).stdout.splitlines()
    assert line.startswith(
        "::error file=a%2Cb.yaml,line=3,col=36,title=CM0001::Rollout payment: metadata.labels[100%25] is "
    )


def test_github_gets_no_line_of_what_was_rendered(run):
    (line,) = run("-", "-o", "github", stdin=BAD.replace("spec:", "spec: #")).stdout.splitlines()[:1]
    assert line.startswith("::error title=CM0001::Rollout payment: ")


def test_gitlab_gets_a_code_quality_report(run):
    found = json.loads(run("a.yaml", "-o", "gitlab", a_yaml=BAD + "  workload2: 1\n").stdout)
    assert {f["location"]["path"] for f in found} == {"a.yaml"}
    assert {f["severity"] for f in found} == {"major"}
    assert len({f["fingerprint"] for f in found}) == len(found)
    assert all(re.fullmatch("[0-9a-f]{64}", f["fingerprint"]) for f in found)


def test_sarif_names_rules_and_regions(run):
    sarif = json.loads(run("a.yaml", "-o", "sarif", a_yaml=BAD).stdout)
    (one,) = sarif["runs"]
    assert sarif["version"] == "2.1.0"
    assert [r["id"] for r in one["tool"]["driver"]["rules"]] == ["CM0001"]
    for result in one["results"]:
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"] == {"uri": "a.yaml"}
        assert location["physicalLocation"]["region"]["startLine"] in {4, 5}
