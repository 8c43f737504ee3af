"""What keeps a release from starting, on a real API server: each is told with its fix, and mended while it waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"}
FLAGGER = ("flagger.app", "v1beta1", "Canary", "canaries")
ARGO = ("argoproj.io", "v1alpha1", "Rollout", "rollouts")
NOWHERE = {"prometheus": {"address": "http://127.0.0.1:9", "preset": "Istio"}}


def definition(group: str, version: str, kind: str, plural: str) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.fixture
def rivals(stack: Any) -> Iterator[None]:
    """The kinds of Flagger and Argo Rollouts, gone afterwards: `kubectl get rollout` would mean Argo's."""
    kubectl = stack.kubectl()
    definitions = [definition(*FLAGGER), definition(*ARGO)]
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(definitions))
    names = [f"crd/{d['metadata']['name']}" for d in definitions]
    kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")
    yield
    kubectl("delete", *names, "--timeout=60s")
    kubectl("api-resources")  # kubectl remembers kinds for minutes; this makes it ask


def status(shop: Any) -> dict[str, Any]:
    """``shop.status``, where another kind is called rollout too."""
    found = json.loads(shop.kubectl("get", "rollouts.coalmine.dev", "payment", "-o", "json"))
    return found.get("status", {})  # type: ignore[no-any-return]


def failed(shop: Any) -> dict[str, str]:
    """The messages of the checks that failed, by reason."""
    return {x["reason"]: x["message"] for x in status(shop).get("preflight", ()) if x["result"] == "Fail"}


def stalled(shop: Any) -> str:
    """The reason of the condition Stalled where it is True."""
    return next(
        (c["reason"] for c in status(shop)["conditions"] if c["type"] == "Stalled" and c["status"] == "True"), ""
    )


def rename_port(shop: Any) -> None:
    """Push a version whose container calls its port otherwise than the Service does."""
    deployment, _ = shop.objects("payment.yaml")
    deployment["spec"]["replicas"] = 2
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = "registry.example/shop/payment:v2"
    container["ports"] = [{"name": "web", "containerPort": 8080}]
    container["readinessProbe"]["httpGet"]["port"] = "web"
    shop.apply(deployment)


def quota(shop: Any, pods: int) -> None:
    spec = {"hard": {"pods": str(pods)}}
    shop.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": spec})


def rival(shop: Any, of: tuple[str, str, str, str], field: str) -> None:
    group, version, kind, _ = of
    shop.apply({"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": "pay"}, "spec": {field: TARGET}})


def test_what_would_break_a_release_blocks_it_before_any_traffic_and_is_mended(shop, rivals):
    shop.push("v1")
    shop.rollout(steps=[{"setWeight": 20}, {"pause": {}}], analysis={"source": NOWHERE})
    shop.until(lambda: status(shop).get("phase") == "Healthy")
    quota(shop, 2)
    shop.until(lambda: shop.get("resourcequota", "small")["status"].get("used") == {"pods": "2"})
    rival(shop, FLAGGER, "targetRef")
    rival(shop, ARGO, "workloadRef")
    shop.kubectl("label", "namespace", shop.namespace, "coalmine.dev/inject-")
    rename_port(shop)

    expected = {"ServicePortsMismatch", "QuotaExceeded", "RouteOwned", "MetricsUnreachable"}
    shop.until(lambda: set(failed(shop)) == expected)
    told = failed(shop)
    assert "port 80 to port 'http'" in told["ServicePortsMismatch"]
    assert "small" in told["QuotaExceeded"]
    assert "Flagger's Canary pay" in told["RouteOwned"]
    assert "127.0.0.1:9" in told["MetricsUnreachable"]
    assert stalled(shop) == "ServicePortsMismatch"
    assert status(shop)["phase"] == "Stalled"
    assert told["ServicePortsMismatch"] in status(shop)["message"]

    quota(shop, 20)  # the canary's pods come, without a sidecar
    shop.until(lambda: "SidecarMissing" in failed(shop) and "QuotaExceeded" not in failed(shop))
    assert f"kubectl label namespace {shop.namespace} coalmine.dev/inject=enabled" in failed(shop)["SidecarMissing"]
    shop.kubectl("label", "namespace", shop.namespace, "coalmine.dev/inject=enabled")
    shop.kubectl("delete", "pods", "-l", "coalmine.dev/role=canary", "--wait=false")
    shop.until(lambda: "SidecarMissing" not in failed(shop))

    shop.kubectl("delete", "canaries.flagger.app", "pay")
    shop.until(lambda: "Argo's Rollout pay" in failed(shop).get("RouteOwned", ""))
    shop.kubectl("delete", "rollouts.argoproj.io", "pay")
    shop.until(lambda: "RouteOwned" not in failed(shop))

    _, service = shop.objects("payment.yaml")
    service["spec"]["ports"][0]["targetPort"] = 8080
    shop.apply(service)
    shop.until(lambda: set(failed(shop)) == {"MetricsUnreachable"})
    assert shop.get("trafficsplit", "payment")["spec"]["backends"][0]["weight"] == 100
    assert stalled(shop) == "MetricsUnreachable"

    shop.rollout(steps=[{"setWeight": 20}, {"pause": {}}], analysis={"enabled": False, "minStepDuration": "1s"})
    shop.until(lambda: status(shop)["phase"] == "Paused")
    assert shop.weight == 20
    assert {x["result"] for x in status(shop)["preflight"]} <= {"Pass", "Warn"}
    assert stalled(shop) == ""
    events = shop.events()
    assert [events.count(reason) for reason in (*sorted(expected - {"RouteOwned"}), "SidecarMissing")] == [1, 1, 1, 1]
    assert events.count("PreflightPassed") == 1
