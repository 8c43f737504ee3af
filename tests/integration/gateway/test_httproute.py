"""HTTPRoutes of a Service, with the Gateway API's own definitions, on a real API server and through a real sidecar."""

from __future__ import annotations

import asyncio
import collections
import json
from typing import Any

import aiohttp
import pytest

pytestmark = pytest.mark.integration


def http_route(*rules: dict[str, Any]) -> dict[str, Any]:
    parent = {"group": "", "kind": "Service", "name": "payment", "port": 80}
    spec = {"parentRefs": [parent], "rules": list(rules)}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "pay"},
        "spec": spec,
    }


def backend(name: str, weight: int = 1) -> dict[str, Any]:
    return {"name": name, "port": 80, "weight": weight}


def condition(api: Any, kind: str) -> tuple[str, str]:
    (parent,) = api.get("httproute", "pay")["status"]["parents"]
    found = next(c for c in parent["conditions"] if c["type"] == kind)
    return found["status"], found["reason"]


def observed(api: Any) -> None:
    """Wait until the conditions are about the present generation."""
    generation = api.get("httproute", "pay")["metadata"]["generation"]
    path = f"jsonpath={{.status.parents[0].conditions[0].observedGeneration}}={generation}"
    api.kubectl("wait", "httproute/pay", "-n", api.namespace, f"--for={path}", "--timeout=120s")


async def ask(api: Any, session: aiohttp.ClientSession, path: str = "/charge") -> tuple[int, str]:
    async with session.get(f"http://payment{path}", proxy=f"http://{api.caller}:15001") as response:
        return response.status, await response.text()


async def becomes(api: Any, session: aiohttp.ClientSession, status: int, path: str = "/charge") -> None:
    async with asyncio.timeout(120):
        while True:
            if (await ask(api, session, path))[0] == status:
                return
            await asyncio.sleep(0.05)


async def test_a_route_of_a_service_shares_its_requests_and_says_so(gateway_api):
    matched = {"matches": [{"path": {"type": "PathPrefix", "value": "/charge"}}]}
    shares = {"backendRefs": [backend("payment", 3), backend("payment-canary", 1)]}
    gateway_api.apply(http_route({**matched, **shares}))
    try:
        observed(gateway_api)
        assert condition(gateway_api, "Accepted") == ("True", "Accepted")
        assert condition(gateway_api, "ResolvedRefs") == ("True", "ResolvedRefs")
        address, seen = gateway_api.caller, collections.Counter[str]()
        async with aiohttp.ClientSession() as session:
            await becomes(gateway_api, session, 404, "/other")
            for _ in range(600):
                async with session.get("http://payment/charge", proxy=f"http://{address}:15001") as response:
                    assert response.status == 200
                    seen[json.loads(await response.text())["version"]] += 1
            assert 97 <= seen["v2"] <= 203  # 150 expected; five standard deviations
            gateway_api.apply(http_route({"backendRefs": [backend("missing")]}))
            observed(gateway_api)
            assert condition(gateway_api, "ResolvedRefs") == ("False", "BackendNotFound")
            await becomes(gateway_api, session, 500)
    finally:
        gateway_api.delete(http_route())
