"""A Rollout for a Deployment in manifests."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner

from coalmine.cli import main
from coalmine.init.draft import steps_of
from rollouts.api.validate import parse_rollout

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: payment, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: payment}}
  template:
    metadata: {labels: {app: payment}}
    spec:
      containers:
        - name: app
          image: payment:1
          ports: [{containerPort: 80}]
          readinessProbe: {httpGet: {port: 80}}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: payment, namespace: shop}
spec: {selector: {app: payment}, ports: [{name: http, port: 80}]}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*args, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return CliRunner().invoke(main, ["init", *args])

    return run


def test_five_lines_are_enough(run, tmp_path):
    result = run("-f", ".", deployment=DEPLOYMENT, service=SERVICE)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "payment-rollout.yaml").read_text()
    assert text == (
        "apiVersion: coalmine.dev/v1alpha1\nkind: Rollout\nmetadata: {name: payment, namespace: shop}\n"
        "spec:\n  workloadRef: {name: payment}\n"
    )
    assert "Deployment payment: 3 replicas of payment:1" in result.stderr
    assert "readiness probe: container app" in result.stderr
    assert "Service payment: port 80" in result.stderr
    assert "coalmine lint payment-rollout.yaml ." in result.stderr
    assert "coalmine status payment -n shop --watch" in result.stderr


def test_what_it_writes_the_linter_finds_fine(run):
    run("-f", ".", deployment=DEPLOYMENT, service=SERVICE)
    result = CliRunner().invoke(main, ["lint", "--strict", "."])
    assert result.exit_code == 0, result.output


def test_wishes_become_fields(run):
    wishes = (
        "--steps",
        "5%,pause=10m,analysis=2m,approval,pause,100",
        "--slo",
        "99.9",
        "--slo",
        "99:300ms",
        "--approval",
    )
    result = run("-f", ".", "-o", "-", *wishes, "--watch", "15m", deployment=DEPLOYMENT, service=SERVICE)
    assert result.exit_code == 0, result.output
    made = yaml.safe_load(result.stdout)
    parse_rollout(made)
    assert made["spec"]["steps"] == [
        {"setWeight": 5},
        {"pause": {"duration": "10m"}},
        {"analysis": {"duration": "2m"}},
        {"approval": {}},
        {"pause": {}},
        {"setWeight": 100},
    ]
    assert made["spec"]["slos"] == [
        {"name": "availability", "availability": {"objective": 99.9}},
        {"name": "latency", "latency": {"objective": 99, "threshold": "300ms"}},
    ]
    assert made["spec"]["promotionApproval"] == {}
    assert made["spec"]["watch"] == {"duration": "15m"}


def test_another_services_name_is_written_down(run):
    result = run("-f", ".", "-o", "-", deployment=DEPLOYMENT, service=SERVICE.replace("name: payment", "name: pay"))
    assert yaml.safe_load(result.stdout)["spec"] == {"workloadRef": {"name": "payment"}, "service": "pay"}


def test_what_is_missing_is_told(run):
    bare = DEPLOYMENT.replace("          readinessProbe: {httpGet: {port: 80}}\n", "").replace(
        "replicas: 3", "replicas: 0"
    )
    result = run("-f", ".", deployment=bare)
    assert result.exit_code == 0
    for said in ("no Service selects its pods", "no readiness probe", "it has no pods"):
        assert f"! {said}" in result.stderr


def test_a_second_service_with_the_same_pods_is_told(run):
    result = run("-f", ".", deployment=DEPLOYMENT, one=SERVICE, two=SERVICE.replace("name: payment", "name: pay"))
    assert "! Services pay have the same pods" in result.stderr


def test_nothing_is_overwritten_unless_it_is_said(run, tmp_path):
    (tmp_path / "payment-rollout.yaml").write_text("mine\n")
    result = run("-f", "deployment.yaml", deployment=DEPLOYMENT)
    assert result.exit_code == 1
    assert "payment-rollout.yaml exists: choose another with --output, or overwrite it with --force" in result.stderr
    assert (tmp_path / "payment-rollout.yaml").read_text() == "mine\n"
    assert run("-f", "deployment.yaml", "--force").exit_code == 0
    assert (tmp_path / "payment-rollout.yaml").read_text().startswith("apiVersion: coalmine.dev")


def test_a_rollout_that_is_there_is_told(run):
    run("-f", ".", deployment=DEPLOYMENT, service=SERVICE)
    result = run("-f", ".", "-o", "other.yaml")
    assert result.exit_code == 1
    assert "Rollout shop/payment in payment-rollout.yaml releases it already" in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["pament"], "there is no Deployment pament in these files: did you mean payment? there is orders, payment"),
        ([], "say which Deployment: coalmine init NAME, where NAME is one of orders, payment"),
        (["payment", "--steps", "ten"], "--steps: 'ten': write weights, pause, pause=10m"),
        (["payment", "--steps", "150"], "spec.steps[0].setWeight is 150"),
        (["payment", "--slo", "most"], "--slo: 'most': write percent"),
        (["payment", "--slo", "90"], "burnRate"),
    ],
)
def test_what_cannot_be_had_is_an_error_with_the_fix(run, args, said):
    result = run("-f", ".", "-o", "-", *args, a=DEPLOYMENT, b=DEPLOYMENT.replace("payment", "orders"))
    assert result.exit_code == 1
    assert said in result.stderr


def test_steps_are_read():
    assert steps_of("1, 100%") == [{"setWeight": 1}, {"setWeight": 100}]
