"""The service graph and the mesh's health, from what the mesh's own API says."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from mesh.api.debug import (
    Around,
    Certificate,
    Certificates,
    Edge,
    Ejection,
    Ejections,
    Graph,
    Node,
    ProxyStatus,
    ProxyStatuses,
    Refusal,
    Traffic,
    TypeStatus,
    WorkloadCertificate,
)
from mesh.api.plaintext import Source
from rollouts.dashboard.board import Board
from rollouts.dashboard.calls import MOST_EDGES, graph_view, health_of
from rollouts.dashboard.mesh import MeshClient, polls_of
from rollouts.dashboard.meshhealth import mesh_view

PAYMENT = Node(namespace="shop", name="payment")
FRONT = Node(namespace="shop", name="frontend")


def traffic(backend="payment", requests=600, errors=0, p99=20.0, **changes):
    return {
        "destination": PAYMENT,
        "backend": backend,
        "version": "v1",
        "pods": 2,
        "requests": requests,
        "request_errors": errors,
        "attempts": requests,
        "attempt_errors": errors,
        "rate": requests / 60,
        "p50_ms": 5.0,
        "p99_ms": p99,
        **changes,
    }


def answer(*rows, around=()):
    graph = Graph(
        seconds=60,
        edges=tuple(Edge(source=FRONT, mutual=row.pop("mutual", None), **row) for row in rows),
        services=tuple(Traffic(**row) for row in rows),
        around=tuple(around),
    )
    return graph.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(
    ("requests", "rate", "health"),
    [
        (0, None, "idle"),
        (9, 0.0, "good"),
        (9, 0.0009, "good"),
        (9, 0.001, "warn"),
        (9, 0.049, "warn"),
        (9, 0.05, "bad"),
    ],
)
def test_the_colour_of_requests_follows_from_their_errors(requests, rate, health):
    assert health_of(requests, rate) == health


def test_an_edge_has_its_versions_and_the_worst_colour_of_them():
    found = graph_view(
        answer(traffic(requests=900, mutual=1.0), traffic("payment-canary", 100, 20, mutual=0.5)),
        {"shop/payment": "shop/payment"},
        1.0,
    )
    (edge,) = found["edges"]
    assert (edge["source"], edge["target"], edge["kind"]) == ("shop/frontend", "shop/payment", "mesh")
    assert [(v["role"], v["share"], v["health"]) for v in edge["versions"]] == [
        ("stable", 0.9, "good"),
        ("canary", 0.1, "bad"),
    ]
    assert (edge["health"], edge["errorRate"], edge["mtls"]) == ("bad", 0.02, 0.95)
    nodes = {n["id"]: n for n in found["nodes"]}
    assert nodes["shop/payment"]["rollout"] == "shop/payment"
    assert nodes["shop/frontend"]["health"] == "idle"


def test_a_version_that_is_slower_than_the_other_is_a_warning():
    found = graph_view(answer(traffic(p99=20.0), traffic("payment-canary", p99=31.0)), {}, 1.0)
    assert [v["health"] for v in found["edges"][0]["versions"]] == ["good", "warn"]
    found = graph_view(answer(traffic(p99=2.0), traffic("payment-canary", p99=4.0)), {}, 1.0)
    assert [v["health"] for v in found["edges"][0]["versions"]] == ["good", "good"], "two milliseconds are nothing"


def test_calls_around_the_mesh_are_edges_of_their_own():
    job = Source(kind="CronJob", namespace="shop", name="report")
    outside = Source(kind="Address", name="203.0.113.7")
    calls = [
        Around(source=job, destination=PAYMENT, requests=120, rate=2.0, words=str(job)),
        Around(source=outside, destination=PAYMENT, refused=12, words=str(outside)),
    ]
    found = graph_view(answer(traffic(), around=calls), {}, 1.0)
    edges = {e["source"]: e for e in found["edges"] if e["kind"] == "bypass"}
    assert (edges["shop/report"]["rate"], edges["shop/report"]["mtls"]) == (2.0, 0.0)
    assert (edges["203.0.113.7"]["refused"], edges["203.0.113.7"]["words"]) == (12, "203.0.113.7 (outside the cluster)")
    kinds = {n["id"]: n["kind"] for n in found["nodes"]}
    assert kinds == {
        "203.0.113.7": "address",
        "shop/frontend": "service",
        "shop/payment": "service",
        "shop/report": "workload",
    }


def test_a_very_large_mesh_shows_its_busiest_edges_and_says_so():
    rows = [traffic(destination=Node(namespace="shop", name=f"s{n}"), requests=n) for n in range(MOST_EDGES + 3)]
    found = graph_view(answer(*rows), {}, 1.0)
    assert len(found["edges"]) == MOST_EDGES
    assert found["problem"].startswith("3 edges")


def test_the_health_has_those_first_that_are_not_well():
    proxies = ProxyStatuses(
        proxies=(
            ProxyStatus(namespace="shop", pod="a", connected=True, types={"CDS": TypeStatus(status="SYNCED")}),
            ProxyStatus(namespace="shop", pod="b", connected=False, types={}),
            ProxyStatus(
                namespace="shop",
                pod="c",
                connected=True,
                types={
                    "CDS": TypeStatus(status="SYNCED"),
                    "RDS": TypeStatus(status="STALE", refused=(Refusal(name="80", message="no"),)),
                    "SDS": TypeStatus(status="NOT SENT"),
                },
            ),
        )
    )
    root = Certificate(subject="CN=root", issuer="CN=root", serial="1", not_after="2027-01-01T00:00:00Z")
    leaf = WorkloadCertificate(
        subject="spiffe://x",
        issuer="CN=root",
        serial="2",
        not_after="2026-06-01T00:00:00Z",
        namespace="shop",
        pod="a",
        root="CN=root",
        status="SYNCED",
    )
    certificates = Certificates(source="made", phase="steady", issuer=root, roots=(root,), workloads=(leaf,))
    ejections = Ejections(
        ejections=(
            Ejection(proxy="shop/a", namespace="shop", service="payment", port=80, ejected=1, total=3),
            Ejection(proxy="shop/c", namespace="shop", service="payment", port=80, ejected=2, total=3),
        )
    )
    found = mesh_view(*(x.model_dump(mode="json", by_alias=True) for x in (proxies, certificates, ejections)), {}, 1.0)
    assert [(p["pod"], p["status"], p["ejected"]) for p in found["proxies"]["items"]] == [
        ("b", "DISCONNECTED", None),
        ("c", "STALE", 2),
        ("a", "SYNCED", 1),
    ]
    assert {k: found["proxies"][k] for k in ("total", "connected", "synced", "stale")} == {
        "total": 3,
        "connected": 2,
        "synced": 1,
        "stale": 1,
    }
    assert found["certificates"]["soonest"] == 1780272000.0
    assert found["ejections"] == [
        {"namespace": "shop", "service": "payment", "subset": "", "port": 80, "ejected": 2, "proxies": 2, "total": 3}
    ]


class Mesh:
    """The mesh's HTTP address with what it was asked."""

    def __init__(self):
        self.asked = []
        self.status = 200

    async def handle(self, request):
        self.asked.append((request.path, request.headers.get("Authorization")))
        if self.status != 200:
            return web.Response(status=self.status, text="show a token\n")
        empty = {"/v1/graph": answer(traffic()), "/v1/proxies": {"proxies": []}, "/v1/certificates": {}}
        if request.path not in empty:
            raise web.HTTPNotFound
        return web.json_response(empty[request.path])


