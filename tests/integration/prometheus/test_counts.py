"""Counts per pod from a real Prometheus that scrapes real pods."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter

import pytest

from analysis.api.prometheus import PrometheusCounts
from analysis.model.counts import Arm
from analysis.providers.base import UnavailableError
from analysis.providers.opentelemetry.schema import ExportMetricsServiceRequest
from analysis.providers.prometheus import open_counts

pytestmark = pytest.mark.integration
BOUNDS = (100.0, 1000.0)
ARMS = {"payment-a": Arm.BASELINE, "payment-canary-b": Arm.CANARY}


def source_of(server, context, bounds=BOUNDS, **written):
    settings = PrometheusCounts(
        address=server.address, **{"preset": "Http", "scrapeInterval": "1s", "lateness": "0s"} | written
    )
    return open_counts(settings, context, bounds_ms=bounds, pods=lambda: ARMS)


def totals(windows):
    """Return attempts, errors and latency by pod."""
    attempts, errors, latency = Counter(), Counter(), {}
    for window in windows:
        for pod in window.pods:
            attempts[pod.pod] += pod.attempts
            errors[pod.pod] += pod.errors
            if pod.latency:
                latency[pod.pod] = tuple(map(sum, zip(latency.get(pod.pod, (0,) * 9), pod.latency, strict=False)))
    return dict(attempts), dict(errors), latency


async def read_until(source, begun, condition, eventually):
    """Read as the controller does, always from the end of the last window, until the totals are as expected."""
    windows = []

    async def more():
        since = windows[-1].end if windows else begun
        windows.extend(await source.read(since, time.time()))
        return condition(*totals(windows))

    try:
        await eventually(more, "the counts that were served")
    except AssertionError as error:
        raise AssertionError(f"{totals(windows)}, problems {source.problems}") from error
    assert all(one.end <= other.start for one, other in itertools.pairwise(windows))
    return windows


async def test_every_request_is_counted_once_for_its_pod_and_the_first_error_too(make, context, eventually):
    server, (stable, canary) = await make(*ARMS)
    begun = time.time() - 60
    stable.serve("200", 1000)
    canary.serve("200", 90)
    canary.serve("500", 1, "1")  # its counter did not exist before
    canary.serve("500", 2, "+Inf")
    source = source_of(server, context)

    def complete(attempts, errors, latency):
        return attempts == {"payment-a": 1000, "payment-canary-b": 93} and errors["payment-canary-b"] == 3

    windows = await read_until(source, begun, complete, eventually)
    assert totals(windows)[2] == {"payment-a": (1000, 0, 0), "payment-canary-b": (90, 1, 2)}
    assert {(pod.pod, pod.arm) for window in windows for pod in window.pods} == set(ARMS.items())
    assert list(await source.read(begun, windows[-1].end)) == windows  # asked again, the same
    assert source.problems == ()
    await source.close()


async def test_arms_by_matchers_and_bounds_of_the_histograms(make, context, eventually):
    server, (stable, canary) = await make(*ARMS)
    begun = time.time() - 60
    matchers = {"matchers": 'app="payment"', "canary": 'pod=~"payment-canary-.*"', "baseline": 'pod!~".*canary.*"'}
    source = source_of(server, context, **matchers)
    assert await source.bounds() == BOUNDS
    canary.serve("503", 5)
    stable.serve("200", 7)
    await read_until(
        source,
        begun,
        lambda a, e, _: a == {"payment-a": 7, "payment-canary-b": 5} and e["payment-canary-b"] == 5,
        eventually,
    )
    await source.close()


async def test_a_restarted_pod_counts_from_zero(make, context, eventually):
    server, (stable, canary) = await make(*ARMS)
    begun = time.time() - 60
    canary.serve("200", 500)
    canary.serve("500", 100)
    await asyncio.gather(stable.scraped(), canary.scraped())
    await canary.stop()
    canary.codes, canary.le = {"200": 40, "500": 8}, dict.fromkeys(canary.le, 48)
    await canary.start()
    source = source_of(server, context)
    await read_until(
        source, begun, lambda a, e, _: a.get("payment-canary-b") == 648 and e["payment-canary-b"] == 108, eventually
    )
    await source.close()


async def test_a_pod_that_is_gone_holds_nobody_up(make, context, eventually):
    server, (stable, canary) = await make(*ARMS)
    begun = time.time() - 60
    canary.serve("200", 10)
    await canary.scraped()
    await canary.stop()
    stable.serve("200", 20)
    source = source_of(server, context)
    await read_until(source, begun, lambda a, *_: a == {"payment-a": 20, "payment-canary-b": 10}, eventually)
    assert [pod.pod for pod in (await _newest(source, eventually)).pods] == ["payment-a"]
    await source.close()


async def _newest(source, eventually):
    async def alone():
        windows = await source.read(time.time() - 5, time.time())
        return windows[-1] if windows and len(windows[-1].pods) == 1 else None

    return await eventually(alone, "windows without the pod that is gone")


async def test_an_outage_of_prometheus_is_an_error_and_afterwards_no_evidence(make, context, eventually):
    server, (stable, canary) = await make(*ARMS)
    begun = time.time() - 60
    stable.serve("200", 10)
    canary.serve("200", 10)
    source = source_of(server, context)
    await read_until(source, begun, lambda a, *_: a == {"payment-a": 10, "payment-canary-b": 10}, eventually)
    server.kill()
    with pytest.raises(UnavailableError, match=r"cannot be reached"):
        await source.read(begun, time.time())
    ended = time.time()

    async def long_away():
        return time.time() - ended > 6

    stable.serve("200", 1000)
    canary.serve("500", 1000)  # nobody saw when: the counter began while nothing was scraped
    await eventually(long_away, "an outage longer than the source's patience")
    await server.start()
    await asyncio.gather(stable.scraped(), canary.scraped())
    stable.serve("200", 3)
    canary.serve("200", 4)
    windows = await read_until(source, begun, lambda a, *_: a == {"payment-a": 13, "payment-canary-b": 14}, eventually)
    assert totals(windows)[1]["payment-canary-b"] == 0
    assert any("no samples for" in problem for problem in source.problems)
    await source.close()


async def test_other_buckets_are_said_and_only_latency_is_left_out(make, context, eventually):
    server, (stable, canary) = await make(*ARMS)
    begun = time.time() - 60
    canary.le = {"0.2": 0, "1": 0, "+Inf": 0}
    await canary.scraped()
    stable.serve("200", 10)
    canary.serve("200", 20)
    source = source_of(server, context)
    windows = await read_until(source, begun, lambda a, *_: a == {"payment-a": 10, "payment-canary-b": 20}, eventually)
    assert totals(windows)[2]["payment-a"] == (10, 0, 0)
    assert sum(totals(windows)[2].get("payment-canary-b", (0,))) == 0
    await source.read(begun, time.time())
    (problem,) = source.problems
    assert "payment-canary-b" in problem
    assert "no bucket bound at 100 ms; its buckets are 200, 1000 ms" in problem
    await source.close()


async def test_native_histograms_give_requests_and_latency(make, context, eventually):
    server, _ = await make()
    now = int(time.time())
    for second, counts in ((now - 4, (10, 0)), (now - 3, (15, 5)), (now - 2, (25, 10)), (now - 1, (25, 10))):
        for pod, code in (("payment-a", "200"), ("payment-canary-b", "500")):
            await server.push(exponential(pod, code, second, now - 100, counts))
    settings = {"preset": "OpenTelemetry", "podLabel": "instance"}
    source = source_of(server, context, (), **settings)

    bounds = await source.bounds()
    source = source_of(server, context, bounds, **settings)
    windows = await read_until(
        source, now - 60, lambda a, *_: a == {"payment-a": 25, "payment-canary-b": 25}, eventually
    )
    _, errors, latency = totals(windows)
    assert errors == {"payment-a": 0, "payment-canary-b": 25}
    slow = [bounds[index] for index, count in enumerate(next(iter(windows)).pods[0].latency) if count]
    assert sum(next(iter(latency.values()))) <= 25
    assert slow == [pytest.approx(1000 * 2**0.25), pytest.approx(2000)]
    await source.close()


def exponential(pod: str, code: str, second: int, start: int, counts: tuple[int, int]) -> bytes:
    """Latencies just above 1 s and just below 2 s, at a finer scale than the judge's."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    for key, value in (("service.name", "payment"), ("service.instance.id", pod)):
        attribute = resource.resource.attributes.add()
        attribute.key, attribute.value.string_value = key, value
    metric = resource.scope_metrics.add().metrics.add()
    metric.name, metric.unit = "http.server.request.duration", "s"
    metric.exponential_histogram.aggregation_temporality = 2
    point = metric.exponential_histogram.data_points.add()
    point.start_time_unix_nano, point.time_unix_nano = start * 10**9, second * 10**9
    attribute = point.attributes.add()
    attribute.key, attribute.value.string_value = "http.response.status_code", code
    point.scale = 3
    point.count = sum(counts)
    point.positive.offset = 0
    point.positive.bucket_counts.extend([counts[0], 0, 0, 0, 0, 0, 0, counts[1]])
    return request.SerializeToString()
