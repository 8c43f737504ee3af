"""What a source counts of what came, and what it says where it cannot."""

from __future__ import annotations

import asyncio

import pytest

from analysis.model.counts import Arm
from analysis.providers.base import ConfigurationError, UnavailableError
from analysis.providers.buckets import exponential_bounds

POD, CANARY = "payment-a", "payment-canary-b"
OK = {"http.response.status_code": 200, "http.route": "/pay"}
BAD = {"http.response.status_code": 503, "http.route": "/pay"}


def send(otlp, bench, pod, *points, at, **resource):
    assert bench.send(otlp.message(pod, otlp.latencies(*points), **resource), at) == []


def counted(otlp, bench, pod=POD):
    return otlp.totals(bench.windows()).get(pod)


def test_the_first_error_counts_though_the_reporter_writes_the_start_of_its_process(otlp, make):
    bench, start = make(), otlp.EPOCH - 3600
    send(otlp, bench, POD, otlp.histogram(OK, start, otlp.EPOCH, (900, 0, 0)), at=otlp.EPOCH)
    points = (
        otlp.histogram(OK, start, otlp.EPOCH + 10, (907, 0, 0)),
        otlp.histogram(BAD, start, otlp.EPOCH + 10, (0, 2, 0)),
    )
    send(otlp, bench, POD, *points, at=otlp.EPOCH + 10)
    assert counted(otlp, bench) == (9, 2, (7, 2, 0))


def test_what_was_before_the_source_was_opened_is_not_counted(otlp, make):
    bench, start = make(), otlp.EPOCH - 3600
    send(otlp, bench, POD, otlp.histogram(OK, start, otlp.EPOCH, (900, 0, 0)), at=otlp.EPOCH)
    assert counted(otlp, bench) is None


def test_a_reporter_that_does_not_know_its_start_begins_with_its_first_point(otlp, make):
    bench = make()
    for number, count in enumerate((500, 520)):
        at = otlp.EPOCH + 10 * number
        send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH, at, (count, 0, 0)), at=at)
    assert counted(otlp, bench) == (20, 0, (20, 0, 0))


def test_a_series_that_ends_and_comes_back_is_counted_on(otlp, make):
    bench = make()
    for number, count in enumerate((5, None, 9)):
        at = otlp.EPOCH + 10 * (number + 1)
        point = otlp.histogram(OK, otlp.EPOCH, at, (count or 0, 0, 0)) | ({"flags": 1} if count is None else {})
        send(otlp, bench, POD, point, at=at)
    assert counted(otlp, bench) == (9, 0, (9, 0, 0))


def test_workers_that_report_as_one_are_told_and_not_counted(otlp, make):
    bench = make()
    for number in range(4):
        for worker in (0, 3):
            at = otlp.EPOCH + 10 * (number + 1) + worker
            count = (100 if worker else 3) * (number + 1)
            send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH + worker, at, (count, 0, 0)), at=at)
    assert counted(otlp, bench) is None
    assert any("service.instance.id" in one for one in bench.source.problems)


def test_workers_with_ids_of_their_own_are_counted_together(otlp, make):
    bench = make()
    for number in range(4):
        for worker in (0, 3):
            at = otlp.EPOCH + 10 * (number + 1) + worker
            own = {"service.instance.id": f"worker-{worker}"}
            send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH + worker, at, (number + 1, 0, 0)), at=at, **own)
    assert counted(otlp, bench) == (8, 0, (8, 0, 0))


def test_errors_are_those_for_which_any_condition_holds(otlp, make):
    bench = make()
    dropped = {"http.route": "/pay", "error.type": "timeout"}
    refused = {"http.route": "/pay", "http.response.status_code": 404}
    points = [otlp.histogram(each, otlp.EPOCH, otlp.EPOCH + 10, (1, 0, 0)) for each in (OK, BAD, dropped, refused)]
    send(otlp, bench, POD, *points, at=otlp.EPOCH + 10)
    assert counted(otlp, bench) == (4, 2, (4, 0, 0))


def test_the_grpc_preset_knows_both_conventions(otlp, make):
    bench = make(preset="Grpc", bounds=(100.0,), latency="rpc.server.duration", requests="rpc.server.duration")
    codes = [{"rpc.grpc.status_code": code} for code in (0, 2, 5, 14)]
    codes += [{"rpc.response.status_code": code} for code in ("OK", "NOT_FOUND", "UNAVAILABLE")]
    points = [otlp.histogram(each, otlp.EPOCH, otlp.EPOCH + 10, (1, 0), (100.0,)) for each in codes]
    sent = otlp.message(POD, otlp.latencies(*points, name="rpc.server.duration", unit="ms"))
    bench.send(sent, otlp.EPOCH + 10)
    assert counted(otlp, bench) == (7, 3, (7, 0))


