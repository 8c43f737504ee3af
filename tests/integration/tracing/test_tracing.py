"""Traces as a real collector gets them from two real Envoys under the real control plane."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

import pytest
import yaml

from coalmine.local.layout import MESH

pytestmark = pytest.mark.integration
CLIENT, SERVER = 3, 2
ERROR = 2
PARENT = "a2fb4a1d1a96d312"
ROOT = Path(__file__).parents[3]


def new_trace() -> str:
    return secrets.token_hex(16)


def parts(traceparent: str) -> tuple[str, str, str]:
    """Return trace, span and flags."""
    _, trace, span, flags = traceparent.split("-")
    return trace, span, flags


async def test_caller_and_called_are_one_trace(traced, collector):
    seen = await traced.call("/charge?card=4242", x_request_id="11111111-1111-4111-8111-111111111111")
    trace, span, flags = parts(seen["traceparent"])
    assert flags == "01"
    assert seen["x-request-id"] == "11111111-1111-4111-8111-111111111111"

    client, server = sorted(await collector.trace(trace, 2), key=lambda s: s.kind, reverse=True)
    here = traced.namespace
    assert (client.kind, client.service, client.parent) == (CLIENT, f"caller.{here}", "")
    assert (server.kind, server.service, server.parent) == (SERVER, f"payment.{here}", client.id)
    assert server.id == span  # what the application sees is its parent
    assert client.name == f"GET payment.{here}:80"
    assert server.name == f"GET payment.{here}:8080"
    assert (
        server.resource.items()
        >= {
            "k8s.namespace.name": here,
            "k8s.pod.name": traced.pod("payment")["metadata"]["name"],
            "service.version": "v1",
        }.items()
    )
    assert client.resource["k8s.pod.name"] == traced.pod("caller")["metadata"]["name"]
    assert (client.status, server.status) == (0, 0)
    assert client.attributes["http.status_code"] == "200"


async def test_an_application_that_passes_its_headers_on_is_in_the_middle(traced, collector):
    seen = await traced.call("/?next=ledger")
    trace, _, _ = parts(seen["traceparent"])
    found = {(s.kind, s.service.partition(".")[0]): s for s in await collector.trace(trace, 4)}
    chain = [found[key] for key in ((CLIENT, "caller"), (SERVER, "payment"), (CLIENT, "payment"), (SERVER, "ledger"))]
    assert [span.parent for span in chain] == ["", *(span.id for span in chain[:3])]
    assert parts(seen["next"]["traceparent"])[1] == chain[3].id


async def test_a_failed_request_is_an_error_at_both_ends(traced, collector):
    seen = await traced.call("/?status=503", status=503)
    spans = await collector.trace(parts(seen["traceparent"])[0], 2)
    assert [span.status for span in spans] == [ERROR, ERROR]
    assert {span.attributes["http.status_code"] for span in spans} == {"503"}


async def test_a_sampling_of_nothing_records_what_callers_want_recorded_only(traced, collector, eventually):
    traced.sampling(0)

    async def none() -> bool:
        seen = await traced.call()
        return parts(seen["traceparent"])[2] == "00"

    await eventually(none)
    unwanted = {parts((await traced.call())["traceparent"])[0] for _ in range(30)}
    refused, wanted = new_trace(), new_trace()
    assert parts((await traced.call(traceparent=f"00-{refused}-{PARENT}-00"))["traceparent"])[::2] == (refused, "00")
    assert parts((await traced.call(traceparent=f"00-{wanted}-{PARENT}-01"))["traceparent"])[::2] == (wanted, "01")

    client = next(span for span in await collector.trace(wanted, 2) if span.kind == CLIENT)
    assert client.parent == PARENT
    assert not collector.traces & {*unwanted, refused}
    assert "x-client-trace-id" not in await traced.call(traceparent=f"00-{wanted}-{PARENT}-03")


async def test_another_sampling_costs_no_request_and_touches_no_listener(traced, collector, eventually, steady):
    traced.sampling(0)

    def flags(wanted):
        async def check() -> bool:
            return parts((await traced.call())["traceparent"])[2] == wanted

        return check

    await eventually(flags("00"))
    before = {app: await traced.listeners(app) for app in ("caller", "payment")}
    async with steady(traced) as load:
        for percent, wanted in ((100, "01"), (0, "00"), (100, "01")):
            await asyncio.to_thread(traced.sampling, percent)
            await eventually(flags(wanted))
            enough = load.sent + 200

            async def went_on(enough: int = enough) -> bool:
                return load.sent >= enough

            await eventually(went_on)
    assert load.failures == []
    assert {app: await traced.listeners(app) for app in ("caller", "payment")} == before
    recorded = {parts((await traced.call())["traceparent"])[0] for _ in range(20)}
    for trace in recorded:
        assert len(await collector.trace(trace, 2)) == 2


async def test_tags_come_from_headers_literals_and_the_environment(traced, collector, eventually):
    (example,) = yaml.safe_load_all((ROOT / "examples" / "mesh" / "tracing.yaml").read_text())
    example["spec"]["tracing"][0]["customTags"]["pod"] = {"environment": {"name": "POD_NAME"}}
    traced.apply(example)

    async def tagged() -> bool:
        seen = await traced.call(x_tenant="acme")
        found = await collector.trace(parts(seen["traceparent"])[0], 2)
        wanted = {"tenant": "acme", "cluster": "east", "pod": traced.pod("payment")["metadata"]["name"]}
        return any(wanted.items() <= span.attributes.items() for span in found)

    await eventually(tagged)
    seen = await traced.call()
    assert {s.attributes["tenant"] for s in await collector.trace(parts(seen["traceparent"])[0], 2)} == {"none"}


@pytest.mark.parametrize("sampled", ["1", "0"])
async def test_b3_headers_are_a_part_of_the_trace_and_renewed(traced, collector, sampled):
    traces = {kind: new_trace() for kind in ("multi", "single")}
    multi = await traced.call(x_b3_traceid=traces["multi"], x_b3_spanid=PARENT, x_b3_sampled=sampled)
    single = await traced.call(b3=f"{traces['single']}-{PARENT}-{sampled}")

    trace, span, flags = parts(multi["traceparent"])
    assert (trace, flags) == (traces["multi"], f"0{sampled}")
    assert (multi["x-b3-traceid"], multi["x-b3-spanid"], multi["x-b3-sampled"]) == (trace, span, sampled)
    assert "b3" not in multi
    trace, span, flags = parts(single["traceparent"])
    assert (trace, flags) == (traces["single"], f"0{sampled}")
    assert single["b3"] == f"{trace}-{span}-{sampled}"
    assert "x-b3-traceid" not in single

    if sampled == "1":
        for trace in traces.values():
            client, server = sorted(await collector.trace(trace, 2), key=lambda s: s.kind, reverse=True)
            assert (client.parent, server.parent) == (PARENT, client.id)


@pytest.mark.parametrize(
    "headers",
    [
        {"b3": "463ac35c9f6413ad-a2fb4a1d1a96d312-d"},
        {"b3": "463ac35c9f6413ad-a2fb4a1d1a96d312-1-05e3ac9a4f6e3b90"},
        {"x_b3_traceid": "463ac35c9f6413ad", "x_b3_spanid": PARENT, "x_b3_flags": "1"},
    ],
)
async def test_short_trace_ids_are_widened_and_debug_is_a_decision(traced, headers):
    seen = await traced.call(**headers)
    assert parts(seen["traceparent"])[::2] == ("0000000000000000463ac35c9f6413ad", "01")


@pytest.mark.parametrize("headers", [{"b3": "nonsense"}, {"x_b3_traceid": "zz", "x_b3_spanid": PARENT}, {"b3": "0"}])
async def test_b3_headers_without_a_trace_begin_none(traced, headers):
    seen = await traced.call(**headers)
    assert len(parts(seen["traceparent"])[0]) == 32


async def test_w3c_stands_over_b3(traced):
    trace = new_trace()
    seen = await traced.call(traceparent=f"00-{trace}-{PARENT}-00", b3=f"{new_trace()}-{PARENT}-1", tracestate="a=b")
    assert parts(seen["traceparent"])[::2] == (trace, "00")
    assert seen["b3"] == f"{trace}-{parts(seen['traceparent'])[1]}-0"
    assert seen["tracestate"] == "a=b"


async def test_where_reporting_is_off_headers_pass_as_they_came(traced, collector, eventually):
    headers = {
        "traceparent": f"00-{new_trace()}-{PARENT}-01",
        "b3": f"{new_trace()}-{PARENT}-1",
        "x_request_id": "mine",
    }
    traced.sampling(100, disableSpanReporting=True)

    async def unchanged() -> bool:
        seen = await traced.call(**headers)
        return {name: seen[name.replace("_", "-")] for name in headers} == headers

    await eventually(unchanged)
    traced.sampling(100, disableSpanReporting=False)

    async def reported() -> bool:
        return (await traced.call(**headers))["traceparent"] != headers["traceparent"]

    await eventually(reported)


async def test_without_a_collector_headers_pass_as_they_came(traced, eventually, monkeypatch):
    headers = {"traceparent": f"00-{new_trace()}-{PARENT}-01", "x_b3_traceid": new_trace(), "x_request_id": "mine"}
    address = os.environ["COALMINE_TRACING_OTLP"]
    monkeypatch.delenv("COALMINE_TRACING_OTLP")
    traced.cluster.stop(MESH)
    traced.cluster.start(MESH)

    async def unchanged() -> bool:
        seen = await traced.call(**headers)
        return {name: seen[name.replace("_", "-")] for name in headers} == headers

    await eventually(unchanged)
    monkeypatch.setenv("COALMINE_TRACING_OTLP", address)
    traced.cluster.stop(MESH)
    traced.cluster.start(MESH)
