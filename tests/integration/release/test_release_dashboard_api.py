"""The dashboard's API during a real release: what it tells live, what it keeps, and in whose name it acts."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coalmine.local.cluster import LocalCluster

pytestmark = pytest.mark.integration


class Page(threading.Thread):
    """Keeps what a page would show: the whole, and whatever was appended since."""

    def __init__(self, url: str, topics: str) -> None:
        super().__init__(daemon=True)
        host = url.removeprefix("http://").rstrip("/")
        self._connection = http.client.HTTPConnection(host, timeout=240)
        self._connection.request("GET", f"/api/v1/stream?topics={topics}")
        self._answer = self._connection.getresponse()
        self.topics: dict[str, dict[str, Any]] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.wrong: list[str] = []
        self.start()

    def run(self) -> None:
        topic = ""
        try:
            for raw in self._answer:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    topic = line[7:]
                elif line.startswith("data: "):
                    self._take(topic, json.loads(line[6:]))
        except (OSError, ValueError, AttributeError):
            return  # it was closed

    def close(self) -> None:
        self._connection.close()

    def _take(self, topic: str, data: dict[str, Any]) -> None:
        self.events.append((topic, data))
        shown = self.topics.get(topic)
        if data["full"] or shown is None:
            self.topics[topic] = data
            return
        if data["version"] != shown["version"] + 1:
            self.wrong.append(f"{topic}: {data['version']} after {shown['version']}")
        if topic == "rollouts":
            rows = {(r["namespace"], r["name"]): r for r in (*shown["rollouts"], *data["changed"])}
            kept = [r for (namespace, name), r in rows.items() if f"{namespace}/{name}" not in data["removed"]]
            self.topics[topic] = {**shown, "version": data["version"], "rollouts": kept}
            return
        data["timeline"]["items"][:0] = shown["timeline"]["items"]
        data["series"]["decisions"][:0] = shown["series"]["decisions"]
        _append(data["series"]["weights"], shown["series"]["weights"])
        for name, series in data["series"]["evidence"].items():
            _append(series, shown["series"]["evidence"].get(name, {}))
        for lane in ("stable", "canary"):
            _append(data["traffic"][lane], shown["traffic"][lane])
        self.topics[topic] = data


def _append(new: dict[str, Any], old: dict[str, Any]) -> None:
    """Put what is new behind what was there; a point with the time of the last one takes its place."""
    again = bool(new["t"] and old.get("t") and old["t"][-1] == new["t"][0])
    for name, values in old.items():
        if isinstance(values, list):
            new[name][:0] = values[:-1] if again else values


class Api:
    """The dashboard's API with or without a token."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.url = cluster.dashboard_url.rstrip("/")
        self._namespace = namespace

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=60) as answer:
            return json.load(answer)

    def act(self, action: str, token: str = "", comment: str = "") -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        url = f"{self.url}/api/v1/rollouts/{self._namespace}/payment/actions/{action}"
        body = json.dumps({"comment": comment}).encode()
        request = urllib.request.Request(url, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def open_page(stack) -> Iterator[Callable[[str], Page]]:
    opened: list[Page] = []

    def open_(topics: str) -> Page:
        opened.append(Page(stack.dashboard_url, topics))
        return opened[-1]

    yield open_
    for page in opened:
        page.close()
        page.join(20)


def token(shop: Any, name: str, *roles: str) -> str:
    """Return the token of a new service account that has some roles."""
    shop.kubectl("create", "serviceaccount", name)
    for role in roles:
        where = (f"--serviceaccount={shop.namespace}:{name}",)
        shop.kubectl("create", "rolebinding", f"{name}-{role}", f"--role={role}", *where)
    return str(shop.kubectl("create", "token", name)).strip()


def test_a_release_is_told_live_and_decided_in_peoples_own_names(shop, stack, open_page):
    api = Api(stack, shop.namespace)
    approver = f"system:serviceaccount:{shop.namespace}:approver"
    approval = {"message": "is the till closed?", "approvers": {"users": [approver]}}
    shop.open(rate=60, steps=[{"setWeight": 20}, {"approval": approval}])
    topic = f"rollout/{shop.namespace}/payment"
    page = open_page(f"rollouts,{topic},graph")

    shop.push("v2")
    shop.until(lambda: shop.status["phase"] == "AwaitingApproval")
    shop.until(lambda: page.topics[topic]["rollout"]["phase"] == "AwaitingApproval")
    (row,) = (r for r in page.topics["rollouts"]["rollouts"] if r["namespace"] == shop.namespace)
    assert (row["tone"], row["attention"], row["weight"]["acknowledged"]) == ("waiting", True, 20)
    seen = page.topics[topic]
    whole = api.get(f"rollouts/{shop.namespace}/payment")
    past_is_told_bit_by_bit(shop, seen, whole)
    evidence_closes_in(whole["series"])
    canary_is_counted(seen["traffic"])
    calls_have_locks(shop, page, api)
    assert page.wrong == []
    nobody_else_moves_anything(shop, api)

    # After a restart of the controller the pages come back, and say where the drawing begins.
    shop.kill()
    shop.until(lambda: bool(listed(api)))
    again = open_page(topic)
    shop.until(lambda: topic in again.topics and not again.topics[topic].get("gone"))
    begun = again.topics[topic]
    assert not begun["series"]["complete"]
    assert begun["series"]["release"]["began"] == whole["series"]["release"]["began"]
    assert begun["series"]["since"] > whole["series"]["since"]
    assert begun["timeline"]["items"][-1]["reason"] == "ApprovalRequested"

    status, answer = api.act("approve", token(shop, "approver", "patch", "approve"), "the till is closed")
    assert (status, answer["user"]) == (200, approver)
    shop.until(lambda: shop.status["phase"] == "Healthy")
    shop.until(lambda: again.topics[topic]["series"]["release"]["outcome"] == "Promoted")
    assert again.topics[topic]["rollout"]["last"]["good"]
    assert again.wrong == []
    template = "jsonpath={range .items[*]}{.reason}: {.note}{'\\n'}{end}"
    notes = shop.kubectl("get", "events.v1.events.k8s.io", "-o", template).splitlines()
    assert f"DashboardAction: {approver} said approve in the dashboard: the till is closed" in notes
    (approved,) = (line for line in notes if line.startswith("Approved:"))
    assert f"{approver} (dashboard): the till is closed" in approved
    entries = api.get(f"history?namespace={shop.namespace}")["entries"]
    assert [(e["outcome"], e["good"]) for e in entries] == [("Promoted", True)]


def past_is_told_bit_by_bit(shop: Any, seen: dict[str, Any], whole: dict[str, Any]) -> None:
    """What a page was told live is what a page that comes now is told at once, and what the Events say."""
    assert whole["timeline"]["items"] == seen["timeline"]["items"]
    told = [item["reason"] for item in seen["timeline"]["items"]]
    assert told == shop.events()
    assert {"ReleaseStarted", "WeightAcknowledged", "ApprovalRequested"} <= set(told)
    held, weights = seen["series"]["weights"], whole["series"]["weights"]
    assert {name: values[: len(held["t"])] for name, values in weights.items()} == held
    assert {(20, 0), (20, 20)} <= set(zip(weights["configured"], weights["acknowledged"], strict=True))
    assert 10 < weights["actual"][-1] < 30


def evidence_closes_in(series: dict[str, Any]) -> None:
    """The confidence sequence narrows until the upper end is below the margin, and the decision has its moment."""
    assert series["complete"]
    errors = series["evidence"]["errors"]
    assert errors["t"] == sorted(set(errors["t"]))
    ends = zip(errors["lower"], errors["upper"], strict=True)
    widths = [upper - lower for lower, upper in ends if lower is not None and upper is not None]
    assert widths[-1] < widths[0]
    assert errors["promoteE"][-1] >= errors["promoteAt"] > 1
    assert errors["crossed"]["towards"] == "promote"
    assert [(d["verdict"], d["step"]) for d in series["decisions"]] == [("Promote", 0)]
    assert errors["t"][0] <= errors["crossed"]["at"] <= series["decisions"][0]["at"]


def canary_is_counted(traffic: dict[str, Any]) -> None:
    """Both versions' requests are there, and each point once."""
    canary = traffic["canary"]
    assert traffic["problem"] == ""
    assert max(rate for rate in canary["rate"] if rate is not None) > 3
    assert {share for share in canary["errors"] if share is not None} == {0}
    assert max(p99 for p99 in canary["p99Ms"] if p99 is not None) > 0
    assert canary["t"] == sorted(set(canary["t"]))
    assert len(canary["t"]) > 5


def calls_have_locks(shop: Any, page: Page, api: Api) -> None:
    """Who calls whom, by version and with mutual TLS; every proxy holds what it should."""
    payment = f"{shop.namespace}/payment"

    def edge() -> dict[str, Any]:
        edges = {e["id"]: e for e in page.topics["graph"]["edges"]}
        return edges.get(f"{shop.namespace}/frontend>{payment}>mesh", {"versions": []})

    shop.until(lambda: {v["role"] for v in edge()["versions"]} == {"stable", "canary"} and edge()["mtls"] == 1)
    assert {n["id"]: n["rollout"] for n in page.topics["graph"]["nodes"]}[payment] == payment
    health = api.get("mesh")
    ours = [p for p in health["proxies"]["items"] if p["namespace"] == shop.namespace]
    assert {p["status"] for p in ours} == {"SYNCED"}
    assert {c["pod"] for c in health["certificates"]["workloads"]} >= {p["pod"] for p in ours}


def nobody_else_moves_anything(shop: Any, api: Api) -> None:
    """Without a token, with a wrong one, and with one of somebody who may not."""
    shop.kubectl("create", "role", "patch", "--verb=patch", "--resource=rollouts.coalmine.dev")
    shop.kubectl("create", "role", "approve", "--verb=approve", "--resource=rollouts.coalmine.dev")
    assert api.act("approve")[0] == 401
    assert api.act("approve", "no-token-of-this-cluster")[0] == 401
    status, answer = api.act("abort", token(shop, "visitor"))
    user = f"system:serviceaccount:{shop.namespace}:visitor"
    words = f"{user} may not patch rollouts.coalmine.dev payment in namespace {shop.namespace}"
    assert (status, answer["error"]) == (403, words)
    editor = token(shop, "editor", "patch")
    status, answer = api.act("approve", editor)
    assert status == 403
    assert "may not approve" in answer["error"]
    assert api.act("retry", editor)[0] == 409
    assert shop.status["phase"] == "AwaitingApproval"
    assert "DashboardAction" not in shop.kubectl("get", "events.v1.events.k8s.io", "-o", "yaml")


def listed(api: Api) -> Any:
    """Return the Rollouts; None while the controller is away."""
    try:
        return api.get("rollouts")["rollouts"]
    except OSError:
        return None