def test_metrics_of_ones_own_with_attributes_routes_and_a_unit(otlp, make):
    own = {
        "preset": None,
        "requests": "shop.calls",
        "errors": [{"key": "outcome", "operator": "NotIn", "values": ["ok", "cach*"]}],
        "latency": "shop.call.time",
        "latencyUnit": "ms",
        "attributes": [{"key": "service.name", "values": ["shop"]}, {"key": "probe", "operator": "DoesNotExist"}],
        "podAttribute": "pod",
        "routeAttribute": "route",
    }
    bench, span = make(bounds=(5.0,), **own), (otlp.EPOCH, otlp.EPOCH + 10)
    outcomes = ({"outcome": "ok"}, {"outcome": "cached"}, {"outcome": "lost"}, {}, {"outcome": "lost", "probe": True})
    calls = [otlp.number({"pod": POD, "route": "/a"} | each, *span, 5 + n) for n, each in enumerate(outcomes)]
    times = otlp.latencies(
        otlp.histogram({"pod": POD, "route": "/a"}, *span, (19, 1), (5.0,)), name="shop.call.time", unit=""
    )
    sent = otlp.message("", otlp.counter("shop.calls", *calls), times, **{"service.name": "shop"})
    other = otlp.message("", otlp.counter("shop.calls", *calls), times, **{"service.name": "bank"})
    assert bench.send(sent, span[1]) == bench.send(other, span[1]) == []
    (window,) = bench.windows()
    (pod,) = window.pods
    assert (pod.pod, pod.arm, pod.route, pod.attempts, pod.errors, pod.latency) == (
        POD,
        Arm.BASELINE,
        "/a",
        5 + 6 + 7 + 8,
        7 + 8,
        (19, 1),
    )


@pytest.mark.parametrize(("unit", "factor"), [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_the_unit_is_what_the_metric_says(otlp, make, unit, factor):
    bench = make()
    point = otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 10, (1, 2, 3), [factor * 0.1, factor])
    bench.send(otlp.message(POD, otlp.latencies(point, unit=unit)), otlp.EPOCH + 10)
    assert asyncio.run(bench.source.bounds()) == pytest.approx((100.0, 1000.0))
    assert counted(otlp, bench) == (6, 0, (1, 2, 3))


def test_without_a_unit_requests_are_counted_and_latency_is_not(otlp, make):
    bench = make()
    point = otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 10, (1, 2, 3))
    bench.send(otlp.message(POD, otlp.latencies(point, unit="")), otlp.EPOCH + 10)
    with pytest.raises(ConfigurationError, match="write latencyUnit"):
        asyncio.run(bench.source.bounds())
    assert counted(otlp, bench) == (6, 0, ())
    assert any("write latencyUnit" in one for one in bench.source.problems)


def test_a_layout_that_changes_or_is_missing_costs_latency_only(otlp, make):
    bench = make()
    send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 10, (4, 0, 1)), at=otlp.EPOCH + 10)
    send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 20, (8, 1, 1), (0.1, 0.5)), at=otlp.EPOCH + 20)
    bare = otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 30, (), ()) | {"count": 13}
    send(otlp, bench, POD, bare, at=otlp.EPOCH + 30)
    finer = otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 40, (10, 3, 2), (0.1, 1.0))
    send(otlp, bench, POD, finer, at=otlp.EPOCH + 40)
    assert counted(otlp, bench) == (15, 0, (10, 3, 2))
    assert any("no bucket bound at 1000" in one for one in bench.source.problems)
    assert any("without buckets" in one for one in bench.source.problems)


