"""What is kept: of open sources, of their pods, for a while, in bounded memory."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.model.counts import Arm
from analysis.providers.opentelemetry.store import Limits

POD = "payment-a"


def export(otlp, pod, at, streams=1, **resource):
    points = [otlp.histogram({"path": f"/{n}"}, otlp.EPOCH, at, (1, 0, 0)) for n in range(streams)]
    return otlp.message(pod, otlp.latencies(*points), **resource)


def test_a_source_that_was_closed_can_be_opened_again_and_goes_on(otlp, make):
    bench = make()
    bench.send(export(otlp, POD, otlp.EPOCH + 5), otlp.EPOCH + 5)
    asyncio.run(bench.source.close())
    asyncio.run(bench.source.close())
    bench.send(export(otlp, POD, otlp.EPOCH + 15), otlp.EPOCH + 60)
    bench.source = bench.open()
    assert otlp.totals(bench.windows()) == {POD: (1, 0, (1, 0, 0))}


def test_nothing_is_kept_for_long_after_the_last_source_was_closed(otlp, make):
    bench = make()
    bench.send(export(otlp, POD, otlp.EPOCH), otlp.EPOCH)
    asyncio.run(bench.source.close())
    assert bench.store.numbers > 0
    bench.send(export(otlp, POD, otlp.EPOCH + 121), otlp.EPOCH + 121)
    assert bench.store.numbers == 0
    assert not bench.store.wanted


def test_a_pod_that_reports_before_anybody_has_seen_it_is_counted(otlp, make):
    bench = make()
    bench.send(export(otlp, "payment-canary-new", otlp.EPOCH + 10), otlp.EPOCH + 10)
    bench.now = otlp.EPOCH + 30
    bench.arms["payment-canary-new"] = Arm.CANARY
    bench.send(export(otlp, "payment-canary-new", otlp.EPOCH + 20), otlp.EPOCH + 30)
    assert otlp.totals(bench.windows()) == {"payment-canary-new": (1, 0, (1, 0, 0))}


def test_somebody_elses_pods_are_forgotten_and_bounded(otlp, make):
    bench = make(limits=Limits(strangers=3))
    for number in range(10):
        assert bench.send(export(otlp, f"bank-{number}", otlp.EPOCH), otlp.EPOCH) == []
    bench.send(export(otlp, POD, otlp.EPOCH), otlp.EPOCH)
    assert sorted(bench.store.names("k8s.pod.name")) == ["bank-0", "bank-1", "bank-2", POD]
    bench.send(export(otlp, POD, otlp.EPOCH + 121), otlp.EPOCH + 121)
    assert list(bench.store.names("k8s.pod.name")) == [POD]


def test_a_pod_with_too_many_streams_is_left_out_as_a_whole_and_said_so(otlp, make):
    bench = make(limits=Limits(streams=5))
    bench.send(export(otlp, POD, otlp.EPOCH + 10, streams=5), otlp.EPOCH + 10)
    assert bench.store.numbers > 0
    (refused,) = bench.send(export(otlp, POD, otlp.EPOCH + 20, streams=6), otlp.EPOCH + 20)
    assert "use fewer attributes" in refused.words
    assert bench.store.numbers == 0
    assert bench.send(export(otlp, POD, otlp.EPOCH + 30), otlp.EPOCH + 30) != []  # part of it would be a lie
    assert bench.windows() == []
    assert any("use fewer attributes" in one for one in bench.source.problems)


def test_after_a_while_such_a_pod_begins_anew(otlp, make):
    bench = make(limits=Limits(streams=5))
    bench.send(export(otlp, POD, otlp.EPOCH + 10, streams=6), otlp.EPOCH + 10)
    for number in range(3):
        assert bench.send(export(otlp, POD, otlp.EPOCH + 140 + 10 * number, streams=2), otlp.EPOCH + 140) == []
    assert otlp.totals(bench.windows()) == {POD: (0, 0, (0, 0, 0))}


def test_what_is_sent_twice_is_kept_once(otlp, make):
    bench = make()
    bench.send(export(otlp, POD, otlp.EPOCH), otlp.EPOCH)
    once = bench.store.numbers
    bench.send(export(otlp, POD, otlp.EPOCH), otlp.EPOCH)
    assert bench.store.numbers == once > 0


def test_who_was_silent_for_long_has_not_begun_when_it_comes_back(otlp, make):
    bench = make()
    busy, rare = {"path": "/busy"}, {"path": "/rare"}
    for number in range(200):
        at = otlp.EPOCH + 10 * (number + 1)
        points = [otlp.histogram(busy, otlp.EPOCH - 3600, at, (number, 0, 0))]
        if number in {0, 199}:  # a Collector that forgets streams that do not change
            points.append(otlp.histogram(rare, otlp.EPOCH - 3600, at, (500, 0, 0)))
        bench.send(otlp.message(POD, otlp.latencies(*points)), at)
    windows = bench.windows(since=otlp.EPOCH + 1900)
    assert otlp.totals(windows) == {POD: (10, 0, (10, 0, 0))}


@given(
    sends=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 4000), st.integers(1, 9), st.integers(0, 2)),
        min_size=1,
        max_size=60,
    )
)
@settings(max_examples=50)
def test_memory_is_bounded_and_given_back(otlp, sends):
    limits = Limits(streams=7, numbers=2000, strangers=2)
    bench = otlp.bench(limits=limits)
    for pod, at, streams, process in sends:
        name = (*bench.arms, *(f"bank-{n}" for n in range(4)))[pod]
        bench.send(export(otlp, name, otlp.EPOCH + at, streams, **{"process.pid": process}), otlp.EPOCH + at)
        kept = sum(reporter.numbers for each in bench.store.pods() for reporter in each.reporters.values())
        assert bench.store.numbers == kept <= limits.numbers
        assert all(each.streams == sum(len(r.streams) for r in each.reporters.values()) for each in bench.store.pods())
    bench.store.sweep(otlp.EPOCH + 10_000)
    assert bench.store.numbers == 0
