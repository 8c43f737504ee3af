"""Weights, acknowledgements, drains and a dying control plane, with real sidecars on a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from coalmine.local.layout import MESH
from mesh.wiring.kinds import TRAFFIC_SPLITS
from mesh.wiring.kube import Kube

if TYPE_CHECKING:
    from coalmine.local.cluster import LocalCluster

pytestmark = pytest.mark.integration


async def config_dump(shop: Any) -> dict[str, dict[str, str]]:
    """Return, for each resource that the caller's Envoy got from us, when it got it."""
    async with aiohttp.ClientSession() as session, session.get(f"{shop.admin()}/config_dump?include_eds") as response:
        dump = json.loads(await response.text())
    found: dict[str, dict[str, str]] = {}
    for part in dump["configs"]:
        for key, entries in part.items():
            if key.startswith("dynamic_") and isinstance(entries, list):
                for entry in entries:
                    if entry.get("name") == "default":
                        continue  # the certificate: a new control plane issues one of its own, which breaks nothing
                    found.setdefault(key, {})[json.dumps(entry, sort_keys=True)[:200]] = entry.get("last_updated", "")
    return found


async def test_the_configured_share_is_the_real_share(shop, make_load):
    shop.acknowledged(shop.split(payment=90, payment_canary=10))
    load = make_load()
    await load.send(10_000)
    assert load.failed == {}
    assert 900 <= load.outcomes["v2"] <= 1100


async def test_no_request_fails_while_weights_change_a_hundred_times(shop, make_load, cluster):
    shop.acknowledged(shop.split(payment=100))
    kube = await Kube.connect(str(cluster.kubeconfig))
    load = make_load()
    running = asyncio.create_task(load.run_until_stopped())
    meta = {"namespace": shop.namespace, "name": "payment"}
    try:
        for step in range(100):
            weight = (0, 10, 50, 100)[step % 4]
            backends = [{"service": "payment", "weight": 100 - weight}, {"service": "payment-canary", "weight": weight}]
            spec = {"service": "payment", "backends": backends}
            changed = await kube.apply(TRAFFIC_SPLITS, {"metadata": meta, "spec": spec})
            generation = changed["metadata"]["generation"]
            async with asyncio.timeout(120):
                while True:
                    splits, _ = await kube.list_all(TRAFFIC_SPLITS)
                    status = next(s for s in splits if s["metadata"]["namespace"] == shop.namespace).get("status", {})
                    if status.get("acknowledged", {}).get("generation") == generation:
                        break
                    await asyncio.sleep(0.005)
            assert status["acknowledged"]["weights"] == {"payment": 100 - weight, "payment-canary": weight}
            if weight == 100:
                await load.reaches("v2")
            if weight == 0:
                await load.reaches("v1")
    finally:
        load.stop()
        await running
        await kube.close()
    assert load.failed == {}


def test_a_running_pod_without_a_stream_is_missing(shop):
    shop.acknowledged(shop.split(payment=95, payment_canary=5))
    containers = [{"name": "coalmine-proxy", "image": "none"}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "silent", "labels": {"coalmine.dev/inject": "disabled"}},
        "spec": {"nodeName": "elsewhere", "containers": containers},
    }
    shop.apply(pod)
    patch = json.dumps({"status": {"phase": "Running", "podIP": "127.11.250.250"}})
    where = ("-n", shop.namespace)
    try:
        shop.kubectl("patch", "pod", "silent", *where, "--subresource=status", "--type=merge", "-p", patch)
        name = f"{shop.namespace}/silent"
        path = f"jsonpath={{.status.proxies.missing[0]}}={name}"
        shop.kubectl("wait", "trafficsplit/payment", *where, f"--for={path}", "--timeout=120s")
        generation = shop.split(payment=96, payment_canary=4)
        path = f"jsonpath={{.status.observedGeneration}}={generation}"
        shop.kubectl("wait", "trafficsplit/payment", *where, f"--for={path}", "--timeout=120s")
        status = shop.status()
        assert status["acknowledged"]["weights"] == {"payment": 95, "payment-canary": 5}
        assert status["acknowledged"]["generation"] < generation
    finally:
        shop.kubectl("delete", "pod", "silent", *where, "--force", "--grace-period=0")
    shop.acknowledged(generation)


