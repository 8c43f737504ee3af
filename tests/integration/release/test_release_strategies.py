"""Strategies and kinds of steps, with a real API server, real Envoys and real requests."""

from __future__ import annotations

import http.client
from http.cookies import SimpleCookie

import pytest

pytestmark = pytest.mark.integration

BY_TIME = {"enabled": False, "minStepDuration": "1s"}
TESTER = {"headerName": "x-tester", "headerValue": {"exact": "yes"}}
BETA = {"cookieName": "beta", "cookieValue": {"prefix": "on"}}
V1, V2 = "v1", "v2"


class Users:
    """People who come through the frontend's sidecar, each with a header or a cookie of their own."""

    def __init__(self, shop):
        self.address = shop.kubectl("get", "pods", "-l", "app=frontend", "-o", "jsonpath={.items[0].status.podIP}")

    def ask(self, host="payment", **headers):
        """Return which version answered, and the cookie that came with it."""
        connection = http.client.HTTPConnection(self.address, 15001, timeout=10)
        try:
            connection.request(
                "GET", f"http://{host}/charge", headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            answer = connection.getresponse()
            answer.read()
            cookies = SimpleCookie(answer.headers.get("set-cookie", ""))
            return answer.headers.get("x-payment-version"), {name: morsel.value for name, morsel in cookies.items()}
        finally:
            connection.close()

    def version(self, host="payment", **headers):
        return self.ask(host, **headers)[0]


def at_step(shop, step, phase):
    shop.until(lambda: shop.status["step"].startswith(f"{step}/") and shop.status["phase"] == phase)


def in_force(shop):
    split = shop.get("trafficsplit", "payment")
    assert split["status"]["acknowledged"]["generation"] == split["metadata"]["generation"]
    return split["spec"]


def weights(spec):
    return {b["service"]: b["weight"] for b in spec["backends"]}


def pods(shop, role):
    return (shop.get("deployment", f"payment-{role}") or {"status": {}})["status"].get("readyReplicas", 0)


def counted(shop):
    errors = next((e for e in shop.status.get("evidence", ()) if e["metric"] == "errors"), None)
    return (errors["canaryCount"], errors["baselineCount"]) if errors else (0, 0)


def test_blue_green_is_judged_by_copies_looked_at_in_a_preview_and_switched_at_once(shop):
    shop.open(strategy={"blueGreen": {"mirrorPercent": 100, "duration": "6s", "approval": {"message": "Fine?"}}})
    shop.push(V2)
    at_step(shop, 4, "AwaitingApproval")
    users = Users(shop)
    assert "Fine?" in shop.status["message"]
    assert (users.version(), users.version("payment-canary")) == (V1, V2)
    assert (shop.weight, pods(shop, "canary")) == (0, 2)
    assert (
        in_force(shop)["mirror"] == {"service": "payment-canary", "percent": 100, "match": []}
        or in_force(shop)["mirror"]["percent"] == 100
    )
    canary, baseline = counted(shop)
    assert canary > 20, "copies are judged"
    assert baseline > 20
    shop.annotate("approve")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert users.version() == V2
    assert [e for e in shop.events() if e == "WeightAcknowledged"] == ["WeightAcknowledged"] * 4, (
        "three steps and one switch"
    )
    assert "mirror" not in in_force(shop)
    assert shop.failed_by_us() == []


def test_an_a_b_test_gives_matched_users_the_new_version_and_judges_what_they_get(shop):
    shop.open(strategy={"abTest": {"match": [TESTER, BETA], "duration": "1h"}})
    shop.push(V2)
    at_step(shop, 3, "Progressing")
    users = Users(shop)
    assert [users.version(), users.version(x_tester="yes"), users.version(cookie="a=1; beta=on-7")] == [V1, V2, V2]
    assert [users.version(x_tester="no"), users.version(cookie="beta=off")] == [V1, V1]
    assert shop.weight == 0
    shop.annotate("skip")  # its time is over
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert [users.version(), users.version(x_tester="yes")] == [V2, V2]

    shop.rollout(strategy={"abTest": {"match": [TESTER], "duration": "1h"}})
    shop.push("v3", errors=0.5)
    at_step(shop, 3, "Progressing")

    def taken_back():
        for _ in range(20):
            users.version(x_tester="yes")
        return shop.status["phase"] == "RolledBack"

    shop.until(taken_back)
    assert "errors" in shop.status["history"][-1]["reason"]
    assert users.version(x_tester="yes") == V2
    assert in_force(shop).get("routes", []) == []
    assert shop.failed_by_us() == []


def test_with_session_affinity_nobody_moves_back_and_forth(shop):
    steps = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]
    shop.open(steps=steps, analysis=BY_TIME, sessionAffinity={"cookie": "side"})
    shop.push(V2)
    at_step(shop, 2, "Paused")
    users = Users(shop)
    jars = {}
    first = {}
    for user in range(60):
        first[user], jars[user] = users.ask()
        assert list(jars[user]) == ["side"]

    def sides():
        return {user: users.version(cookie=f"side={jar['side']}") for user, jar in jars.items()}

    assert sides() == first == sides()
    assert 0 < list(first.values()).count(V2) < 30
    shop.annotate("resume")
    at_step(shop, 4, "Paused")
    more = sides()
    assert {user for user in first if first[user] == V2} < {user for user in more if more[user] == V2}
    shop.annotate("abort")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert set(sides().values()) == {V1}
    assert "sessionAffinity" not in in_force(shop)
    assert shop.failed_by_us() == []


