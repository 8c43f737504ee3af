"""What cannot be counted is refused in words, never counted, never a crash."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.providers.opentelemetry.receiver import parse
from analysis.providers.opentelemetry.schema import ENTRIES, ExportMetricsServiceRequest

POD = "payment-canary-b"


def exponential(otlp, **changed):
    point = {
        "attributes": [],
        "timeUnixNano": otlp.nanos(otlp.EPOCH + 10),
        "count": 3,
        "scale": 2,
        "zeroCount": 1,
        "positive": {"offset": 0, "bucketCounts": [2]},
    }
    return {
        "name": otlp.REQUESTS,
        "unit": "s",
        "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [point | changed]},
    }


def explicit(otlp, temporality=2, **changed):
    point = otlp.histogram({}, otlp.EPOCH, otlp.EPOCH + 10, (1, 2, 3)) | changed
    return otlp.latencies(point, temporality=temporality)


CASES = {
    "a gauge": (
        lambda o: {"name": o.REQUESTS, "gauge": {"dataPoints": [o.number({}, None, o.EPOCH, 1)]}},
        "is a gauge",
    ),
    "a summary": (lambda o: {"name": o.REQUESTS, "summary": {"dataPoints": [{"timeUnixNano": 1}]}}, "is a summary"),
    "a sum that may fall": (
        lambda o: o.counter(o.REQUESTS, o.number({}, o.EPOCH, o.EPOCH + 1, 1), monotonic=False),
        "may fall (an UpDownCounter)",
    ),
    "no temporality": (lambda o: explicit(o, temporality=0), "cumulative or delta"),
    "an unknown temporality": (lambda o: explicit(o, temporality=7), "cumulative or delta"),
    "no time": (lambda o: explicit(o, timeUnixNano=0), "without a time"),
    "an end before the start": (lambda o: explicit(o, startTimeUnixNano=o.nanos(o.EPOCH + 11)), "starts after its end"),
    "no value": (
        lambda o: o.counter(o.REQUESTS, {"timeUnixNano": o.nanos(o.EPOCH)}),
        "without a value",
    ),
    "buckets that do not fit bounds": (lambda o: explicit(o, explicitBounds=[1]), "3 buckets with 1 bounds"),
    "bounds that descend": (lambda o: explicit(o, explicitBounds=[2, 1]), "do not ascend"),
    "a bound that is NaN": (lambda o: explicit(o, explicitBounds=[1, o.real(math.nan)]), "do not ascend"),
    "buckets that do not add up": (lambda o: explicit(o, count=7), "hold 6 together, and a count of 7"),
    "exponential ones that do not": (lambda o: exponential(o, count=7), "hold 3 together, and a count of 7"),
    "an offset beyond all numbers": (
        lambda o: exponential(o, positive={"offset": 2**31 - 1, "bucketCounts": [2]}, scale=-10),
        "at offset 2147483647",
    ),
    "a scale beyond all numbers": (lambda o: exponential(o, scale=-(2**31)), "of scale -2147483648"),
    "too many buckets": (
        lambda o: exponential(o, count=1, positive={"offset": 0, "bucketCounts": [0] * 2000}),
        "has 2000 buckets",
    ),
    "a negative threshold": (lambda o: exponential(o, zeroThreshold=-1), "zero threshold of -1"),
    "a clock far ahead": (lambda o: explicit(o, timeUnixNano=o.nanos(o.EPOCH + 4000)), "set the clock of its node"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_and_said(otlp, make, case):
    metric, words = CASES[case]
    bench = make()
    (refused,) = bench.send(otlp.message(POD, metric(otlp)), otlp.EPOCH + 10)
    assert refused.points == 1
    assert words in refused.words
    if case != "a summary":  # its attributes are not read, so it has no pod unless the resource names it
        assert POD in refused.words
    assert bench.windows() == []
    assert any(words in one for one in bench.source.problems)


def test_only_what_is_asked_for_is_looked_at(otlp, make):
    bench = make()
    other = {"name": "process.cpu.time", "gauge": {"dataPoints": [otlp.number({}, None, otlp.EPOCH, math.nan)]}}
    assert bench.send(otlp.message(POD, other)) == []
    assert bench.store.numbers == 0


def test_points_without_the_pods_name_are_refused_with_the_fix(otlp, make):
    bench = make()
    (refused,) = bench.send(otlp.message("", explicit(otlp)), otlp.EPOCH + 10)
    assert "without the attribute k8s.pod.name" in refused.words
    assert bench.windows() == []
    assert any("OTEL_RESOURCE_ATTRIBUTES=k8s.pod.name=" in one for one in bench.source.problems)


@pytest.mark.parametrize("value", [math.nan, math.inf, -3.0])
@pytest.mark.parametrize("temporality", [1, 2])
def test_a_counter_that_is_no_count_is_no_evidence(otlp, make, value, temporality):
    written = {"preset": None, "requests": "calls", "errors": [{"key": "failed", "operator": "Exists"}]}
    bench = make(**written)
    for number, bad in enumerate([2.0, value, 7.0]):
        begin, end = otlp.EPOCH + 10 * number, otlp.EPOCH + 10 * (number + 1)
        start = otlp.EPOCH if temporality == 2 else begin
        points = [otlp.number({"failed": "x"}, start, end, bad), otlp.number({}, start, end, 10.0 * (number + 1))]
        bench.send(otlp.message(POD, otlp.counter("calls", *points, temporality=temporality)), end)
    found = otlp.totals(bench.windows())[POD]
    assert any("which a counter never is" in one for one in bench.source.problems)
    # A cumulative counter makes up for it; of deltas that interval is unknown, also what succeeded in it.
    assert found[:2] == ((30 + 7, 7) if temporality == 2 else (2 + 10 + 7 + 30, 2 + 7))


_NAMES = st.sampled_from(
    ["resourceMetrics", "scopeMetrics", "metrics", "name", "histogram", "dataPoints", "count", "x"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=20,
)


@given(body=st.binary(max_size=40) | _JSON.map(lambda found: json.dumps(found).encode()))
@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json"])
def test_a_body_is_a_message_or_a_value_error(kind, body):
    with contextlib.suppress(ValueError):
        assert parse(kind, body).DESCRIPTOR.name == "ExportMetricsServiceRequest"


# Fields get values of their kinds at random, far from sense.
_ANY = {
    "string": st.sampled_from(["", "http.server.request.duration", "s", "k8s.pod.name", POD, "503"]),
    "bool": st.booleans(),
    "int32": st.sampled_from([0, 1, 2, 3, -1, 2**31 - 1]),
    "sint32": st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3),
    "uint32": st.sampled_from([0, 1, 2]),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint64": st.integers(0, 2**64 - 1) | st.integers(0, 3),
    "fixed64": st.integers(0, 2**64 - 1)
    | st.integers(0, 3)
    | st.integers(0, 60).map(lambda s: (1_700_000_000 + s) * 10**9),
    "sfixed64": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9),
    "double": st.floats() | st.floats(0, 9),
    "bytes": st.binary(max_size=3),
}


def fill(data, target, depth=0):
    for kind, name, _ in ENTRIES[target.DESCRIPTOR.name]:
        repeated, bare = kind.endswith("*"), kind.removesuffix("*")
        if bare not in ENTRIES:
            if repeated:
                getattr(target, name).extend(data.draw(st.lists(_ANY[bare], max_size=4)))
            elif data.draw(st.booleans()):
                setattr(target, name, data.draw(_ANY[bare]))
        elif depth < 6 and data.draw(st.booleans()):
            if repeated:
                for _ in range(data.draw(st.integers(1, 2))):
                    fill(data, getattr(target, name).add(), depth + 1)
            else:
                getattr(target, name).SetInParent()
                fill(data, getattr(target, name), depth + 1)


@given(data=st.data())
@settings(max_examples=60)
def test_nonsense_is_never_a_crash_and_never_a_negative_count(otlp, data):
    bench = otlp.bench()
    for _ in range(3):
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        resource.resource.attributes.add(key="k8s.pod.name").value.string_value = POD
        metric = resource.scope_metrics.add().metrics.add()
        fill(data, metric)
        metric.name, metric.unit = otlp.REQUESTS, "s"
        bench.send(json_format.MessageToDict(request), otlp.EPOCH + 60)
    for window in bench.windows():
        for pod in window.pods:
            assert pod.attempts >= pod.errors >= 0
            assert all(count >= 0 for count in pod.latency)
    assert all(isinstance(one, str) and "\n" not in one for one in bench.source.problems)
