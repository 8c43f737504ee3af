"""Which spans each proxy reports."""

from __future__ import annotations

import pytest

from mesh.ir.services import Workload
from mesh.ir.tracing import NO_TRACING, Tag, TracingSettings
from mesh.resolve.objects import read_service
from mesh.resolve.tracing import TelemetryIndex, read_telemetry

SETTINGS = TracingSettings("collector:4317", 1.0)
CALLER = Workload("shop", "caller-7d9f-x2x4k", "10.0.0.1", labels=(("app", "caller"), ("version", "v3")), meshed=True)


def telemetry(name, namespace, *rules, created="2026-01-01T00:00:00Z", **spec):
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    body = {"tracing": list(rules), **spec}
    return read_telemetry({"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": meta, "spec": body})


def index(*rules, settings=SETTINGS, services=()):
    return TelemetryIndex(rules, {s.key: s for s in services}, settings)


def percents(tracing):
    return tuple(spans.sampling.percent if spans else None for spans in (tracing.outbound, tracing.inbound))


def chosen(**labels):
    return {"selector": {"matchLabels": labels}}


def test_without_resources_the_setting_of_the_mesh_holds():
    found = index().tracing(CALLER)
    assert percents(found) == (1.0, 1.0)
    tracer = found.outbound.tracer
    assert (tracer.collector, tracer.service, tracer.revision) == ("collector:4317", "caller.shop", "v3")


def test_without_a_collector_nothing_is_reported_and_authors_are_told():
    rules = index(telemetry("all", "istio-system", {"randomSamplingPercentage": 50}), settings=TracingSettings())
    assert rules.tracing(CALLER) is NO_TRACING
    assert [p.reason for p in rules.problems] == ["NoEffect"]
    unknown = index(telemetry("all", "istio-system", {}), settings=TracingSettings(None))
    assert unknown.tracing(CALLER) is NO_TRACING
    assert unknown.problems == ()


def test_what_a_narrower_resource_does_not_say_comes_from_the_wider_one():
    found = index(
        telemetry(
            "all", "istio-system", {"randomSamplingPercentage": 10, "customTags": {"a": {"literal": {"value": "1"}}}}
        ),
        telemetry("shop", "shop", {"customTags": {"b": {"header": {"name": "x-b", "defaultValue": "none"}}}}),
        telemetry(
            "caller", "shop", {"match": {"mode": "SERVER"}, "randomSamplingPercentage": 0}, **chosen(app="caller")
        ),
        telemetry("other", "other", {"randomSamplingPercentage": 99}),
    ).tracing(CALLER)
    assert percents(found) == (10.0, 0.0)
    assert found.outbound.sampling.tags == found.inbound.sampling.tags == (Tag("b", "header", "x-b", "none"),)


def test_reporting_is_switched_off_and_on_again():
    off, on = {"disableSpanReporting": True}, {"disableSpanReporting": False, "match": {"mode": "CLIENT"}}
    assert percents(index(telemetry("all", "coalmine-system", off)).tracing(CALLER)) == (None, None)
    narrower = index(telemetry("all", "coalmine-system", off), telemetry("shop", "shop", on)).tracing(CALLER)
    assert percents(narrower) == (1.0, None)


def test_a_gateway_reports_what_it_sends_on():
    gateway = Workload("shop", "gate", "10.0.0.2", meshed=True, gateway=True)
    assert percents(index().tracing(gateway)) == (1.0, None)


@pytest.mark.parametrize("selecting", [{}, chosen(app="caller")])
def test_of_two_for_the_same_pods_the_older_is_used_and_the_other_told(selecting):
    old = telemetry("old", "shop", {"randomSamplingPercentage": 5}, **selecting)
    new = telemetry("new", "shop", {"randomSamplingPercentage": 6}, created="2026-02-01T00:00:00Z", **selecting)
    rules = index(new, old)
    assert percents(rules.tracing(CALLER)) == (5.0, 5.0)
    told = [*rules.problems, *rules.shadowed([CALLER])]
    assert [(p.ref.name, p.reason) for p in told] == [("new", "Shadowed")]


def test_a_selector_in_the_root_namespace_is_for_that_namespace():
    rules = index(telemetry("all", "istio-system", {"randomSamplingPercentage": 7}, **chosen(app="caller")))
    assert percents(rules.tracing(CALLER)) == (1.0, 1.0)


def test_a_service_as_target_chooses_its_pods():
    target = {"targetRefs": [{"kind": "Service", "name": "caller"}]}
    meta = {"name": "caller", "namespace": "shop"}
    service = read_service({"metadata": meta, "spec": {"selector": {"app": "caller"}}})
    rules = index(telemetry("one", "shop", {"randomSamplingPercentage": 7}, **target), services=[service])
    assert percents(rules.tracing(CALLER)) == (7.0, 7.0)


def test_all_that_is_not_implemented_is_told():
    rule = {
        "providers": [{"name": "a"}, {"name": "b"}],
        "enableIstioTags": False,
        "customTags": {"x": {}, "y": {"formatter": {"value": "%PROTOCOL%"}}},
    }
    rules = index(telemetry("all", "shop", rule, metrics=[{}], accessLogging=[{"disabled": True}]))
    told = " ".join(p.message for p in rules.problems)
    for path in (
        "spec.metrics",
        "spec.accessLogging",
        "spec.tracing[0].enableIstioTags",
        "spec.tracing[0].providers",
        "spec.tracing[0].customTags[x]",
        "spec.tracing[0].customTags[y].formatter",
    ):
        assert told.count(path) == 1, path


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"randomSamplingPercentage": 101}, "spec.tracing[0].randomSamplingPercentage"),
        ({"customTags": {"a": {"header": {"name": "bad name"}}}}, "spec.tracing[0].customTags.a.header.name"),
        ({"customTags": {"a": {"literal": {}, "header": {"name": "b"}}}}, "spec.tracing[0].customTags.a"),
        ({"match": {"mode": "BOTH"}}, "spec.tracing[0].match.mode"),
    ],
)
def test_a_resource_that_is_not_valid_changes_nothing_and_names_the_field(rule, field):
    rules = index(telemetry("all", "shop", rule))
    assert percents(rules.tracing(CALLER)) == (1.0, 1.0)
    assert [p.message.split(":")[0] for p in rules.problems] == [field]