def test_bounds_are_those_that_all_pods_have(otlp, make):
    bench, span = make(), (otlp.EPOCH, otlp.EPOCH + 10)
    with pytest.raises(UnavailableError, match="no pod has sent a histogram"):
        asyncio.run(bench.source.bounds())
    send(otlp, bench, POD, otlp.histogram(OK, *span, (1, 1, 1, 1), (0.0, 0.25, 0.5)), at=span[1])
    send(otlp, bench, CANARY, otlp.histogram(OK, *span, (1, 1, 1), (0.25, 0.75)), at=span[1])
    send(otlp, bench, "other", otlp.histogram(OK, *span, (1, 1), (0.1,)), at=span[1])
    assert asyncio.run(bench.source.bounds()) == (250.0,)
    send(otlp, bench, CANARY, otlp.histogram(OK, otlp.EPOCH, span[1] + 10, (1, 1, 1), (0.3, 0.75)), at=span[1] + 10)
    with pytest.raises(ConfigurationError, match="no bucket bound in common"):
        asyncio.run(bench.source.bounds())
    assert asyncio.run(make(buckets=[10, 20]).source.bounds()) == (10, 20)
    without = {"preset": None, "requests": "calls", "errors": [{"key": "failed", "operator": "Exists"}]}
    assert asyncio.run(make(**without).source.bounds()) == ()


def test_bounds_of_exponential_histograms(otlp, make):
    bench = make()
    point = {
        "timeUnixNano": otlp.nanos(otlp.EPOCH),
        "count": 1,
        "scale": 20,
        "positive": {"offset": -5, "bucketCounts": [1]},
    }
    metric = {
        "name": otlp.REQUESTS,
        "unit": "ms",
        "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [point]},
    }
    bench.send(otlp.message(POD, metric), otlp.EPOCH)
    assert asyncio.run(bench.source.bounds()) == exponential_bounds(1.0)


def test_exports_slower_than_the_settings_say_are_told_with_both_fixes(otlp, make):
    bench = make()
    for number in range(4):
        at = otlp.EPOCH + 60 * (number + 1)
        send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH, at, (number + 1, 0, 0)), at=at)
    assert counted(otlp, bench) is None
    assert any("exportInterval: 60s" in one and "INTERVAL=10000" in one for one in bench.source.problems)


def test_silence_is_said_with_what_was_heard_instead(otlp, make):
    bench = make()
    send(otlp, bench, "bank-x", otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 10, (1, 0, 0)), at=otlp.EPOCH + 10)
    bench.now += 60
    assert asyncio.run(bench.source.read(otlp.EPOCH - 60, bench.now)) == ()
    assert any("it has come from bank-x" in one for one in bench.source.problems)


def test_a_window_waits_for_a_late_pod_and_is_then_the_same_for_ever(otlp, make):
    bench = make()
    for pod in (POD, CANARY):
        send(otlp, bench, pod, otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 9, (1, 0, 0)), at=otlp.EPOCH + 10)
    send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 29, (3, 0, 0)), at=otlp.EPOCH + 30)
    bench.now = otlp.EPOCH + 32
    early = asyncio.run(bench.source.read(otlp.EPOCH - 60, bench.now))
    assert [window.end for window in early] == [otlp.EPOCH + 10]
    send(otlp, bench, CANARY, otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 29, (5, 0, 0)), at=otlp.EPOCH + 33)
    late = asyncio.run(bench.source.read(early[-1].end, bench.now))
    assert otlp.totals(late) == {POD: (2, 0, (2, 0, 0)), CANARY: (4, 0, (4, 0, 0))}
    assert asyncio.run(bench.source.read(otlp.EPOCH - 60, bench.now)) == (*early, *late)


def test_a_pod_whose_clock_is_behind_is_told_and_holds_nobody_up(otlp, make):
    bench = make()
    for number in range(8):
        now = otlp.EPOCH + 10 * (number + 1)
        send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH, now, (number + 1, 0, 0)), at=now)
        send(otlp, bench, CANARY, otlp.histogram(OK, otlp.EPOCH - 90, now - 90, (number + 1, 0, 0)), at=now)
    bench.now += 3
    windows = asyncio.run(bench.source.read(otlp.EPOCH, bench.now))
    assert otlp.totals(windows) == {POD: (8, 0, (8, 0, 0))}
    assert any(CANARY in one and "90 s old when they come" in one for one in bench.source.problems)
    assert not any(POD in one for one in bench.source.problems)


def test_a_pod_whose_clock_is_ahead_is_told(otlp, make):
    bench = make()
    send(otlp, bench, POD, otlp.histogram(OK, otlp.EPOCH, otlp.EPOCH + 300, (1, 0, 0)), at=otlp.EPOCH + 10)
    assert asyncio.run(bench.source.read(otlp.EPOCH - 60, bench.now)) == ()
    assert any("set the clock" in one for one in bench.source.problems)