def test_an_experiment_mirroring_and_testers_in_one_release(shop):
    testers = {"name": "testers", "match": [TESTER]}
    steps = [
        {"experiment": {"weight": 10, "replicas": 1, "duration": "1h"}},
        {"setWeight": 0},
        {"setCanaryScale": {"replicas": 2}},
        {"setMirrorRoute": {"percentage": 100}},
        {"analysis": {"duration": "1h", "fullDuration": True}},
        {"setMirrorRoute": {}},
        {"setHeaderRoute": testers},
        {"pause": {"duration": "1s"}},
        {"pause": {}},
    ]
    shop.open(rate=80, steps=steps)
    shop.push(V2)
    at_step(shop, 1, "Progressing")
    shop.until(lambda: shop.state == "Judging")
    assert weights(in_force(shop)) == {"payment": 80, "payment-canary": 10, "payment-baseline": 10}
    assert (pods(shop, "baseline"), pods(shop, "canary")) == (1, 1)
    assert Users(shop).version("payment-baseline") == V1
    shop.until(lambda: counted(shop)[0] > 5)
    canary, baseline = counted(shop)
    shop.until(lambda: counted(shop)[0] > canary + 30)
    more, compared = counted(shop)
    assert shop.status["step"] == "1/9"
    only_fresh = "only the fresh pods are the baseline: stable gets eight times as much"
    assert compared - baseline < 3 * (more - canary), only_fresh

    shop.annotate("skip")
    at_step(shop, 5, "Progressing")
    shop.until(lambda: shop.state == "Judging")
    assert (shop.weight, pods(shop, "canary"), in_force(shop)["mirror"]["percent"]) == (0, 2, 100)
    before = counted(shop)[0]
    shop.until(lambda: counted(shop)[0] > before + 20)
    shop.annotate("skip")

    at_step(shop, 9, "Paused")
    users = Users(shop)
    assert (users.version(), users.version(x_tester="yes")) == (V1, V2)
    assert "header route testers" in shop.status["message"]
    shop.until(
        lambda: shop.get("deployment", "payment-baseline") is None and shop.get("service", "payment-baseline") is None
    )
    shop.kubectl("delete", "pod", "-l", "coalmine.dev/role=canary", "--wait=false")
    shop.annotate("abort")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert (users.version(x_tester="yes"), in_force(shop).get("routes", [])) == (V1, [])
    assert shop.failed_by_us() == []
