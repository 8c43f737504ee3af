"""The example payloads that the pages are built on have exactly the fields that the API answers with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh.api.debug import Around, Edge, Ejection, Node, ProxyStatus, Refusal, Traffic, TypeStatus
from mesh.api.plaintext import Source
from rollouts.dashboard.calls import graph_view
from rollouts.dashboard.meshhealth import mesh_view
from rollouts.dashboard.polls import Poll

EXAMPLES = Path(__file__).parent / "examples"
MAPS = {".series.evidence", ".rollout.links", ".links"}
"""Where keys are names that people chose."""
OPEN = {".rollout.approval.approvers"}
"""What is passed on as the controller wrote it."""


def paths(value, at=""):
    """Return where in a payload there is which field."""
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{at}.*" if at in MAPS else f"{at}.{key}"
            yield path
            if path not in OPEN:
                yield from paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{at}[]")


def example(name):
    return json.loads((EXAMPLES / name).read_text())


@pytest.fixture
def full(releasing, evidence, clock, stamp):
    """A Rollout with something in every field."""
    times = {"startedAt": stamp(clock.time - 900), "endedAt": stamp(clock.time - 800)}
    ended = {
        "revision": "58f1a2",
        "outcome": "RolledBack",
        "reason": "worse",
        "stable": "6d4cf8",
        "images": [],
        **times,
    }
    body = releasing(
        verdict="RollBack",
        evidence=[evidence("errors", rollbackE=900.0), evidence("latency")],
        history=[ended],
        preflight=[{"check": "Capacity", "result": "Pass", "message": "fine"}],
        conditions=[
            {"type": "Ready", "status": "False", "reason": "x", "message": "y", "lastTransitionTime": stamp(clock.time)}
        ],
        internal={
            "announcements": [
                {"number": 1, "at": clock.time, "type": "Normal", "reason": "ReleaseStarted", "note": "changed"}
            ]
        },
    )
    body["metadata"]["annotations"] = {
        "coalmine.dev/commit-url": "https://git.example/c/1",
        "coalmine.dev/link-x": "no",
    }
    return body


@pytest.fixture
async def served(serve, full):
    made = await serve()
    made.put(full)
    return made


def test_every_example_is_one_that_is_told_of():
    named = (Path(__file__).parents[4] / "docs" / "dashboard-api.md").read_text()
    assert all(path.name in named for path in EXAMPLES.iterdir())


@pytest.mark.parametrize("name", ["rollout-canary.json", "rollout-rolled-back.json"])
async def test_one_rollout(served, name):
    _, found = await served.get("/api/v1/rollouts/shop/payment")
    assert set(paths(example(name))) - set(paths(found)) == set(), "the example has what the API has not"
    if name == "rollout-canary.json":
        missing = set(paths(found)) - set(paths(example(name)))
        assert {p for p in missing if not p.startswith(".series.evidence.*.crossed")} == set()
    assert found["rollout"]["links"] == {"commit": "https://git.example/c/1"}


async def test_an_approval(serve, releasing):
    served = await serve()
    asked = example("rollout-approval.json")["rollout"]["approval"]
    served.put(releasing(phase="AwaitingApproval", approval={**asked, "until": "2026-05-28T21:00:00Z"}))
    _, found = await served.get("/api/v1/rollouts/shop/payment")
    assert set(paths(found["rollout"]["approval"])) == set(paths(asked))
    assert isinstance(found["rollout"]["approval"]["until"], float)


async def test_lists(served):
    for name, path in (
        ("rollouts.json", "/api/v1/rollouts"),
        ("history.json", "/api/v1/history"),
        ("info.json", "/api/v1/info"),
    ):
        _, found = await served.get(path)
        assert set(paths(found)) == set(paths(example(name))), name


async def test_people(served):
    served.kube.users["good"] = "jane"
    served.kube.rules |= {("jane", "patch", "shop")}
    _, found = await served.get("/api/v1/whoami?namespace=shop", Authorization="Bearer good")
    assert set(paths(found)) == set(paths(example("whoami.json")))
    _, found = await served.post("/api/v1/rollouts/shop/payment/actions/abort", "good")
    assert set(paths(found)) == set(paths(example("action.json")))
    _, found = await served.post("/api/v1/rollouts/shop/payment/actions/abort", "bad")
    assert set(paths(found)) == set(paths(example("action-refused.json")))


def calls():
    common = {"destination": Node(namespace="shop", name="payment"), "backend": "payment", "version": "v1", "pods": 1}
    counts = {"requests": 5, "request_errors": 0, "attempts": 5, "attempt_errors": 0, "rate": 1.0}
    job = Source(kind="CronJob", namespace="shop", name="report")
    return {
        "seconds": 60,
        "edges": [Edge(source=Node(namespace="shop", name="load"), **common, **counts).model_dump(by_alias=True)],
        "services": [Traffic(**common, **counts).model_dump(by_alias=True)],
        "around": [Around(source=job, destination=common["destination"], requests=1).model_dump(by_alias=True)],
    }


def test_the_graph():
    found = graph_view(calls(), {}, 1.0)
    assert set(paths(found)) == set(paths(example("graph.json")))


def test_the_meshs_health():
    types = {"RDS": TypeStatus(status="STALE", refused=(Refusal(name="80", message="no"),))}
    proxy = ProxyStatus(namespace="shop", pod="a", connected=True, types=types)
    certificate = {"subject": "s", "issuer": "i", "notAfter": "2027-01-01T00:00:00Z"}
    found = mesh_view(
        {"proxies": [proxy.model_dump(by_alias=True)]},
        {"issuer": certificate, "roots": [certificate], "workloads": [certificate]},
        {"ejections": [Ejection(proxy="shop/a", namespace="shop", service="payment", ejected=1).model_dump()]},
        calls(),
        1.0,
    )
    assert {p for p in paths(found) if ".versions[]" not in p} == set(paths(example("mesh.json")))


async def test_live_events(serve, full, releasing, clock):
    async def ask():
        return graph_view(calls(), {}, clock.time)

    served = await serve(polls={"graph": Poll("graph", ask, 60.0)})
    served.put(full)
    shown: dict[str, set[str]] = {}
    for block in (EXAMPLES / "events.sse").read_text().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in lines:
            data = json.loads(lines["data"])
            kind = "gone" if data.get("gone") else "full" if data["full"] else "change"
            shown[f"{lines['event'].split('/')[0]} {kind}"] = set(paths(data))
    assert set(shown) == {"rollouts full", "rollouts change", "rollout full", "rollout change", "rollout gone"}
    async with served.stream("rollouts,rollout/shop/payment,graph") as events:
        first = dict([await events.next() for _ in range(3)])
        assert set(paths(first["rollouts"])) == shown["rollouts full"]
        assert set(paths(first["graph"])) == {".full", ".version", *paths(example("graph.json"))}
        clock.time += 1
        served.put(releasing(history=full["status"]["history"]))
        change = await events.until(lambda data: not data["full"], "rollouts")
        assert set(paths(change)) <= shown["rollouts change"]
        change = await events.until(lambda data: not data["full"], "rollout/shop/payment")
        assert {p for p in shown["rollout change"] if p.count(".") == 1} == {f".{key}" for key in change}
        served.drop("shop", "payment")
        gone = await events.until(lambda data: data.get("gone"), "rollout/shop/payment")
        assert set(paths(gone)) == shown["rollout gone"]
