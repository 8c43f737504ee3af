"""Windows: when they close, what is in them, and that every count is in exactly one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.telemetry import store as store_module
from mesh.telemetry.counters import BUCKETS, Counts, Host, Report, Series
from mesh.telemetry.store import FINE, FORGOTTEN, LATENESS, RETENTION, TelemetryStore

PAYMENT = Host("shop", "payment")
ORDERS = Host("shop", "orders")
STABLE = Series(PAYMENT, "payment", "payment-a")
CANARY = Series(PAYMENT, "payment-canary", "payment-canary-b")
WRITES = Series(PAYMENT, "payment", "payment-a", "write")
START = 1_000_000.0


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Envoy:
    """A proxy as it counts; ``flush`` is what it sends."""

    name: str
    clock: Clock
    started: float = START
    totals: dict[Series, Counts] = field(default_factory=dict)

    def count(self, number: int, series: Series = STABLE, errors: int = 0) -> None:
        latency = (*(0,) * 5, number, *(0,) * (BUCKETS - 6))
        added = Counts(number, errors, number, errors, latency)
        self.totals[series] = self.totals.get(series, Counts()) + added

    def flush(self) -> Report:
        return Report(self.name, self.clock.now, int(self.clock.now) - int(self.started), dict(self.totals))

    def restart(self) -> None:
        self.started, self.totals = self.clock.now, {}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> TelemetryStore:
    return TelemetryStore(clock=clock, epoch="e1")


def young(name: str, clock: Clock) -> Envoy:
    """An Envoy that started after the store did."""
    clock.now += 1.5
    return Envoy(name, clock, started=clock.now - 0.5)


def meet(store: TelemetryStore, clock: Clock, first: Envoy, second: Envoy) -> None:
    """Make both known, and close the window in which they became so."""
    for proxy in (first, second, first):
        proxy.count(1)
        clock.now += 0.1
        store.observe(proxy.flush())


def requests(store: TelemetryStore, host: Host = PAYMENT) -> list[int]:
    return [sum(row.requests for row in window.pods) for _, window in store.windows(host)]


def test_a_window_closes_when_every_living_proxy_has_reported(clock, store):
    first, second = young("shop/a", clock), young("shop/b", clock)
    meet(store, clock, first, second)
    closed = len(store.windows(PAYMENT))

    clock.now += 1
    first.count(2)
    store.observe(first.flush())
    assert len(store.windows(PAYMENT)) == closed
    clock.now += 0.3
    second.count(3)
    store.observe(second.flush())

    assert len(store.windows(PAYMENT)) == closed + 1
    newest = store.windows(PAYMENT)[-1].window
    assert newest.reporting == 2
    assert requests(store)[-1] == 5
    assert newest.end == clock.now
    assert newest.start == store.windows(PAYMENT)[-2].window.end


def test_a_late_proxy_is_counted_in_the_next_window(clock, store):
    first, late = young("shop/a", clock), young("shop/b", clock)
    meet(store, clock, first, late)
    clock.now += 1
    store.observe(first.flush())
    late.count(7)
    clock.now += LATENESS
    store.tick()
    assert store.windows(PAYMENT)[-1].window.reporting == 1
    assert requests(store)[-1] == 0

    store.observe(late.flush())
    clock.now += LATENESS
    store.tick()

    assert requests(store)[-1] == 7


def test_a_proxy_that_died_holds_up_one_window_and_no_more(clock, store):
    living, dead = young("shop/a", clock), young("shop/b", clock)
    meet(store, clock, living, dead)
    for _ in range(4):
        clock.now += 0.75
        store.tick()
        clock.now += 0.25
        store.observe(living.flush())

    newest = [window for _, window in store.windows(PAYMENT)][-4:]
    lengths = [window.end - window.start for window in newest]
    assert lengths[0] == pytest.approx(1.75)  # the first look after it was due
    assert lengths[1:] == pytest.approx([0.25, 1.0, 1.0])


def test_silence_is_a_gap_and_never_zeros(clock, store):
    caller, other = young("shop/a", clock), young("shop/b", clock)
    caller.count(1)
    store.observe(caller.flush())
    before = len(store.windows(PAYMENT))

    for _ in range(10):
        clock.now += 1
        other.count(1, Series(ORDERS, "orders", "orders-a"))
        store.observe(other.flush())
        store.tick()

    assert len(store.windows(PAYMENT)) == before
    assert len(store.windows(ORDERS)) > 3
    clock.now += 1
    caller.count(4)
    store.observe(caller.flush())
    clock.now += LATENESS
    store.tick()
    assert requests(store)[before:] == [4]
    gap = store.windows(PAYMENT)[before].window.start - store.windows(PAYMENT)[before - 1].window.end
    assert gap > 5


def test_nothing_at_all_makes_no_windows(clock, store):
    for _ in range(10):
        clock.now += 1
        store.tick()

    assert store.newest == -1


def test_a_host_without_requests_has_windows_without_pods(clock, store):
    proxy = young("shop/a", clock)
    proxy.count(1)
    store.observe(proxy.flush())
    clock.now += 1
    store.observe(proxy.flush())

    idle = store.windows(PAYMENT)[-1].window
    never_called = store.windows(Host("shop", "quiet"))[-1].window
    assert (idle.pods, idle.reporting) == ((), 1)
    assert (never_called.pods, never_called.reporting) == ((), 1)


def test_backends_and_pods_are_told_apart(clock, store):
    proxy = young("shop/a", clock)
    proxy.count(9)
    proxy.count(1, CANARY, errors=1)
    store.observe(proxy.flush())

    rows = {(row.backend, row.pod): row for row in store.windows(PAYMENT)[-1].window.pods}

    assert rows["payment", "payment-a"].requests == 9
    canary = rows["payment-canary", "payment-canary-b"]
    assert (canary.requests, canary.request_errors, canary.attempts, canary.attempt_errors) == (1, 1, 1, 1)
    assert len(canary.latency) == BUCKETS
    assert sum(canary.latency) == 1


def test_kinds_of_requests_are_told_apart_also_when_windows_are_merged(clock, store):
    proxy = young("shop/a", clock)
    for _ in range(int(FINE) + 60):
        clock.now += 1
        proxy.count(2, STABLE)
        proxy.count(1, WRITES)
        store.observe(proxy.flush())

    merged = store.windows(PAYMENT)[1].window
    assert merged.end - merged.start == 10
    assert [(row.pod, row.route, row.requests) for row in merged.pods] == [
        ("payment-a", "", 20),
        ("payment-a", "write", 10),
    ]


def test_what_an_older_envoy_counted_before_us_is_not_ours(clock, store):
    old = Envoy("shop/a", clock, started=START - 100)
    old.count(50)
    clock.now += 1
    store.observe(old.flush())
    assert store.newest == -1, "a window without what was counted would say zero"
    old.count(3)
    clock.now += 1
    store.observe(old.flush())

    ((_, window),) = store.windows(PAYMENT)
    assert requests(store) == [3]
    assert (window.start, window.end) == (START + 1, START + 2)


def test_a_younger_envoys_first_report_counts_from_zero(clock, store):
    proxy = young("shop/a", clock)
    proxy.count(5)
    store.observe(proxy.flush())

    assert sum(requests(store)) == 5


@pytest.mark.parametrize("started", [0.0, 0.1, 0.4, 0.45])
@pytest.mark.parametrize("flushed", [0.9, 1.0, 1.2, 1.5])
def test_an_envoy_as_young_as_the_store_counts_from_zero(started, flushed):
    """Envoy's uptime is the difference of two whole seconds: it may say 2 after 1.1 seconds."""
    clock = Clock(START + 0.5)
    store = TelemetryStore(clock=clock)
    proxy = Envoy("shop/a", clock, started=START + 0.5 + started)
    proxy.count(5)
    clock.now = proxy.started + flushed
    store.observe(proxy.flush())

    assert sum(requests(store)) == 5


