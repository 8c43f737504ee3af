"""Whatever the temporality, the histogram, the order and the restarts: what was counted is counted, once."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

POD = "payment-a"
SERVED = {"http.response.status_code": 200, "http.route": "/pay"}
FAILED = {"http.response.status_code": 503, "http.route": "/pay", "error.type": "503"}
INTERVAL = 10.0

counts = st.tuples(*(st.integers(0, 50),) * 3)


@dataclass
class Interval:
    """What happens in one export interval: observations by bucket; whether the process starts anew before it."""

    served: tuple[int, ...]
    failed: tuple[int, ...]
    restarts: bool = False


intervals = st.lists(st.builds(Interval, counts, counts, st.booleans()), min_size=1, max_size=12)


def exports(otlp, lived, temporality, *, renamed=False):
    """Yield each interval's export, as an SDK makes it. With ``renamed``, each process has an instance id of its own."""
    start, sums, process = otlp.EPOCH, {}, 0
    for number, interval in enumerate(lived):
        begin, end = otlp.EPOCH + number * INTERVAL, otlp.EPOCH + (number + 1) * INTERVAL
        if interval.restarts and number:
            start, sums, process = begin + 0.5, {}, process + 1
        if temporality == otlp.DELTA:
            start, sums = max(begin, start), {}
        for name, attrs, served in (("ok", SERVED, interval.served), ("bad", FAILED, interval.failed)):
            if any(served) or name in sums:  # an SDK has no counter that never counted
                before = sums.get(name, (attrs, (0,) * 3))[1]
                sums[name] = attrs, tuple(map(sum, zip(before, served, strict=True)))
        points = [otlp.histogram(attrs, start, end, found) for attrs, found in sums.values()]
        own = {"service.instance.id": f"process-{process}"} if renamed else {}
        if points:
            yield end, otlp.message(POD, otlp.latencies(*points, temporality=temporality), **own)


def expected(lived):
    latency = tuple(sum(one.served[i] + one.failed[i] for one in lived) for i in range(3))
    return sum(latency), sum(sum(one.failed) for one in lived), latency


# A counter of the process before, that counts again long after the restart.
AGAIN = [
    Interval((5, 0, 0), (1, 0, 0)),
    *(Interval((5, 0, 0), (0, 0, 0), restarts=not number) for number in range(30)),
    Interval((5, 0, 0), (2, 0, 0)),
]


@example(lived=AGAIN[:8] + AGAIN[-1:], delta=False, renamed=False, order=Random(1), repeated=0)
@example(lived=AGAIN, delta=False, renamed=False, order=Random(1), repeated=0)
@given(
    lived=intervals,
    delta=st.booleans(),
    renamed=st.booleans(),
    order=st.randoms(use_true_random=False),
    repeated=st.integers(0, 3),
)
def test_every_request_is_counted_once(otlp, lived, delta, renamed, order, repeated):
    bench = otlp.bench()
    sent = list(exports(otlp, lived, otlp.DELTA if delta else otlp.CUMULATIVE, renamed=renamed))
    shuffled = sent + order.sample(sent, min(repeated, len(sent)))
    order.shuffle(shuffled)
    for _, message in shuffled:
        assert bench.send(message) == []
    found = otlp.totals(bench.windows(until=otlp.EPOCH + len(lived) * INTERVAL))
    want = expected(lived)
    assert found.get(POD, (0, 0, ())) == (want if want[0] else (0, 0, ()))
    assert not [one for one in bench.source.problems if "has not come" not in one]


@given(lived=intervals)
def test_the_temporality_makes_no_difference_to_windows(otlp, lived):
    # A counter of which nothing is heard for a while: only a cumulative one shows that nothing happened.
    lived = [Interval((1, *one.served[1:]), one.failed, one.restarts) for one in lived]
    found = []
    for temporality in (otlp.DELTA, otlp.CUMULATIVE):
        bench = otlp.bench()
        for at, message in exports(otlp, lived, temporality):
            bench.send(message, at)
        found.append(bench.windows())
    assert found[0] == found[1]


