"""Metrics of templates, and evidence that outlives everything that measured it."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from coalmine.local.layout import CONTROLLER, MESH

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

TWO_STEPS = [{"setWeight": 50}, {"setWeight": 100}]


class Business:
    """Some service of the company's that knows the share of declined orders of each version."""

    def __init__(self) -> None:
        self.declined = {"canary": 0.02, "baseline": 0.02}
        self.tokens: set[str] = set()
        business = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                version = self.path.rsplit("/", 1)[1]
                business.tokens.add(str(self.headers["X-Token"]))
                body = json.dumps({"declined": business.declined[version]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/declined"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def business() -> Iterator[Business]:
    found = Business()
    yield found
    found.server.shutdown()
    found.server.server_close()


def template(business: Business) -> dict[str, Any]:
    metric = {
        "name": "declined",
        "interval": "1s",
        "provider": {
            "web": {
                "url": f"{business.url}/{{{{version}}}}",
                "jsonPath": "$.declined",
                "headers": [{"key": "X-Token", "value": "{{args.token}}"}],
            }
        },
        "comparison": {"maxChange": 0.2, "bounds": {"min": 0, "max": 1}},
    }
    return {
        "apiVersion": "coalmine.dev/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "orders"},
        "spec": {"args": [{"name": "token"}], "metrics": [metric]},
    }


def analysis(**more: Any) -> dict[str, Any]:
    token = {"name": "token", "valueFrom": {"secretKeyRef": {"name": "business", "key": "token"}}}
    return {
        "minStepDuration": "2s",
        "errors": {"enabled": False},
        "latency": {"enabled": False},
        "templates": [{"templateName": "orders", "args": [token]}],
        **more,
    }


def secret() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "business"},
        "stringData": {"token": "opensesame"},
    }


def allow_secrets(shop: Any) -> None:
    """What the controller's message says."""
    role, user = "coalmine-controller-secrets", "system:coalmine:controller"
    shop.kubectl("create", "rolebinding", "coalmine-secrets", f"--clusterrole={role}", f"--user={user}")


def test_a_metric_of_the_business_promotes_and_takes_back(shop, business):
    shop.apply(template(business), secret())
    allow_secrets(shop)
    shop.open(steps=TWO_STEPS, analysis=analysis())
    shop.push("v2")
    shop.until(lambda: [h["outcome"] for h in shop.status["history"]] == ["Promoted"])
    assert "declined" in shop.status["history"][0]["reason"]
    assert business.tokens == {"opensesame"}

    business.declined["canary"] = 0.9
    shop.push("v3")
    code, said = shop.rollout_status()
    assert code == 1, said
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert "declined" in shop.status["message"]
    assert shop.status["budget"]["declined"] == pytest.approx(0.002)
    assert shop.failed_by_us() == []


def test_a_template_that_is_missing_or_wrong_is_said_and_mended(shop, business):
    shop.push("v1")
    shop.rollout(steps=TWO_STEPS, analysis=analysis())
    shop.until(lambda: "there is no AnalysisTemplate orders: create it" in shop.status["message"])
    assert shop.status["phase"] == "Stalled"
    wrong = template(business)
    wrong["spec"]["args"] = [{"name": "password"}]
    shop.apply(wrong)
    shop.until(lambda: "template orders has no argument 'token' (it has: password)" in shop.status["message"])
    shop.apply(template(business))
    shop.open(steps=TWO_STEPS, analysis=analysis())
    shop.push("v2")
    shop.until(lambda: "bind ClusterRole coalmine-controller-secrets to it" in str(shop.status.get("problems")))
    allow_secrets(shop)
    shop.until(lambda: "declined: there is no Secret business" in str(shop.status.get("problems")))
    shop.apply(secret())
    shop.until(lambda: [h["outcome"] for h in shop.status["history"]] == ["Promoted"])
    assert "problems" not in shop.status or shop.status["problems"] == []


def test_evidence_outlives_the_controller_and_the_mesh_at_once(shop):
    def kept() -> int:
        found = [
            c
            for c in json.loads(shop.kubectl("get", "configmaps", "-o", "json"))["items"]
            if "head" in c.get("data", {})
        ]
        return int(json.loads(found[0]["data"]["head"])["share"][1]) if found else 0

    def judged() -> int:
        (entry,) = [e for e in shop.status.get("evidence", ()) if e["metric"] == "errors"]
        return int(entry["canaryCount"])

    shop.open(rate=40, steps=[{"setWeight": 50}, {"pause": {}}])
    shop.push("v2")
    shop.until(lambda: shop.state == "Paused")
    shop.until(lambda: kept() > 0)
    stored = kept()
    for component in (CONTROLLER, MESH):
        shop.cluster.stop(component, 9)
    before = judged()
    for component in (MESH, CONTROLLER):
        shop.cluster.start(component)
    shop.until(lambda: judged() != before)
    assert judged() >= stored
    shop.annotate("resume")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    shop.until(lambda: kept() == 0)
    assert shop.failed_by_us() == []