def test_the_clocks_of_other_machines_do_not_matter(clock, store):
    proxy = young("shop/a", clock)
    proxy.count(5)
    report = proxy.flush()
    store.observe(Report(report.proxy, report.time - 3600, report.uptime, report.totals))

    assert sum(requests(store)) == 5


def test_a_restart_with_higher_totals_is_noticed_by_its_age(clock, store):
    proxy = young("shop/a", clock)
    proxy.count(5)
    clock.now += 10
    store.observe(proxy.flush())
    proxy.restart()
    proxy.count(8)
    clock.now += 1
    store.observe(proxy.flush())

    assert sum(requests(store)) == 13


def test_an_overtaken_report_adds_nothing(clock, store):
    proxy = young("shop/a", clock)
    proxy.count(5)
    older = proxy.flush()
    proxy.count(1)
    clock.now += 0.1
    store.observe(proxy.flush())
    store.observe(older)
    store.observe(proxy.flush())

    assert sum(requests(store)) == 6


def test_a_series_that_envoy_dropped_starts_again_at_zero(clock, store):
    proxy = young("shop/a", clock)
    proxy.count(5)
    store.observe(proxy.flush())
    proxy.totals.clear()
    clock.now += 1
    store.observe(proxy.flush())
    proxy.count(6)
    clock.now += 1
    store.observe(proxy.flush())

    assert sum(requests(store)) == 11


