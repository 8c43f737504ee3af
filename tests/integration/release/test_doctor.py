"""``coalmine init`` and ``coalmine doctor`` on a real cluster: healthy, then broken in several ways, then mended as printed."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from coalmine.local.layout import CONTROLLER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture
def environment(stack: Any, tmp_path: Path) -> dict[str, str]:
    """What a user's shell has: coalmine and the cluster's kubectl in PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "kubectl").symlink_to(stack.kubectl().program)
    coalmine = programs / "coalmine"
    coalmine.write_text(f'#!/bin/sh\nexec {sys.executable} -m coalmine "$@"\n')
    coalmine.chmod(0o755)
    path = os.pathsep.join((str(programs), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "KUBECACHEDIR": str(stack.layout.kubectl_cache)}


@pytest.fixture
def doctor(stack: Any, shop: Any, environment: dict[str, str]) -> Callable[..., list[dict[str, Any]]]:
    """Runs it; its exit code has to fit what it found."""

    def doctor(*args: str, kubeconfig: Path | None = None) -> list[dict[str, Any]]:
        config = str(kubeconfig or stack.kubeconfig)
        command = [
            sys.executable,
            "-m",
            "coalmine",
            "doctor",
            "-n",
            shop.namespace,
            "--kubeconfig",
            config,
            "-o",
            "json",
            *args,
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
        assert done.returncode in {0, 1}, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        assert done.returncode == any(f["status"] == "failed" for f in found)
        return found

    return doctor


class Green:
    """A condition: nothing is bad any more; it keeps what was, for the failure."""

    def __init__(self, doctor: Callable[..., list[dict[str, Any]]]) -> None:
        self._doctor = doctor

    def __call__(self) -> bool:
        left = bad(self._doctor())
        for one in left:
            print(one)  # noqa: T201 - pytest shows it where the test fails
        return not left


def bad(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [f for f in found if f["status"] in {"failed", "warning"}]


@pytest.fixture
def mended(doctor: Any, shop: Any, environment: dict[str, str]) -> Callable[..., dict[str, Any]]:
    """Looks for one finding, runs its fixes as they are printed, and waits until all is well."""

    def mended(check: str, status: str, words: str) -> dict[str, Any]:
        found = doctor()
        (one,) = [f for f in bad(found) if f["check"] == check and words in f["message"]]
        assert one["status"] == status
        assert one["fixes"]
        for fix in one["fixes"]:
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", fix], env=environment, check=True, capture_output=True, timeout=300
            )
        shop.until(Green(doctor), 300)
        return one

    return mended


def test_a_healthy_cluster_is_green_and_what_breaks_is_found_with_its_fix(
    stack: Any, shop: Any, doctor: Any, mended: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    shop.push("v1")
    file = tmp_path / "rollout.yaml"
    command = ["init", "payment", "-n", shop.namespace, "--kubeconfig", str(stack.kubeconfig), "-o", str(file)]
    said = subprocess.run(
        [sys.executable, "-m", "coalmine", *command], capture_output=True, text=True, env=environment, check=True
    ).stderr
    assert "Deployment payment: 2 replicas of registry.example/shop/payment:v1" in said
    assert "readiness probe: container payment" in said
    assert "Service payment: port 80" in said
    assert "does not serve this namespace yet" not in said
    assert len(file.read_text().splitlines()) == 5
    shop.kubectl("apply", "-f", str(file))
    shop.until(lambda: shop.status["phase"] == "Healthy")
    shop.kubectl("rollout", "status", "deployment/payment", "--timeout=120s")
    again = subprocess.run(
        [sys.executable, "-m", "coalmine", *command, "--force"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert yaml.safe_load(file.read_text())["metadata"]["namespace"] == shop.namespace, again

    shop.until(Green(doctor))
    found = doctor()
    assert {f["check"] for f in found if f["status"] == "ok"} >= {
        "cluster",
        "admission",
        "clock",
        "definitions",
        "unknown fields",
        "controller",
        "controller's rights",
        "hold",
        "approvals",
        "mesh",
        "sidecars",
        "metrics",
        "your rights",
    }
    assert {f["check"] for f in found if f["status"] == "unknown"} <= {"notifications", "slack"}

    definition = "telemetries.telemetry.istio.io"
    shop.kubectl("delete", "crd", definition)
    mended("definitions", "failed", f"{definition} is not installed")

    path = "/spec/versions/0/schema/openAPIV3Schema/description"
    patch = json.dumps([{"op": "replace", "path": path, "value": "older"}])
    shop.kubectl("patch", "crd", "sidecars.networking.istio.io", "--type=json", "-p", patch)
    mended("definitions", "warning", "sidecars.networking.istio.io is of another version of Coalmine")

    rules = json.loads(shop.kubectl("get", "clusterrole", "coalmine-controller", "-o", "json"))["rules"]
    number = next(i for i, rule in enumerate(rules) if "pods/eviction" in rule["resources"])
    removal = json.dumps([{"op": "remove", "path": f"/rules/{number}"}])
    shop.kubectl("patch", "clusterrole", "coalmine-controller", "--type=json", "-p", removal)
    mended("controller's rights", "failed", "User system:coalmine:controller may not create pods/eviction")

    shop.kubectl("delete", "mutatingadmissionpolicybinding", "hold.coalmine.dev")
    mended("hold", "failed", "MutatingAdmissionPolicyBinding hold.coalmine.dev is not there")

    shop.kubectl("delete", "validatingadmissionpolicy", "approvals.coalmine.dev")
    mended("approvals", "failed", "ValidatingAdmissionPolicy approvals.coalmine.dev is not there")

    shop.kubectl("delete", "validatingadmissionpolicy", "unknown-fields.rollouts.coalmine.dev")
    mended("unknown fields", "warning", "of Rollout they are taken")

    shop.kubectl("label", "namespace", shop.namespace, "coalmine.dev/inject-")
    mended("sidecars", "failed", f"namespace {shop.namespace} has Rollouts and no label")

    stack.stop(CONTROLLER)
    mended("controller", "failed", "it is stopped and not ready")


def test_a_controller_elsewhere_is_seen_by_its_lease_or_by_its_health(
    stack: Any, shop: Any, doctor: Any, tmp_path: Path
) -> None:
    copied = tmp_path / "kubeconfig"  # no longer in the local cluster's folder
    copied.write_bytes(stack.kubeconfig.read_bytes())

    def controller(*args: str) -> dict[str, Any]:
        return next(f for f in doctor(*args, kubeconfig=copied) if f["check"] == "controller")

    assert controller()["status"] == "unknown"
    health = f"http://127.0.0.1:{stack.settings.ports.controller_health}"
    assert controller("--controller-url", health)["status"] == "ok"
    assert controller("--controller-url", "http://127.0.0.1:1")["status"] == "failed"

    def lease(renewed: dt.datetime) -> None:
        spec = {
            "holderIdentity": "controller-0_1_x",
            "leaseDurationSeconds": 15,
            "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        metadata = {"name": "coalmine-controller"}
        shop.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})

    lease(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    assert controller()["message"].startswith("controller-0 leads (Lease ")
    lease(dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    stale = controller()
    assert (stale["status"], "no controller runs" in stale["message"]) == ("failed", True)
    shop.kubectl("delete", "lease", "coalmine-controller")


def test_who_may_see_little_is_told_what_was_not_seen(stack: Any, shop: Any, doctor: Any, tmp_path: Path) -> None:
    token = shop.kubectl("create", "token", "default").strip()
    config = yaml.safe_load(stack.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    poor = tmp_path / "poor.kubeconfig"
    poor.write_text(yaml.safe_dump(config))
    found = {f["check"]: f for f in doctor(kubeconfig=poor)}
    assert found["cluster"]["status"] == "ok"
    assert found["your rights"]["status"] == "failed"
    assert "you may not see Rollouts" in found["your rights"]["message"]
    for check in (
        "definitions",
        "unknown fields",
        "controller",
        "controller's rights",
        "hold",
        "approvals",
        "mesh",
        "sidecars",
        "metrics",
    ):
        assert found[check]["status"] == "unknown", found[check]

    (fix,) = found["your rights"]["fixes"]
    role = f"--clusterrole=view --serviceaccount={shop.namespace}:default"
    assert fix == f"kubectl create rolebinding coalmine-view -n {shop.namespace} {role}    # by an administrator"
    shop.kubectl("create", "rolebinding", "coalmine-view", *role.split())
    shop.until(lambda: {f["check"]: f for f in doctor(kubeconfig=poor)}["your rights"]["status"] == "warning")
