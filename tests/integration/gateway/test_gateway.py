"""Requests from outside through a real gateway, and what becomes of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytestmark = pytest.mark.integration

EXAMPLE = (Path(__file__).parents[3] / "examples" / "mesh" / "ingress-gateway.yaml").read_text()
API = "networking.istio.io/v1"


def gateway(name: str, *servers: dict[str, Any]) -> dict[str, Any]:
    spec = {"selector": {"istio": "ingressgateway"}, "servers": list(servers)}
    return {"apiVersion": API, "kind": "Gateway", "metadata": {"name": name}, "spec": spec}


def server(port: int, protocol: str, *hosts: str, **tls: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "port": {"number": port, "name": protocol.lower(), "protocol": protocol},
        "hosts": [*hosts],
    }
    return found | ({"tls": tls} if tls else {})


def virtual_service(name: str, host: str, bound: str, http: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    rules = http or [{"route": [{"destination": {"host": "payment"}}]}]
    spec = {"hosts": [host], "gateways": [bound], "http": rules}
    return {"apiVersion": API, "kind": "VirtualService", "metadata": {"name": name}, "spec": spec}


async def test_a_canary_gets_its_share_of_what_comes_from_outside(ingress):
    trust = ingress.secret("shop-example-com", "shop.example.com")
    ingress.apply(text=EXAMPLE)
    try:
        await ingress.becomes(200, trust=trust)
        ingress.acknowledged()
        proxies = ingress.get("trafficsplit", "payment")["status"]["proxies"]
        assert proxies["affected"] == 5  # three pods with sidecars, two gateways
        before = await counted(ingress)
        seen = await ingress.versions(4000, trust=trust)
        assert set(seen) == {"v1", "v2"}
        assert 305 <= seen["v2"] <= 495  # 400 expected; five standard deviations
        after = await counted(ingress, at_least=sum(before.values()) + 4000)
        # Attempts are counted: one that is made again on a busy machine counts twice.
        assert after["payment-canary"] - before.get("payment-canary", 0) == pytest.approx(seen["v2"], abs=20)
        headers, _ = await ingress.becomes(301)
        assert headers["location"] == "https://shop.example.com/charge"
        assert (await ingress.ask("/other", trust=trust))[0] == 404
        assert (await ingress.ask(host="else.example.com"))[0] == 404
    finally:
        ingress.delete(text=EXAMPLE)


async def counted(ingress: Any, at_least: int = 0) -> dict[str, int]:
    """Return how many requests to payment the judge would know of, by backend; wait for so many."""
    url = f"{ingress.cluster.mesh_url}/v1/telemetry/{ingress.namespace}/payment?since=0"
    found: dict[str, int] = {}
    async with asyncio.timeout(120), aiohttp.ClientSession() as session, session.get(url) as response:
        async for line in response.content:
            for pod in json.loads(line)["pods"]:
                found[pod["backend"]] = found.get(pod["backend"], 0) + pod["requests"]
            if sum(found.values()) >= at_least:
                return found
    return found


async def test_each_host_shows_its_own_certificate(ingress):
    one, other = ingress.secret("one", "one.example.com"), ingress.secret("other", "other.example.com")
    made = [
        gateway(
            "two",
            server(443, "HTTPS", "one.example.com", mode="SIMPLE", credentialName="one"),
            server(443, "HTTPS", "other.example.com", mode="SIMPLE", credentialName="other"),
        ),
        virtual_service("one", "one.example.com", "two"),
        virtual_service("other", "other.example.com", "two"),
    ]
    ingress.apply(*made)
    try:
        await ingress.becomes(200, host="one.example.com", trust=one)
        await ingress.becomes(200, host="other.example.com", trust=other)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ingress.ask(host="one.example.com", trust=other)
        renewed = ingress.secret("one", "one.example.com")
        await ingress.becomes(200, host="one.example.com", trust=renewed)
    finally:
        ingress.delete(*made)


async def test_a_missing_secret_closes_its_server_alone_and_is_told(ingress):
    made = [
        gateway(
            "half",
            server(80, "HTTP", "half.example.com"),
            server(443, "HTTPS", "half.example.com", mode="SIMPLE", credentialName="later"),
        ),
        virtual_service("half", "half.example.com", "half"),
    ]
    ingress.apply(*made)
    try:
        await ingress.becomes(200, host="half.example.com")
        event = ingress.event("NoCredential")
        assert "there is no Secret later in namespace coalmine-ingress" in event["note"]
        assert event["regarding"]["name"] == "half"
        trust = ingress.secret("later", "half.example.com")
        await ingress.becomes(200, host="half.example.com", trust=trust)
    finally:
        ingress.delete(*made)


async def test_rules_hold_at_the_gateway_as_inside(ingress):
    rules = [
        {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 308}},
        {"match": [{"headers": {"x-team": {"exact": "qa"}}}], "directResponse": {"status": 418}},
        {
            "match": [{"uri": {"prefix": "/api/"}}],
            "rewrite": {"uri": "/"},
            "route": [{"destination": {"host": "payment"}}],
        },
    ]
    made = [
        gateway("rules", server(80, "HTTP", "./*.example.com")),
        virtual_service("rules", "a.example.com", "rules", rules),
    ]
    ingress.apply(*made)
    try:
        await ingress.becomes(200, "/api/charge", host="a.example.com")
        status, headers, _ = await ingress.ask("/old", host="a.example.com")
        assert (status, headers["location"]) == (308, "http://a.example.com/new")
        assert (await ingress.ask("/charge", host="a.example.com"))[0] == 404
        assert (await ingress.ask("/api/charge", host="a.example.com:8080"))[0] == 200
    finally:
        ingress.delete(*made)


def split(canary: int, **more: Any) -> dict[str, Any]:
    weights = {"payment": 100 - canary, "payment-canary": canary}
    backends = [{"service": service, "weight": weight} for service, weight in weights.items()]
    spec = {"service": "payment", "backends": backends, **more}
    return {
        "apiVersion": "mesh.coalmine.dev/v1alpha1",
        "kind": "TrafficSplit",
        "metadata": {"name": "payment"},
        "spec": spec,
    }


async def test_a_splits_routes_mirror_and_affinity_hold_at_the_gateway(ingress):
    host = "split.example.com"
    testers = {"match": [{"headers": {"x-tester": {"exact": "yes"}}}], "service": "payment-canary"}
    made = [gateway("split", server(80, "HTTP", host)), virtual_service("split", host, "split")]
    ingress.apply(*made, split(0))
    try:
        await ingress.becomes(200, host=host)
        ingress.apply(split(0, routes=[testers], mirror={"service": "payment-canary"}))
        ingress.acknowledged()
        for _ in range(10):
            assert json.loads((await ingress.ask(host=host))[2])["version"] == "v1"
            assert json.loads((await ingress.ask(host=host, x_tester="yes"))[2])["version"] == "v2"
        assert await mirrored(ingress, at_least=10) == 10

        sides: dict[str, list[str]] = {}
        for weight in (20, 60, 0):
            ingress.apply(split(weight, sessionAffinity={"cookie": "side"}))
            ingress.acknowledged()
            for caller in map(str, range(40)):
                _, headers, body = await ingress.ask(host=host, cookie=f"side={caller}")
                assert "set-cookie" not in headers
                sides.setdefault(caller, []).append(json.loads(body)["version"])
            if weight:
                assert (await ingress.ask(host=host))[1]["set-cookie"].startswith("side=")
        histories = {"v1 v1 v1", "v1 v2 v1", "v2 v2 v1"}
        assert {" ".join(history) for history in sides.values()} == histories
    finally:
        ingress.delete(*made, split(0))


async def mirrored(ingress: Any, at_least: int) -> int:
    """Return how many copies the judge would know of; wait for so many."""
    url = f"{ingress.cluster.mesh_url}/v1/telemetry/{ingress.namespace}/payment?since=0"
    found = 0
    async with asyncio.timeout(120), aiohttp.ClientSession() as session, session.get(url) as response:
        async for line in response.content:
            pods = [pod for pod in json.loads(line)["pods"] if pod["mirrored"]]
            assert {pod["backend"] for pod in pods} <= {"payment-canary"}
            found += sum(pod["attempts"] for pod in pods)
            if found >= at_least:
                return found
    return found