def test_a_forgotten_proxy_that_speaks_again_is_not_counted_twice(clock, store):
    proxy, other = young("shop/a", clock), young("shop/b", clock)
    proxy.count(5)
    store.observe(proxy.flush())
    clock.now += FORGOTTEN + 1
    store.observe(other.flush())
    clock.now += LATENESS
    store.observe(other.flush())
    assert list(store.proxies) == ["shop/b"]
    store.observe(proxy.flush())
    proxy.count(2)
    clock.now += 1
    store.observe(proxy.flush())
    clock.now += LATENESS
    store.tick()

    assert sum(requests(store)) == 7


def test_a_pod_that_follows_another_counts_though_the_other_was_retired_late(clock, store):
    old, new = young("shop/a", clock), young("shop/b", clock)
    old.count(1)
    store.observe(old.flush())
    clock.now += 1
    store.retire("shop/a")
    new.count(4)
    store.observe(new.flush())

    assert sum(requests(store)) == 5


def test_the_proxies_of_pods_that_are_gone_are_retired(clock, store):
    for name in ("shop/a", "shop/b"):
        proxy = young(name, clock)
        proxy.count(1)
        store.observe(proxy.flush())

    store.retain({"shop/b", "shop/never-heard-of"})

    assert list(store.proxies) == ["shop/b"]


def test_what_a_proxy_has_ejected_is_known_as_long_as_it_is_so(clock, store):
    ejected = {"outbound|80||payment.shop.svc.cluster.local": 1}
    store.observe(Report("shop/a", clock.now, 1, {}, ejected=ejected))
    store.observe(Report("shop/b", clock.now, 1, {}, ejected=ejected))
    assert store.ejected == {"shop/a": ejected, "shop/b": ejected}
    clock.now += 1
    store.observe(Report("shop/a", clock.now, 2, {}))
    store.retire("shop/b")
    assert store.ejected == {}


def test_nobody_waits_for_or_misses_a_retired_proxy(clock, store):
    gone, living = young("shop/a", clock), young("shop/b", clock)
    for proxy in (gone, living):
        proxy.count(1)
        store.observe(proxy.flush())
    store.retire("shop/a")
    clock.now += 1
    store.observe(living.flush())

    assert store.windows(PAYMENT)[-1].window.end == clock.now
    assert store.windows(PAYMENT)[-1].window.reporting == 1
    assert sum(requests(store)) == 2


def test_readers_go_on_where_they_were(clock, store):
    proxy = young("shop/a", clock)
    for _ in range(5):
        clock.now += 1
        proxy.count(1)
        store.observe(proxy.flush())
    all_of_them = store.windows(PAYMENT)

    assert store.windows(PAYMENT, since=all_of_them[1].window.end) == all_of_them[2:]
    assert store.windows(PAYMENT, after=all_of_them[1].number) == all_of_them[2:]
    assert store.windows(PAYMENT, after=store.newest) == []


def test_listeners_hear_of_each_closed_window(clock, store):
    heard: list[int] = []
    stop = store.listen(lambda: heard.append(store.newest))
    proxy = young("shop/a", clock)
    store.observe(proxy.flush())
    stop()
    clock.now += 1
    store.observe(proxy.flush())

    assert heard == [0]


