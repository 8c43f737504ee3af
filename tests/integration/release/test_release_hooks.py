"""Hooks on the real API server: a real receiver over a real socket, and Jobs that the local node runs."""

from __future__ import annotations

import base64
import http.server
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

BY_TIME = {"enabled": False, "minStepDuration": "1s"}
TWO_STEPS = [{"setWeight": 50}, {"setWeight": 100}]
SIGNING_KEY = base64.b64encode(b"the two sides have agreed on this").decode()


class Receiver:
    """Some service of the company's that is asked and told; it answers each hook with what comes next, then with 200."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.answers: dict[str, list[int]] = {}
        self.verified: list[str] = []
        self.forged: list[str] = []
        self.released = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {k.lower(): v for k, v in self.headers.items()}
                if "webhook-signature" in headers:
                    receiver.verify(headers, body)
                receiver.asked.append((headers, body))
                rest = receiver.answers.get(json.loads(body)["hook"], [])
                status = rest.pop(0) if len(rest) > 1 else rest[0] if rest else 200
                if not status:
                    receiver.released.wait()
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, hook: str) -> list[dict[str, Any]]:
        """What was told of a hook, each try."""
        return [event for _, body in self.asked if (event := json.loads(body))["hook"] == hook]

    def keys(self, hook: str) -> list[str]:
        return [headers["idempotency-key"] for headers, body in self.asked if json.loads(body)["hook"] == hook]

    def verify(self, headers: dict[str, str], body: bytes) -> None:
        """As the receiver of a webhook does it, at that time."""
        try:
            Webhook(SIGNING_KEY).verify(body, headers)
            self.verified.append(headers["idempotency-key"])
        except WebhookVerificationError as error:
            self.forged.append(str(error))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.released.set()
    found.server.shutdown()
    found.server.server_close()


def ask(name: str, at: str, receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"name": name, "at": at, "http": {"url": receiver.url, **more}}


def run(name: str, at: str, program: str) -> dict[str, Any]:
    container = {"name": "test", "image": "none", "command": [sys.executable, "-c", program]}
    pod = {
        "metadata": {"labels": {"test": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
    return {"name": name, "at": at, "job": {"template": {"spec": {"template": pod}}, "timeout": "5m"}}


def reporting(receiver: Receiver) -> str:
    """A load test that tells the receiver what it knows."""
    return (
        "import json, os, urllib.request\n"
        "known = {k: v for k, v in os.environ.items() if k.startswith('COALMINE_')}\n"
        "body = json.dumps({'hook': 'load', 'env': known}).encode()\n"
        f"request = urllib.request.Request({receiver.url!r}, body, {{'Idempotency-Key': ''}})\n"
        "urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()\n"
    )


def allow_secrets(shop: Any) -> None:
    role, user = "coalmine-controller-secrets", "system:coalmine:controller"
    shop.kubectl("create", "rolebinding", "coalmine-secrets", f"--clusterrole={role}", f"--user={user}")


def jobs(shop: Any) -> list[dict[str, Any]]:
    return json.loads(shop.kubectl("get", "jobs", "-o", "json"))["items"]  # type: ignore[no-any-return]


def outcomes(shop: Any) -> list[str]:
    return [h["outcome"] for h in shop.status.get("history", [])]


def test_hooks_of_a_release_are_signed_and_asked_by_one_key_also_over_a_kill(shop, receiver):
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "signing"},
        "stringData": {"key": f"whsec_{SIGNING_KEY}"},
    }
    signed = {"secretRef": {"name": "signing", "key": "key"}}
    hooks = [
        ask("start", "BeforeRollout", receiver, **signed, timeout="10m"),
        run("load", "DuringStep", reporting(receiver)) | {"weights": [50]},
        ask("more", "BeforeTrafficIncrease", receiver),
        ask("ship", "BeforePromotion", receiver, **signed, pollInterval="1s"),
        ask("done", "AfterPromotion", receiver, **signed),
        ask("back", "OnRollback", receiver),
    ]
    receiver.answers = {"start": [0, 503, 200], "ship": [403]}
    shop.apply(secret)
    shop.open(steps=TWO_STEPS, analysis=BY_TIME, hooks=hooks)
    shop.push("v2")

    shop.until(lambda: "may not read Secret signing" in shop.status["message"])
    assert receiver.asked == []
    allow_secrets(shop)
    shop.until(lambda: len(receiver.told("start")) == 1)
    shop.until(lambda: "waits for hook start (1st try of 3" in shop.status["message"])
    shop.kill()
    shop.until(lambda: len(receiver.told("start")) == 3)
    assert len(set(receiver.keys("start"))) == 1
    assert all(event == receiver.told("start")[0] for event in receiver.told("start")), "each try says the same"
    assert receiver.told("start")[0] | {"weight": 0, "phase": "Starting"} == receiver.told("start")[0]

    shop.until(lambda: len(receiver.told("ship")) > 1)
    shop.until(lambda: "waits for hook ship (asked" in shop.status["message"])
    assert shop.status["phase"] == "Progressing"
    assert [event["weight"] for event in receiver.told("more")] == [50, 100]
    (load,) = receiver.told("load")
    assert load["env"] | {
        "COALMINE_ROLLOUT": "payment", "COALMINE_WEIGHT": "50", "COALMINE_CANARY_HOST": "payment-canary",
        "COALMINE_STABLE_HOST": "payment", "COALMINE_REVISION": receiver.told("start")[0]["revision"],
    } == load["env"]  # fmt: skip
    (job,) = jobs(shop)
    assert job["metadata"]["labels"]["coalmine.dev/rollout"] == "payment"
    assert job["metadata"]["ownerReferences"][0]["kind"] == "Rollout"

    receiver.answers["ship"] = [200]
    shop.until(lambda: outcomes(shop) == ["Promoted"])
    shop.until(lambda: len(receiver.told("done")) == 1)
    shop.until(lambda: shop.status["phase"] == "Healthy" and "Under way" not in shop.status["message"])
    assert len(set(receiver.keys("ship"))) == 1
    assert receiver.told("back") == []
    assert receiver.forged == []
    assert {*receiver.verified} == {*receiver.keys("start"), *receiver.keys("ship"), *receiver.keys("done")}
    told = shop.kubectl("get", "rollouts,events,jobs", "-o", "yaml")
    assert SIGNING_KEY not in told
    assert "HookFailed" not in shop.events()
    assert shop.failed_by_us() == []


def test_a_failed_job_and_a_definite_no_take_a_release_back_and_an_abort_ends_a_job(shop, receiver):
    shop.open(steps=TWO_STEPS, analysis=BY_TIME, hooks=[
        run("load", "DuringStep", "raise SystemExit(3)"), ask("back", "OnRollback", receiver)
    ])  # fmt: skip
    shop.push("v2")
    code, said = shop.rollout_status()
    assert code == 1, said
    shop.until(lambda: outcomes(shop) == ["RolledBack"])
    assert "hook load (DuringStep) failed: Job payment-load-" in shop.status["history"][0]["reason"]
    shop.until(lambda: len(receiver.told("back")) == 1)
    assert receiver.told("back")[0]["reason"].startswith("hook load (DuringStep) failed")
    assert shop.events().count("HookFailed") == shop.events().count("RollbackStarted") == 1

    receiver.answers = {"gate": [403]}
    shop.rollout(steps=TWO_STEPS, analysis=BY_TIME, hooks=[ask("gate", "BeforeTrafficIncrease", receiver)])
    shop.push("v3")
    shop.until(lambda: outcomes(shop) == ["RolledBack", "RolledBack"])
    assert "hook gate (BeforeTrafficIncrease) failed" in shop.status["history"][1]["reason"]
    assert "403 Forbidden" in shop.status["history"][1]["reason"]
    assert (len(receiver.told("gate")), shop.weight) == (1, 0)

    hooks = [run("slow", "DuringStep", "import time; time.sleep(600)")]
    shop.rollout(steps=TWO_STEPS, analysis=BY_TIME, hooks=hooks)
    shop.push("v4")
    shop.until(lambda: "waits for hook slow (Job payment-slow-" in shop.status["message"])
    shop.until(lambda: any(job["metadata"]["name"].startswith("payment-slow-") for job in jobs(shop)))
    shop.annotate("abort")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    shop.until(lambda: not any(job["metadata"]["name"].startswith("payment-slow-") for job in jobs(shop)))
    assert outcomes(shop) == ["RolledBack", "RolledBack", "Aborted"]
    assert shop.failed_by_us() == []