@given(lived=intervals, lost=st.sets(st.integers(0, 11)), delta=st.booleans())
def test_of_lost_exports_only_what_is_known_is_counted(otlp, lived, lost, delta):
    lived = [Interval((1, *one.served[1:]), one.failed) for one in lived]
    bench = otlp.bench()
    sent = list(exports(otlp, lived, otlp.DELTA if delta else otlp.CUMULATIVE))
    kept = [one for number, one in enumerate(sent) if number not in lost]
    for at, message in kept:
        bench.send(message, at)
    found = otlp.totals(bench.windows(until=otlp.EPOCH + len(lived) * INTERVAL)).get(POD, (0, 0, ()))
    if delta:
        want = expected([one for number, one in enumerate(lived) if number not in lost])
        assert found == (want if kept else (0, 0, ()))
        return
    # What lies between two exports that are too far apart is unknown; each span that is known is counted once.
    ends = [otlp.EPOCH, *(at for at, _ in kept)]
    spans = [
        (round((a - otlp.EPOCH) / INTERVAL), round((b - otlp.EPOCH) / INTERVAL)) for a, b in itertools.pairwise(ends)
    ]
    known = [one for begin, end in spans if end - begin <= 4 for one in lived[begin:end]]
    if any(any(one.failed) for one in lived):  # a counter may begin while nobody hears: then less is known
        assert sum(sum(one.served) for one in known) <= found[0] <= expected(known)[0]
    else:
        assert found == (expected(known) if known else (0, 0, ()))
    told = any("has no samples for" in one for one in bench.source.problems)
    assert told == any(end - begin > 4 for begin, end in spans[1:])


pods = st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=25, max_size=25)


@given(stable=pods, canary=pods, phase=st.integers(0, 9), delta=st.booleans())
@settings(max_examples=25)
def test_reading_on_gives_the_same_windows_as_reading_all(otlp, stable, canary, phase, delta):
    bench, read = otlp.bench(lateness="12s"), []  # no export is under way for longer
    arriving = []
    for name, offset, life in ((POD, 0, stable), ("payment-canary-b", phase, canary)):
        for number, (lost, delay) in enumerate(life):
            begin, end = otlp.EPOCH + offset + INTERVAL * number, otlp.EPOCH + offset + INTERVAL * (number + 1)
            start, count = (begin, 7) if delta else (otlp.EPOCH + offset, 7 * (number + 1))
            point = otlp.histogram(SERVED, start, end, (count, 0, 0))
            metric = otlp.latencies(point, temporality=otlp.DELTA if delta else otlp.CUMULATIVE)
            if not lost:
                arriving.append((end + delay, number, otlp.message(name, metric)))
    arriving.sort(key=lambda one: one[0])
    for second in range(0, 400, 10):  # as the controller reads: from the end of the last window on
        while arriving and arriving[0][0] <= otlp.EPOCH + second:
            at, _, message = arriving.pop(0)
            bench.send(message, at)
        bench.now = otlp.EPOCH + second
        read.extend(asyncio.run(bench.source.read(read[-1].end if read else otlp.EPOCH - 60, bench.now)))
    assert read == list(asyncio.run(bench.source.read(otlp.EPOCH - 60, bench.now)))


@given(
    steps=st.lists(st.tuples(st.integers(-30, 60), st.integers(0, 40)), min_size=1, max_size=20),
    scale=st.integers(-1, 5),
    negative=st.integers(0, 5),
)
def test_exponential_histograms_hold_as_many_at_each_bound_at_every_scale(otlp, steps, scale, negative):
    bench = otlp.bench(bounds=(250.0, 1000.0, 4000.0))
    values = [2.0 ** (index / 8 + 1 / 16) for index, times in steps for _ in range(times)]  # in no bound
    indexes = [math.ceil((index / 8 + 1 / 16) * 2**scale) - 1 for index, times in steps for _ in range(times)]
    low, high = min(indexes, default=0), max(indexes, default=0)
    buckets = [indexes.count(index) for index in range(low, high + 1)] if indexes else []
    point = {
        "attributes": otlp.attributes(SERVED),
        "startTimeUnixNano": otlp.nanos(otlp.EPOCH),
        "timeUnixNano": otlp.nanos(otlp.EPOCH + 10),
        "count": len(values) + negative + 2,
        "scale": scale,
        "zeroCount": 2,
        "positive": {"offset": low, "bucketCounts": buckets},
        "negative": {"offset": 0, "bucketCounts": [negative]},
    }
    histogram = {"aggregationTemporality": 2, "dataPoints": [point]}
    sent = otlp.message(POD, {"name": otlp.REQUESTS, "unit": "s", "exponentialHistogram": histogram})
    assert bench.send(sent, otlp.EPOCH + 10) == []
    found = otlp.totals(bench.windows())[POD]
    edges = (0.25, 1.0, 4.0)
    below = [sum(value <= edge for value in values) + negative + 2 for edge in edges]
    total = len(values) + negative + 2
    assert found[0] == total
    if scale >= 0 or found[2]:
        assert tuple(itertools.accumulate(found[2])) == (*below, total)
    else:  # at scale -1 a bucket spans a factor of four
        assert any("cannot be compared" in one for one in bench.source.problems)
