"""What people ask on the command line, of a real cluster, control plane and Envoys."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from click.testing import CliRunner

from mesh.cli import mesh as mesh_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from coalmine.local.cluster import LocalCluster

pytestmark = pytest.mark.integration

API = "networking.istio.io/v1"


@pytest.fixture
def ask(mesh: LocalCluster) -> Callable[..., str]:
    """Runs ``coalmine mesh …`` with nothing but the kubeconfig: the control plane is found through the cluster."""

    def invoke(args: tuple[str, ...], stdin: str) -> Any:
        command = [*args, "--kubeconfig", str(mesh.kubeconfig)]
        return CliRunner().invoke(mesh_command, command, input=stdin, catch_exceptions=False)

    def run(*args: str, fails: bool = False, stdin: str = "") -> str:
        # In a thread: each command has an event loop of its own, and so may the test.
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(invoke, args, stdin).result()
        assert (result.exit_code != 0) == fails, result.output
        return result.output

    return run


def rule(name: str, kind: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


async def until(look: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """Return what a look sees as soon as it is what is wanted."""
    async with asyncio.timeout(120):
        while not wanted(seen := await asyncio.to_thread(look)):  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.2)
    return seen


async def send(shop: Any, count: int, path: str = "/charge") -> list[int]:
    found = []
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            async with session.get(f"http://payment{path}", proxy=shop.proxy) as response:
                await response.read()
                found.append(response.status)
    return found


def caller(shop: Any) -> str:
    return f"{shop.pods('caller')[0]['metadata']['name']}.{shop.namespace}"


async def test_every_proxy_is_synced_also_when_one_refused_what_was_then_taken_out(shop, ask):
    def statuses() -> dict[str, Any]:
        found = json.loads(ask("proxy-status", "-n", shop.namespace, "-o", "json"))["proxies"]
        return {f"{p['pod']}.{p['namespace']}": p for p in found}

    def synced(found: dict[str, Any]) -> bool:
        return all(t["status"] != "STALE" for p in found.values() for t in p["types"].values())

    before = await until(statuses, synced)
    assert len(before) == 4
    mine = before[caller(shop)]
    assert (mine["connected"], mine["build"]) == (True, "1.40.0")
    assert {kind: mine["types"][kind]["status"] for kind in ("CDS", "EDS", "LDS", "RDS")} == dict.fromkeys(
        ("CDS", "EDS", "LDS", "RDS"), "SYNCED"
    )

    # The control plane cannot see a pod's files: only its Envoy can know that this one is missing.
    tls = {"mode": "SIMPLE", "caCertificates": "/no/such/file.pem"}
    shop.apply(rule("unreadable", "DestinationRule", host="payment", trafficPolicy={"tls": tls}))
    try:
        event = shop.event("Refused")
        assert event["regarding"]["name"] == "unreadable"
        assert "/no/such/file.pem" in event["note"]
        assert set(await send(shop, 20)) == {200}, "the proxies keep what they hold"
        await until(statuses, synced)
    finally:
        shop.kubectl("delete", "destinationrule", "unreadable", "-n", shop.namespace)
    await until(statuses, synced)


@pytest.mark.parametrize("part", ["listeners", "routes", "clusters", "endpoints", "secrets"])
def test_each_part_of_a_proxys_configuration_can_be_seen(shop, ask, part):
    assert json.loads(ask("proxy-config", part, caller(shop), "-o", "json"))
    assert json.loads(ask("proxy-config", part, caller(shop), "-o", "raw"))
    assert ask("proxy-config", part, caller(shop)).count("\n") > 1


def test_the_weights_are_in_the_routes_that_the_proxy_holds(shop, ask):
    shop.acknowledged(shop.split(payment=75, payment_canary=25))
    routes = json.loads(ask("proxy-config", "routes", caller(shop), "--grep", "payment-canary", "-o", "json"))
    whole = [r for r in routes if r["host"].startswith("payment.") and "25 %" in r["destination"]]
    assert whole
    assert "75 %" in whole[0]["destination"]


def test_a_pod_without_a_sidecar_is_told_so(shop, ask):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "labels": {"coalmine.dev/inject": "disabled"}},
        "spec": {"nodeName": "elsewhere", "containers": [{"name": "app", "image": "none"}]},
    }
    shop.apply(pod)
    try:
        assert "pod bare in namespace" in ask("proxy-config", "routes", f"bare.{shop.namespace}", fails=True)
        assert "there is no pod nosuch" in ask("proxy-config", "routes", "nosuch", "-n", shop.namespace, fails=True)
        assert "nothing asks for one" in ask("describe", "pod", f"bare.{shop.namespace}")
    finally:
        shop.kubectl("delete", "pod", "bare", "-n", shop.namespace, "--force", "--grace-period=0")


def test_analyze_finds_what_is_wrong_in_the_cluster(shop, ask):
    destinations = [{"destination": {"host": "payment", "subset": "v9"}}]
    shop.apply(
        rule("wrong", "VirtualService", hosts=["payment"], http=[{"route": destinations}]),
        rule("wrong", "DestinationRule", host="nosuch"),
    )
    try:
        found = json.loads(ask("analyze", "-n", shop.namespace, "-o", "json", fails=True))
        errors = {(f["code"], f["object"]["kind"], f["object"]["name"]) for f in found if f["severity"] == "Error"}
        assert errors == {("CM0101", "VirtualService", "wrong"), ("CM0102", "DestinationRule", "wrong")}
        assert "CM0101" in ask("describe", "service", f"payment.{shop.namespace}")
        ask("analyze", "-n", shop.namespace, "--suppress", "CM0101,CM0102")
    finally:
        for kind in ("virtualservice", "destinationrule"):
            shop.kubectl("delete", kind, "wrong", "-n", shop.namespace)
    ask("analyze", "-n", shop.namespace)


def test_pods_that_predate_the_label_are_named_and_restarted(make_namespace, kubectl, mesh, ask):
    namespace = make_namespace()
    container = {"name": "app", "image": "none", "command": ["sleep", "3600"]}
    template = {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [container]}}
    selector = {"matchLabels": {"app": "old"}}
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "old"}}
    kubectl(
        "apply",
        "-n",
        namespace,
        "-f",
        "-",
        stdin=json.dumps({**manifest, "spec": {"selector": selector, "template": template}}),
    )
    kubectl("wait", "deployment/old", "--for=condition=Available", "-n", namespace, "--timeout=120s")
    kubectl("label", "namespace", namespace, "coalmine.dev/inject=enabled")
    said = ask("analyze", "-n", namespace, "--fail-on", "warning", fails=True)
    assert f"CM0401  Deployment {namespace}/old" in said
    (pod,) = json.loads(kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    assert pod["metadata"]["name"] in said
    assert "Aborted" in ask("analyze", "-n", namespace, "--restart", fails=True, stdin="n\n")
    assert f"deployment/old in {namespace} restarted" in ask("analyze", "-n", namespace, "--restart", "--yes")
    kubectl("rollout", "status", "deployment/old", "-n", namespace, "--timeout=90s")
    kubectl("wait", "pod", pod["metadata"]["name"], "--for=delete", "-n", namespace, "--timeout=90s")
    ask("analyze", "-n", namespace, "--fail-on", "warning")


def test_describe_tells_what_applies_to_a_service(shop, ask):
    shop.acknowledged(shop.split(payment=90, payment_canary=10))
    said = ask("describe", "service", f"payment.{shop.namespace}")
    assert f"TrafficSplit {shop.namespace}/payment: payment 90 %, payment-canary 10 %" in said
    assert re.search(r"in force on all \d+ proxies", said)  # pods of earlier tests may be on their way out
    name = shop.pods("payment")[0]["metadata"]["name"]
    pod = ask("describe", "pod", name, "-n", shop.namespace)
    assert f"payment.{shop.namespace}" in pod
    assert "RDS SYNCED" in pod
    assert "in force: 8080 PERMISSIVE" in pod


async def test_the_pages_of_the_control_plane_refuse_nonsense(mesh):
    async with aiohttp.ClientSession() as session:
        for seconds in ("x", "0", "1e9", "nan"):
            async with session.get(f"{mesh.mesh_url}/v1/graph?seconds={seconds}") as response:
                assert response.status == 400
                assert f"seconds={seconds}" in await response.text()


def test_without_a_control_plane_it_says_what_to_do(ask):
    said = ask("proxy-status", "--mesh-url", "http://127.0.0.1:9", fails=True)
    assert "--mesh-url" in said
