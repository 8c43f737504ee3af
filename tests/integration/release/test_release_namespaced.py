"""A controller with rights in one namespace only: it releases there, and touches nothing elsewhere."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from running.controllers import Controller, instead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coalmine.local.cluster import LocalCluster

pytestmark = pytest.mark.integration

DEPLOY = Path(__file__).parents[3] / "deploy" / "controller" / "namespaced"
ACCOUNT = ("coalmine-controller", "-n", "coalmine-system")


@pytest.fixture
def controller(stack: LocalCluster, shop: Any, tmp_path: Path) -> Iterator[Controller]:
    """In place of the cluster's own: it has the service account's token, and the role in the shop's namespace."""
    kubectl = stack.kubectl()
    kubectl("apply", "--server-side", "-f", str(DEPLOY / "cluster.yaml"))
    shop.kubectl("apply", "--server-side", "-f", str(DEPLOY / "role.yaml"))
    document = yaml.safe_load(stack.kubeconfig.read_text())
    token = kubectl("create", "token", *ACCOUNT).strip()
    document["users"] = [{"name": u["name"], "user": {"token": token}} for u in document["users"]]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    args = (f"--namespace={shop.namespace}", "--leader-elect", "--lease-namespace=coalmine-system")
    try:
        with instead(stack, Controller(stack, "namespaced", *args, kubeconfig=kubeconfig)) as made:
            yield made
    finally:
        kubectl("delete", "lease", "coalmine-controller", "-n", "coalmine-system", "--ignore-not-found")


@pytest.fixture
def elsewhere(stack: LocalCluster, shop: Any) -> Iterator[str]:
    """Another namespace with the same objects in it."""
    kubectl, name = stack.kubectl(), f"else-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    rollout = {
        "apiVersion": "coalmine.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "payment"},
        "spec": {"workloadRef": {"name": "payment"}},
    }
    objects = [*shop.objects("payment.yaml"), rollout]
    for obj in objects:
        obj["metadata"]["namespace"] = name
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_it_releases_in_its_namespace_and_touches_nothing_elsewhere(shop, controller, elsewhere):
    shop.until(controller.becomes_ready)  # its namespace is empty yet
    shop.push("v1")
    shop.rollout(steps=[{"setWeight": 50}, {"setWeight": 100}], analysis={"enabled": False, "minStepDuration": "1s"})
    shop.until(lambda: shop.status["phase"] == "Healthy")
    shop.push("v2")
    shop.until(lambda: [h["outcome"] for h in shop.status.get("history", ())] == ["Promoted"])
    assert {x["check"]: x["result"] for x in shop.status["preflight"]} == dict.fromkeys(
        (
            "Sidecars",
            "MutualTls",
            "ServicePorts",
            "Probes",
            "Quota",
            "Capacity",
            "OutlierDetection",
            "Route",
            "Autoscaler",
            "Metrics",
        ),
        "Pass",
    )
    assert shop.events().count("Promoted") == 1

    rollout = json.loads(shop.kubectl("get", "rollouts.coalmine.dev", "payment", "-n", elsewhere, "-o", "json"))
    assert "status" not in rollout
    assert "finalizers" not in rollout["metadata"]
    deployment = json.loads(shop.kubectl("get", "deployment", "payment", "-n", elsewhere, "-o", "json"))
    assert "coalmine.dev/rollout" not in deployment["metadata"].get("labels", {})
    said = controller.log.read_text()
    assert "ClusterAnalysisTemplates are not read" in said
    assert "each adoption tries it" in said
    assert "Traceback" not in said
    assert "forbidden" not in said.replace("may not look", "")
