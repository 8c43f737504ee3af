"""Both versions' rate, errors and latency from the mesh's windows, live and after the fact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.api.telemetry import LATENCY_BOUNDS_MS, PodWindow, TelemetryWindow
from rollouts.dashboard.traffic import Traffic, quantile_ms


def window(end, seconds=1.0, **backends):
    """A window; backends are (requests, errors) by name."""

    def spread(count):
        return tuple(count if n == 8 else 0 for n in range(len(LATENCY_BOUNDS_MS) + 1))

    pods = tuple(
        PodWindow(
            backend=name.replace("_", "-"),
            pod=f"{name}-1",
            requests=requests,
            attempts=requests,
            attempt_errors=errors,
            latency=spread(requests),
        )
        for name, (requests, errors) in backends.items()
    )
    return TelemetryWindow(epoch="e", start=end - seconds, end=end, reporting=1, pods=pods)


def test_each_version_has_its_lane():
    traffic = Traffic("payment-canary", 100.0)
    traffic.add([window(101.5, payment=(90, 9), payment_canary=(10, 0)), window(102.5, payment=(80, 0))])
    found = traffic.dump()
    assert found["stable"]["t"] == found["canary"]["t"] == [102.0, 103.0]
    assert found["stable"]["rate"] == [90, 80]
    assert found["stable"]["errors"] == [0.1, 0]
    assert found["canary"]["rate"] == [10, 0]
    assert found["canary"]["errors"] == [0, None]
    assert 6 < found["canary"]["p50Ms"][0] < found["canary"]["p99Ms"][0] <= 8
    assert found["canary"]["p99Ms"][1] is None


def test_a_merged_window_is_a_rate_and_no_peak():
    traffic = Traffic("payment-canary", 0.0)
    traffic.add([window(20.0, 10.0, payment=(900, 0))])
    assert traffic.dump()["stable"]["rate"] == [90]


def test_copies_are_nobodys_requests():
    traffic = Traffic("payment-canary", 0.0)
    copy = PodWindow(backend="payment-canary", pod="c", mirrored=True, attempts=50)
    traffic.add([TelemetryWindow(epoch="e", start=0, end=1, reporting=1, pods=(copy,))])
    assert traffic.dump()["canary"]["errors"] == [None]


@given(st.lists(st.tuples(st.floats(0.3, 3.0), st.booleans()), min_size=1, max_size=80))
def test_whoever_appends_each_change_has_what_a_get_gives(gaps):
    """The last bucket may come again with the same time, and is replaced."""
    traffic, held, end = Traffic("c", 0.0, 2.0), {"t": [], "rate": []}, 0.0
    for gap, tell in gaps:
        end += gap
        traffic.add([window(end, gap, payment=(7, 0))])
        if tell:
            fresh = traffic.fresh()
            lane = (fresh or traffic.dump())["stable"]
            if fresh is None:
                held = {name: list(lane[name]) for name in held}
            for t, rate in zip(lane["t"], lane["rate"], strict=True) if fresh else ():
                if held["t"] and held["t"][-1] == t:
                    held["rate"][-1] = rate
                else:
                    held["t"].append(t)
                    held["rate"].append(rate)
            assert held == {name: traffic.dump()["stable"][name] for name in held}


def test_a_long_release_keeps_its_shape_in_wider_buckets():
    traffic = Traffic("c", 0.0)
    traffic.add(window(float(second), payment=(10, 0)) for second in range(1, 4001))
    found = traffic.dump()
    assert found["seconds"] == 8.0
    assert len(found["stable"]["t"]) <= 900
    assert set(found["stable"]["rate"]) == {10}
    assert traffic.fresh() is None, "the buckets are others than were told before"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 6.0), (0.99, 7.96), (1.0, 8.0)])
def test_quantiles_are_interpolated_within_their_bucket(share, expected):
    counts = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    counts[7] = counts[8] = 100
    assert quantile_ms(counts, share) == pytest.approx(expected, abs=0.05)
    assert quantile_ms([], share) is None
