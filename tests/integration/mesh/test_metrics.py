"""Istio's standard metrics: real sidecars, the real control plane, and a real Prometheus that scrapes it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import yaml

from analysis.api.prometheus import PrometheusCounts
from analysis.providers.base import Context
from analysis.providers.prometheus import open_counts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from coalmine.local.cluster import LocalCluster

pytestmark = pytest.mark.integration

BUILDER = Path(__file__).parents[2] / "tools" / "prometheus" / "build.py"
PATIENCE = 60.0


@pytest.fixture(scope="session")
def program() -> str:
    """The real Prometheus, built on first use."""
    built = subprocess.run([sys.executable, str(BUILDER)], stdout=subprocess.PIPE, check=True, text=True)
    return built.stdout.strip()


class Prometheus:
    """A server that scrapes the control plane every second."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.address}/api/v1/query", params={"query": text}) as response,
        ):
            found = (await response.json())["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    async def total(self, text: str, wanted: Callable[[float], bool]) -> float:
        """Wait until a sum is as wanted."""
        end = time.monotonic() + PATIENCE
        while True:
            found = []
            with contextlib.suppress(aiohttp.ClientError):  # it starts
                found = await self.query(text)
            if wanted(value := sum(value for _, value in found)):
                return value
            assert time.monotonic() < end, (text, found)
            await asyncio.sleep(0.2)


@pytest.fixture
async def prometheus(program: str, mesh: LocalCluster, tmp_path: Path) -> AsyncIterator[Prometheus]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    scraped = {"job_name": "mesh", "static_configs": [{"targets": [mesh.mesh_url.removeprefix("http://")]}]}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "900ms"}, "scrape_configs": [scraped]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [program, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with (tmp_path / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, f"--web.listen-address={address}", stdout=log, stderr=log
        )
    yield Prometheus(f"http://{address}")
    process.terminate()
    await process.wait()


async def test_each_request_is_counted_at_both_ends_under_istios_names(shop, prometheus, make_load):
    shop.acknowledged(shop.split(payment=50, payment_canary=50))
    here = f'source_workload="caller",destination_workload_namespace="{shop.namespace}"'
    there = f'reporter="destination",destination_workload_namespace="{shop.namespace}"'
    load = make_load()
    await load.send(200)
    assert not load.failed
    async with (
        aiohttp.ClientSession() as session,
        session.get("http://payment/no-such-path", proxy=shop.proxy) as response,
    ):
        assert response.status == 404

    await prometheus.total(f'istio_requests_total{{reporter="source",{here}}}', lambda total: total == 201)
    await prometheus.total(f"istio_requests_total{{{there}}}", lambda total: total == 201)

    for reporter in ("source", "destination"):
        of = f'reporter="{reporter}",destination_workload_namespace="{shop.namespace}",response_code="200"'
        found = await prometheus.query(f"istio_requests_total{{{of}}}")
        by = {labels["destination_workload"]: (labels, value) for labels, value in found}
        assert {name: value for name, (_, value) in by.items()} == {
            "payment": load.outcomes["v1"],
            "payment-canary": load.outcomes["v2"],
        }
        labels = by["payment-canary"][0]
        spiffe = f"spiffe://cluster.local/ns/{shop.namespace}/sa/default"
        hashes = {pod["metadata"]["labels"]["pod-template-hash"] for pod in shop.pods("payment-canary")}
        assert {labels["destination_version"]} == hashes
        assert {
            "reporter": reporter,
            "destination_app": "payment-canary",
            "destination_service": f"payment-canary.{shop.namespace}.svc.cluster.local",
            "destination_service_name": "payment-canary",
            "destination_service_namespace": shop.namespace,
            "destination_canonical_service": "payment-canary",
            "destination_canonical_revision": "latest",
            "destination_principal": spiffe,
            "source_principal": spiffe,
            "source_workload_namespace": shop.namespace,
            "connection_security_policy": "mutual_tls",
            "request_protocol": "http",
            "response_flags": "-",
        }.items() <= labels.items()
    # All pods here run under one service account, so the called side cannot tell which of them called.
    (labels, _), *_ = await prometheus.query(f'istio_requests_total{{response_code="404",{there}}}')
    assert labels["source_workload"] == "unknown"

    for histogram in ("istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"):
        assert await prometheus.total(f"{histogram}_count{{{there}}}", bool) == 201
        assert await prometheus.total(f'{histogram}_bucket{{le="+Inf",{there}}}', bool) == 201
    sent = await prometheus.total(f'istio_response_bytes_sum{{response_code="200",{there}}}', bool)
    assert 10 * 200 < sent < 500 * 200

    settings = PrometheusCounts(
        address=prometheus.address,
        preset="Istio",
        matchers=f'destination_workload_namespace="{shop.namespace}"',
        canary='destination_workload="payment-canary"',
        baseline='destination_workload="payment"',
        podLabel="destination_workload",
        scrapeInterval="1s",
        lateness="0s",
    )
    context = Context(namespace=shop.namespace, secret=no_secrets, clock=time.time)
    source = open_counts(settings, context, bounds_ms=(100.0, 1000.0), pods=dict)
    more = make_load()
    begun = time.time() - 2
    await more.send(100)
    attempts: Counter[str] = Counter()
    end = time.monotonic() + PATIENCE
    while sum(attempts.values()) < 100:
        assert time.monotonic() < end, (attempts, source.problems)
        await asyncio.sleep(0.5)
        for window in await source.read(begun, time.time()):
            begun = window.end
            for pod in window.pods:
                attempts[pod.pod] += pod.attempts
    assert attempts == {"payment": more.outcomes["v1"], "payment-canary": more.outcomes["v2"]}


async def no_secrets(name: str, key: str) -> str:
    raise AssertionError(f"no Secret is needed: {name} {key}")


async def test_counts_go_on_when_pods_are_replaced(shop, prometheus, make_load):
    of = f'{{reporter="destination",destination_workload_namespace="{shop.namespace}",destination_workload="payment"}}'
    shop.acknowledged(shop.split(payment=100, payment_canary=0))
    await make_load().send(20)
    # Reports come once a second.
    before = await prometheus.total(f"istio_requests_total{of}", lambda total: total >= 20)
    await asyncio.sleep(2)
    before = await prometheus.total(f"istio_requests_total{of}", bool)

    old = {pod["metadata"]["name"] for pod in shop.pods("payment")}
    shop.kubectl("delete", "pod", "-n", shop.namespace, *old)
    shop.kubectl("wait", "deployment", "payment", "--for=condition=Available", "-n", shop.namespace, "--timeout=120s")
    assert not old & {pod["metadata"]["name"] for pod in shop.pods("payment")}
    load = make_load()
    await load.send(30)

    assert not load.failed
    assert await prometheus.total(f"istio_requests_total{of}", lambda total: total >= before + 30) == before + 30