def run_for(store: TelemetryStore, clock: Clock, proxy: Envoy, duration: float) -> int:
    sent = 0
    end = clock.now + duration
    while clock.now < end:
        clock.now += 1
        proxy.count(1)
        sent += 1
        store.observe(proxy.flush())
    return sent


def test_old_windows_are_merged_and_lose_nothing(clock, store):
    proxy = young("shop/a", clock)
    sent = run_for(store, clock, proxy, FINE * 3)

    windows = [window for _, window in store.windows(PAYMENT)]
    assert sum(requests(store)) == sent
    assert len(windows) < FINE + FINE * 2 / 10 + 15
    assert all(a.end == b.start for a, b in itertools.pairwise(windows))
    assert 10 <= max(w.end - w.start for w in windows) < 10 + LATENESS


def test_a_reader_inside_a_merged_window_is_not_given_what_it_has(clock, store):
    proxy = young("shop/a", clock)
    run_for(store, clock, proxy, FINE * 3)
    merged = next(n for n in store.windows(PAYMENT) if n.window.end - n.window.start == 10)

    since = merged.window.start + 4
    assert store.windows(PAYMENT, since=since)[0].window.start == merged.window.end
    assert store.windows(PAYMENT, after=merged.number - 4)[0].window.start == merged.window.end


def test_an_hour_is_kept_and_no_more(clock, store):
    proxy = young("shop/a", clock)
    run_for(store, clock, proxy, RETENTION + 1000)
    windows = store.windows(PAYMENT)

    held = windows[-1].window.end - windows[0].window.start
    assert RETENTION - 10 <= held <= RETENTION + 20
    assert len(windows) < FINE + RETENTION / 10 + 20


def test_many_pods_shorten_the_memory_rather_than_grow_it(clock, store, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_ROWS", 500)
    proxy = young("shop/a", clock)
    for second in range(400):
        clock.now += 1
        for pod in range(20):
            proxy.count(1, Series(PAYMENT, "payment", f"payment-{second}-{pod}"))
        proxy.totals = dict(list(proxy.totals.items())[-20:])
        store.observe(proxy.flush())

    held = sum(len(window.pods) + 1 for _, window in store.windows(PAYMENT))
    assert 100 < held <= 500
    assert store.windows(PAYMENT)[-1].window.end == clock.now


actions = st.lists(
    st.tuples(
        st.sampled_from(["shop/a", "shop/b", "shop/c"]),
        st.sampled_from(["count", "count", "flush", "flush", "restart", "repeat", "tick"]),
        st.integers(0, 20),
        st.sampled_from([STABLE, WRITES, CANARY, Series(ORDERS, "orders", "")]),
    ),
    max_size=120,
)


@given(actions)
@settings(max_examples=150)
def test_the_windows_hold_what_was_counted_whatever_happens(script):
    """Flushes may be late or repeated, and Envoys restart (then what they had not flushed yet is gone)."""
    clock = Clock()
    store = TelemetryStore(clock=clock)
    proxies: dict[str, Envoy] = {}
    flushed: dict[str, int] = {}
    expected = 0
    last: dict[str, Report] = {}
    for name, action, number, series in script:
        clock.now += 0.2 + number / 10
        proxy = proxies.get(name)
        if proxy is None:
            clock.now += 2
            proxy = proxies[name] = Envoy(name, clock, started=clock.now - 1)
            flushed[name] = 0
        match action:
            case "count":
                proxy.count(number, series)
            case "flush":
                clock.now += 0.5
                last[name] = proxy.flush()
                store.observe(last[name])
                total = sum(c.requests for c in proxy.totals.values())
                expected += total - flushed[name]
                flushed[name] = total
            case "repeat" if name in last:
                store.observe(last[name])
            case "restart":
                clock.now += 1  # it was at least two seconds old: a younger one's restart can go unnoticed
                proxy.restart()
                clock.now += 1
                flushed[name] = 0
                last[name] = proxy.flush()
                store.observe(last[name])
            case "tick":
                store.tick()
    clock.now += LATENESS
    store.tick()
    clock.now += LATENESS
    store.tick()

    rows = [row for host in (PAYMENT, ORDERS) for _, window in store.windows(host) for row in window.pods]
    assert sum(row.requests for row in rows) == expected
    assert sum(row.attempts for row in rows) == expected
    assert sum(sum(row.latency) for row in rows) == expected
