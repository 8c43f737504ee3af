"""Who calls in plaintext: seen by real sidecars, told before STRICT cuts anybody off."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def mesh(make_mesh) -> Any:
    """Namespace with a caller that has no sidecar, besides the usual."""
    mesh = make_mesh()
    mesh.deploy("legacy", inject=False, service=False)
    mesh.available()
    return mesh


@pytest.fixture(autouse=True)
def _no_rules_left(mesh) -> Iterator[None]:
    yield
    mesh.kubectl("delete", "peerauthentication", "--all", "-n", mesh.namespace)


async def coalmine(mesh, *arguments: str) -> tuple[int, str]:
    """Run a command; return its status and output."""
    command = [sys.executable, "-m", "coalmine", "mesh", *arguments, "--kubeconfig", str(mesh.cluster.kubeconfig)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    return process.returncode or 0, (out or err).decode()


async def send(mesh, source: str, count: int = 1, port: int = 15006) -> int:
    """Send requests to payment's sidecar from an address of this machine; return how many were answered."""
    answered = 0
    for _ in range(count):
        connector = aiohttp.TCPConnector(local_addr=(source, 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            try:
                async with session.get(f"http://{mesh.address('payment')}:{port}/") as response:
                    answered += response.status == 200
            except aiohttp.ClientError:
                pass
    return answered


async def check(mesh, *arguments: str) -> tuple[int, dict[str, Any]]:
    status, out = await coalmine(mesh, "check-strict", "-n", mesh.namespace, "-o", "json", *arguments)
    assert out.startswith("{"), out
    return status, json.loads(out)


def callers(found: dict[str, Any]) -> dict[str, int]:
    return {
        f"{c['source']['kind']}/{c['source']['name']}": c["requests"]
        for c in found["cutOff"]
        if c["workload"] == "payment"
    }


async def test_a_caller_without_a_sidecar_is_found_before_strict_refuses_it_and_bridged(mesh, eventually, tmp_path):
    legacy = mesh.address("legacy")
    assert await send(mesh, legacy, 7) == 7
    await mesh.call()

    async def found() -> dict[str, int]:
        return callers((await check(mesh))[1])

    await eventually(found, {"Deployment/legacy": 7})
    status, report = await check(mesh)
    assert status == 1
    (call,) = report["cutOff"]
    assert (call["workload"], call["port"], call["now"]) == ("payment", 8080, "PERMISSIVE")
    assert call["source"]["sidecar"] is False
    seen = {o["workload"]: o for o in report["observed"]}
    assert seen["payment"]["reporting"] == 1
    assert seen["payment"]["called"]
    assert seen["caller"]["called"] is None

    # STRICT with the bridge refuses nobody, and the rest of the namespace takes mutual TLS only.
    mesh.apply(*report["bridge"])
    mesh.peers("STRICT")

    async def plaintext_to_caller() -> str:
        return await mesh.plaintext("caller")

    await eventually(plaintext_to_caller, lambda outcome: outcome != "200")
    assert await send(mesh, legacy) == 1
    assert callers((await check(mesh))[1]) == {}

    # Without the bridge it is refused, and that is counted as well; the rule's author is told.
    mesh.kubectl("delete", "peerauthentication", "payment-still-plaintext", "-n", mesh.namespace)

    async def answered() -> int:
        return await send(mesh, legacy)

    await eventually(answered, 0)

    async def refused() -> list[Any]:
        return [(c["source"]["name"], c["now"]) for c in (await check(mesh))[1]["cutOff"] if c["workload"] == "payment"]

    await eventually(refused, [("legacy", "STRICT")])
    assert "x-forwarded-client-cert" in await mesh.call()

    async def events() -> list[str]:
        return [e["note"] for e in mesh.events("CutsOff") if "legacy" in e["note"]]

    await eventually(events, bool)
    status, out = await coalmine(mesh, "analyze", "-n", mesh.namespace, "--fail-on", "never")
    assert "CM0404" in out, out


async def test_files_are_asked_about_before_they_are_applied(mesh, eventually, tmp_path):
    assert await send(mesh, mesh.address("legacy")) == 1
    strict = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "only"}}
    # Not the caller's pods: the first test may have called them in plaintext before STRICT had come to them.
    other = {"selector": {"matchLabels": {"app": "ledger"}}, "mtls": {"mode": "STRICT"}}
    path = tmp_path / "strict.yaml"
    path.write_text(yaml.safe_dump(strict | {"spec": other}))
    status, report = await check(mesh, "-f", str(path))
    assert (status, report["cutOff"]) == (0, [])

    path.write_text(
        yaml.safe_dump(strict | {"spec": {"selector": {"matchLabels": {"app": "payment"}}, "mtls": {"mode": "STRICT"}}})
    )

    async def status_of() -> int:
        return (await check(mesh, "-f", str(path)))[0]

    await eventually(status_of, 1)
    _, report = await check(mesh, "-f", str(path))
    # The bridge changes the rule that was asked about: of two for the same pods only one is used.
    assert [m["metadata"]["name"] for m in report["bridge"]] == ["only"]
    assert report["bridge"][0]["spec"]["portLevelMtls"] == {"8080": {"mode": "PERMISSIVE"}}


async def test_an_address_of_no_pod_is_outside_the_cluster(mesh, eventually):
    assert await send(mesh, "127.0.0.99") == 1

    async def found() -> dict[str, int]:
        return callers((await check(mesh))[1])

    await eventually(found, lambda seen: seen.get("Address/127.0.0.99") == 1)


async def test_tables_are_for_people(mesh, eventually):
    status, out = await coalmine(mesh, "check-strict", "-n", mesh.namespace)
    assert status == 1
    assert f"Deployment {mesh.namespace}/legacy (no sidecar)" in out, out
    assert "PeerAuthentication" in out
    assert "observed for" in out


async def test_what_comes_around_a_split_is_measured_and_told_with_its_source(mesh, eventually):
    mesh.deploy("payment-canary")
    mesh.available()
    backends = [{"service": "payment", "weight": 90}, {"service": "payment-canary", "weight": 10}]
    split = {"apiVersion": "mesh.coalmine.dev/v1alpha1", "kind": "TrafficSplit", "metadata": {"name": "payment"}}
    mesh.apply(split | {"spec": {"service": "payment", "backends": backends}})

    async def acknowledged() -> bool:
        return "acknowledged" in mesh.get("trafficsplit", "payment").get("status", {})

    await eventually(acknowledged, wanted=True)
    for _ in range(60):
        await mesh.call()
    assert await send(mesh, mesh.address("legacy"), 200) == 200

    async def bypass() -> dict[str, Any]:
        return mesh.get("trafficsplit", "payment")["status"].get("bypass", {})

    def complete(found: dict[str, Any]) -> bool:
        who = f"Deployment {mesh.namespace}/legacy (no sidecar)"
        return any(s["source"] == who and s["requests"] >= 200 for s in found.get("sources", ()))

    await eventually(bypass, complete)
    found = await bypass()
    assert found["around"] >= 200
    assert found["requests"] >= 260
    # All of it went to payment's pod: the canary gets less than it should.
    assert found["shares"]["payment-canary"] < 10

    async def told() -> bool:
        notes = [e["note"] for e in mesh.events("Bypassed")]
        return any("come around the split, from" in note and "legacy" in note for note in notes)

    await eventually(told, wanted=True)
    _, out = await coalmine(mesh, "describe", "service", f"payment.{mesh.namespace}")
    assert "come around" in out, out
    assert f"Deployment {mesh.namespace}/legacy (no sidecar): " in out, out
