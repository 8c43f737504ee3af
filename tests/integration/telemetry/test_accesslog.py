"""Access logs as a real Envoy writes them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from aiohttp import web

from mesh.xds.observation import observation

pytestmark = pytest.mark.integration


async def ok(_: web.Request) -> web.Response:
    return web.Response(text="paid")


def lines(proxy: Any) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in proxy.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["log"] == "access"]


async def logged(proxy: Any, condition: Any) -> list[dict[str, Any]]:
    """Wait for lines; Envoy writes them within ten seconds."""
    end = time.monotonic() + 60
    while not condition(found := lines(proxy)):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.1)
    return found


async def test_each_request_is_a_line_of_json(proxy, pod, shapes):
    target = await pod("payment-a", ok)
    hosts = [shapes.Host("payment", {"payment": 100})]
    services = [shapes.Service("payment", [target])]
    caller = await proxy(hosts, services, observe=observation(access_log_percent=100))
    assert await caller.call("payment", path="/charge?card=4242", headers={"User-Agent": "till"}) == [200]
    assert await caller.call("elsewhere") == [404]

    paid, lost = await logged(caller, lambda found: len(found) >= 2)
    assert {
        "reporter": "source",
        "method": "GET",
        "authority": "payment",
        "path": "/charge",  # without the query, which may hold what nobody should read
        "response_code": 200,
        "response_flags": "-",
        "bytes_sent": 4,
        "user_agent": "till",
        "upstream_cluster": "outbound|80||payment.shop.svc.cluster.local",
        "upstream_host": f"{target.ip}:{target.port}",
        "destination_principal": None,
        "grpc_status": None,
    }.items() <= paid.items()
    assert paid["request_id"]
    assert (lost["response_code"], lost["response_flags"]) == (404, "NR")
    assert "4242" not in caller.log


async def test_a_part_of_the_requests_is_logged(proxy, pod, shapes):
    hosts = [shapes.Host("payment", {"payment": 100})]
    services = [shapes.Service("payment", [await pod("payment-a", ok)])]
    caller = await proxy(hosts, services, observe=observation(access_log_percent=20))
    await caller.call("payment", 300, path="/first")
    await caller.call("payment", 100, path="/last")
    found = await logged(caller, lambda found: any(line["path"] == "/last" for line in found))
    # 60 are expected, and both bounds are more than five standard deviations away.
    assert 20 < sum(line["path"] == "/first" for line in found) < 100