async def test_what_proxies_refuse_is_told_on_its_object_and_stops_nothing_else(shop, make_load):
    shop.acknowledged(shop.split(payment=90, payment_canary=10))
    tls = {"mode": "SIMPLE", "caCertificates": "/nowhere/roots.pem"}  # only Envoy can know that it is not there
    rule = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "big"}}
    shop.apply({**rule, "spec": {"host": "payment", "trafficPolicy": {"tls": tls}}})
    where = ("-n", shop.namespace)
    try:
        event = shop.event("Refused")
        assert (event["regarding"]["kind"], event["regarding"]["name"]) == ("DestinationRule", "big")
        assert "/nowhere/roots.pem" in event["note"]
        shop.acknowledged(shop.split(payment=60, payment_canary=40))
        load = make_load()
        await load.send(50)
        assert load.failed == {}
        assert shop.status().get("rejections", []) == []
    finally:
        shop.kubectl("delete", "destinationrule", "big", *where)
    shop.acknowledged(shop.split(payment=90, payment_canary=10))


def test_a_split_that_names_no_service_is_not_applied_and_says_so(shop):
    shop.acknowledged(shop.split(payment=100))
    shop.split(payment=50, nosuch=50)
    shop.kubectl("wait", "trafficsplit/payment", "-n", shop.namespace, "--for=condition=Stalled", "--timeout=120s")
    (message,) = {c["message"] for c in shop.status()["conditions"]}
    assert message == f"spec.backends[1].service: there is no Service nosuch in namespace {shop.namespace}: create it"
    shop.acknowledged(shop.split(payment=100))


def test_a_field_that_is_not_implemented_is_told_in_an_event(shop):
    match = [{"statPrefix": "charges"}]
    http = [{"match": match, "route": [{"destination": {"host": "payment"}}]}]
    meta = {"name": "faulty"}
    api = "networking.istio.io/v1"
    shop.apply(
        {"apiVersion": api, "kind": "VirtualService", "metadata": meta, "spec": {"hosts": ["payment"], "http": http}}
    )
    where = ("-n", shop.namespace)
    try:
        event = shop.event("NotImplemented")
        assert event["note"].startswith("spec.http[0].match[0].statPrefix is not implemented")
        assert event["regarding"]["name"] == "faulty"
    finally:
        shop.kubectl("delete", "virtualservice", "faulty", *where)


async def test_no_request_fails_while_pods_end(shop, make_load):
    shop.acknowledged(shop.split(payment=50, payment_canary=50))
    load = make_load()
    running = asyncio.create_task(load.run_until_stopped())
    try:
        await load.reaches("v1")
        for pod in shop.pods("payment"):
            name = pod["metadata"]["name"]
            await asyncio.to_thread(shop.kubectl, "delete", "pod", name, "-n", shop.namespace, "--timeout=90s")
            await asyncio.to_thread(
                shop.kubectl, "rollout", "status", "deployment/payment", "-n", shop.namespace, "--timeout=90s"
            )
        await load.reaches("v1")
    finally:
        load.stop()
        await running
    assert load.failed == {}


def kill(pid: int) -> None:
    """Kill and wait for the end."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([descriptor], [], [])
    os.close(descriptor)


async def test_traffic_flows_on_while_the_control_plane_is_dead_and_nothing_is_sent_again(
    shop, make_load, mesh: LocalCluster
):
    generation = shop.split(payment=70, payment_canary=30)
    shop.acknowledged(generation)
    before = await config_dump(shop)
    assert before
    load = make_load()
    running = asyncio.create_task(load.run_until_stopped())
    try:
        pid = mesh.pid(MESH)
        assert pid is not None
        await asyncio.to_thread(kill, pid)
        await load.reaches("v1")
        await load.reaches("v2")
        await asyncio.to_thread(mesh.start, MESH)
        path = "jsonpath={.status.proxies.acknowledged}=4"
        wait = ("wait", "trafficsplit/payment", "-n", shop.namespace, f"--for={path}", "--timeout=120s")
        await asyncio.to_thread(shop.kubectl, *wait)
        await load.reaches("v2")
    finally:
        load.stop()
        await running
    assert load.failed == {}
    assert await config_dump(shop) == before
    assert shop.status()["acknowledged"]["generation"] == generation
    shop.acknowledged(shop.split(payment=60, payment_canary=40))