@pytest.fixture
async def mesh():
    made, app = Mesh(), web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def polls(mesh, clock, tmp_path):
    token = tmp_path / "token"
    token.write_text("t0k\n")
    async with aiohttp.ClientSession() as session:
        yield polls_of(MeshClient(session, mesh.url, token), Board(clock.read), clock.read)


async def test_the_mesh_is_asked_once_for_all_and_only_while_somebody_looks(serve, mesh, polls):
    served = await serve(polls=polls)
    assert mesh.asked == []
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(served.get("/api/v1/graph")) for _ in range(20)]
    assert {look.result()[0].status for look in looks} == {200}
    assert mesh.asked == [("/v1/graph", "Bearer t0k")]
    async with served.stream("graph") as events:
        _, first = await events.next()
    assert first["full"]
    assert first["edges"] == looks[0].result()[1]["edges"]


async def test_an_older_mesh_without_a_page_is_no_problem(serve, mesh, polls):
    served = await serve(polls=polls)
    _, found = await served.get("/api/v1/mesh")
    assert (found["problem"], found["ejections"]) == ("", [])


async def test_a_mesh_that_refuses_or_is_away_is_said_in_the_view(serve, mesh, polls):
    mesh.status = 401
    served = await serve(polls=polls)
    answer, found = await served.get("/api/v1/graph")
    assert answer.status == 200
    assert found["problem"] == "the mesh refuses /v1/graph?seconds=60: 401 show a token"
    assert found["edges"] == []
    _, found = await served.get("/api/v1/mesh")
    assert found["problem"].startswith("the mesh refuses")


async def test_without_a_mesh_there_is_no_graph(serve):
    served = await serve()
    answer, error = await served.get("/api/v1/graph")
    assert (answer.status, error["error"]) == (404, "this controller has no mesh to ask")
