"""TCP and TLS rules, TrafficSplits over TCP and rules about ports, on a real Envoy whose pod's packets are redirected."""

from __future__ import annotations

import asyncio
import collections
import ssl
from typing import Any

import pytest

pytestmark = pytest.mark.integration

CONNECTIONS = 200


def virtual_service(**spec: Any) -> dict[str, Any]:
    return {"kind": "VirtualService", "spec": {"hosts": ["db"], **spec}}


def to(host: str = "db", subset: str | None = None, weight: int = 0) -> dict[str, Any]:
    place = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": place, **({"weight": weight} if weight else {})}


def split(**weights: int) -> dict[str, Any]:
    backends = [{"service": s.replace("_", "-"), "weight": w} for s, w in weights.items()]
    return {"kind": "TrafficSplit", "spec": {"service": "db", "backends": backends}}


SUBSETS = {
    "kind": "DestinationRule",
    "spec": {
        "host": "db",
        "subsets": [{"name": f"s{n}", "labels": {"version": f"db-{n}"}} for n in (1, 2)],
    },
}


async def shares(captured: Any, count: int = CONNECTIONS) -> collections.Counter[str]:
    """Return which pods answer connections, one after the other."""
    return collections.Counter([await captured.backend() for _ in range(count)])


async def test_without_a_rule_connections_go_to_the_hosts_own_pods(captured):
    await captured.told()
    assert set(await shares(captured, 20)) == {"db-1", "db-2"}


async def test_a_tcp_rule_shares_connections_by_subset(captured):
    rule = virtual_service(tcp=[{"route": [to(subset="s1", weight=80), to(subset="s2", weight=20)]}])
    await captured.told(rule, SUBSETS)
    found = await shares(captured)
    assert set(found) == {"db-1", "db-2"}
    # Four standard deviations to each side: 200 · 0.2 ± 4 · √(200 · 0.2 · 0.8).
    assert 17 <= found["db-2"] <= 63


@pytest.mark.parametrize(
    ("match", "labels", "pod"),
    [
        ({"port": 5432}, {}, "db-2"),
        ({"port": 5433}, {}, "db-1"),
        ({"sourceLabels": {"tier": "web"}}, {"tier": "web"}, "db-2"),
        ({"sourceLabels": {"tier": "web"}}, {"tier": "batch"}, "db-1"),
        ({"destinationSubnets": ["10.96.0.0/24"]}, {}, "db-2"),
        ({"destinationSubnets": ["10.97.0.0/24"]}, {}, "db-1"),
    ],
)
async def test_the_first_tcp_rule_that_matches_is_used(captured, match, labels, pod):
    captured.labels |= labels
    rules = [{"match": [match], "route": [to(subset="s2")]}, {"route": [to(subset="s1")]}]
    await captured.told(virtual_service(tcp=rules), SUBSETS)
    assert set(await shares(captured, 5)) == {pod}


async def test_a_tls_rule_tells_connections_apart_by_server_name(captured):
    tls = [{"match": [{"port": 5432, "sniHosts": ["two.example.com"]}], "route": [to(subset="s2")]}]
    await captured.told(virtual_service(tls=tls, tcp=[{"route": [to(subset="s1")]}]), SUBSETS)

    async def hello(name: str) -> str:
        """Say hello with a server name; the pod does not speak TLS, so its name comes back where TLS would."""
        sent = ssl.MemoryBIO()
        client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        reader, writer = await captured.inside.connect("10.96.0.10", 5432)
        writer.write(sent.read())
        found = (await asyncio.wait_for(reader.readline(), 15)).decode().strip()
        writer.close()
        return found

    assert await hello("two.example.com") == "db-2"
    assert await hello("one.example.com") == "db-1"
    assert await captured.backend() == "db-1"


async def test_a_split_lies_over_tcp_and_no_change_of_weights_ends_a_connection(captured):
    await captured.told(split(db=100, db_canary=0))
    reader, writer = await captured.inside.connect("10.96.0.10", 5432)
    kept = (await reader.readline()).decode().strip()
    assert kept in {"db-1", "db-2"}
    assert set(await shares(captured, 20)) == {"db-1", "db-2"}

    async def alive(text: bytes) -> bool:
        writer.write(text)
        return await asyncio.wait_for(reader.readline(), 15) == text

    for weight in (20, 50, 100, 0, 100):
        world = await captured.told(split(db=100 - weight, db_canary=weight))
        assert {p.reason for p in world.problems} == {"NotJudged"}
        if weight == 50:
            found = await shares(captured)
            assert 72 <= found["db-canary-1"] <= 128
        elif weight in {0, 100}:
            assert ("db-canary-1" in await shares(captured, 20)) is (weight == 100)
        assert await alive(f"still at {weight}\n".encode())
    await captured.told()
    assert await alive(b"after all\n")
    assert set(await shares(captured, 20)) == {"db-1", "db-2"}
    writer.close()


async def test_a_split_lies_over_the_destinations_of_a_rule(captured):
    rule = virtual_service(tcp=[{"route": [to(subset="s1")]}])
    await captured.told(rule, SUBSETS, split(db=50, db_canary=50))
    found = await shares(captured)
    assert set(found) == {"db-1", "db-canary-1"}
    assert 72 <= found["db-1"] <= 128


async def test_idle_connections_end_as_the_destination_rule_says(captured):
    pool = {"connectionPool": {"tcp": {"idleTimeout": "1s"}}}
    await captured.told({"kind": "DestinationRule", "spec": {"host": "db", "trafficPolicy": pool}})
    reader, writer = await captured.inside.connect("10.96.0.10", 5432)
    await reader.readline()
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()


def policy(action: str, *ports: str) -> dict[str, Any]:
    rules = [{"to": [{"operation": {"ports": list(ports)}}]}]
    return {"kind": "AuthorizationPolicy", "spec": {"action": action, "rules": rules}}


async def test_rules_about_ports_hold_on_ports_that_nobody_declares(captured):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline():
            writer.write(b"here\n")
        writer.close()

    captured.servers += [await captured.inside.serve("10.1.0.1", port, answer) for port in (9998, 9999)]

    async def said(port: int) -> bytes:
        reader, writer = await captured.outside.connect("10.1.0.1", port)
        writer.write(b"hello\n")
        try:
            return await asyncio.wait_for(reader.readline(), 15)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    await captured.told()
    assert [await said(port) for port in (9998, 9999)] == [b"here\n", b"here\n"]
    await captured.told(policy("DENY", "9999"))
    assert [await said(port) for port in (9998, 9999)] == [b"here\n", b""]
    await captured.told(policy("ALLOW", "9999"))
    assert [await said(port) for port in (9998, 9999)] == [b"", b"here\n"]
