"""``coalmine mesh analyze -f``: files in, findings and an exit status out."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mesh.inspect.analysis import analyze_command

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: payment}
spec: {selector: {app: payment}, ports: [{name: http, port: 80}]}
"""
ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: payment}
spec:
  hosts: [payment]
  http:
  - route: [{destination: {host: payment, subset: v1}}]
"""
WEIGHTS = ROUTE.replace(", subset: v1}}]", "}, weight: 1}, {destination: {host: payment}, weight: 2}]")


@pytest.fixture
def analyze(tmp_path):
    def run(text: str, *args: str, name: str = "all.yaml"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return CliRunner().invoke(analyze_command, ["-f", str(tmp_path), *args])

    return run


def test_an_error_fails_and_says_where(analyze, tmp_path):
    result = analyze(f"{SERVICE}---\n{ROUTE}")
    assert result.exit_code == 1
    assert "Error    CM0101  VirtualService default/payment" in result.output
    assert f"{tmp_path}/all.yaml:6" in result.output
    assert "spec.http[0].route[0].destination.subset: no DestinationRule defines" in result.output
    assert result.output.endswith("1 error (2 objects looked at).\n")


def test_what_is_right_is_said_in_one_line(analyze):
    result = analyze(SERVICE)
    assert (result.exit_code, result.output) == (0, "Nothing to report (1 object looked at).\n")


@pytest.mark.parametrize(("level", "code"), [("error", 0), ("warning", 1), ("info", 1), ("never", 0)])
def test_how_bad_it_must_be_is_chosen(analyze, level, code):
    result = analyze(f"{SERVICE}---\n{WEIGHTS}", "--fail-on", level)
    assert "CM0103" in result.output
    assert result.exit_code == code


def test_a_code_can_be_left_out(analyze):
    result = analyze(f"{SERVICE}---\n{ROUTE}", "--suppress", "cm0101")
    assert result.exit_code == 0
    assert "CM0101" not in result.output


def test_an_unknown_code_is_refused(analyze):
    result = analyze(SERVICE, "--suppress", "CM9999")
    assert result.exit_code == 2
    assert "CM9999 is no code" in result.output


def test_json_is_for_programs(analyze, tmp_path):
    result = analyze(f"{SERVICE}---\n{ROUTE}", "-o", "json", "-n", "shop")
    (found,) = json.loads(result.output)
    assert found["code"] == "CM0101"
    assert found["severity"] == "Error"
    assert found["object"] == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "namespace": "shop",
        "name": "payment",
    }
    assert found["place"] == f"{tmp_path}/all.yaml:6"


def test_what_is_not_yaml_is_an_error_of_its_own(analyze):
    result = analyze("a: {{ template }}: b\n")
    assert result.exit_code == 1
    assert "CM0001" in result.output
    assert "is not YAML" in result.output


def test_lists_folders_and_foreign_files_are_read(analyze):
    listed = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "k"}, "spec": {}},
                7,
            ],
        }
    )
    result = analyze(f"{SERVICE}---\n- just a list\n---\n{listed}\n---\nkey: value\n", name="deep/inside.yml")
    assert (result.exit_code, result.output) == (0, "Nothing to report (2 objects looked at).\n")


def test_restart_is_for_a_cluster(analyze):
    result = analyze(SERVICE, "--restart")
    assert result.exit_code == 2
    assert "leave -f out" in result.output


def test_all_codes_can_be_listed():
    result = CliRunner().invoke(analyze_command, ["--codes"])
    assert result.exit_code == 0
    assert "CM0401  Warning  Pods without a sidecar" in result.output
