"""Kinds of requests, end to end: what each is counted as, how many there are, and what the judge makes of a mix."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from analysis.judges import judge
from analysis.model.policy import Policy
from analysis.model.verdict import Decision
from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.ir.traffic import ClusterKey, Destination, Match, Route, StringMatch
from mesh.resolve.kinds import MOST, read_kinds, told_apart
from mesh.telemetry.counters import Host
from rollouts.core.naming import Names
from rollouts.engine.measure import arms

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.model.counts import Window
    from analysis.model.verdict import Verdict

pytestmark = pytest.mark.integration

PAYMENT = Host("shop", "payment")
NAMES = Names("payment", "payment")
DEADLINE = 20.0
GRPC = {"Content-Type": "application/grpc"}


def to(**weights: int) -> tuple[Destination, ...]:
    return tuple(
        Destination(ClusterKey("shop", name.replace("_", "-"), 80), weight) for name, weight in weights.items()
    )


async def ok(_: web.Request) -> web.Response:
    return web.Response()


async def counted(store: Any, requests: int) -> Counter[tuple[str, str, str]]:
    """Wait until exactly so many requests are in closed windows, and return the attempts of each row.

    Envoy may send a histogram a second before or after its counter, so they agree in the end and not in each window.
    """
    end = time.monotonic() + DEADLINE
    while True:
        store.tick()
        rows = [row for _, window in store.windows(PAYMENT) for row in window.pods]
        seen = sum(row.requests for row in rows)
        found: Counter[tuple[str, str, str]] = Counter()
        timed: Counter[tuple[str, str, str]] = Counter()
        for row in rows:
            found[row.backend, row.pod, row.route] += row.attempts
            timed[row.backend, row.pod, row.route] += sum(row.latency)
        if seen >= requests and found == timed:
            assert seen == requests
            return found
        assert time.monotonic() < end, f"{seen} of {requests}"
        await asyncio.sleep(0.05)


async def test_each_kind_of_request_is_counted_apart(receiver, proxy, pod, shapes):
    kinds, problems = read_kinds("/api/orders, POST /api/orders, /shop.Payments/Refund")
    assert problems == ()
    routes = told_apart([Route("default", Match(), to(payment=1))], kinds)
    service = shapes.Service("payment", [await pod("payment-a", ok)])
    caller = await proxy([shapes.Host("payment", {}, routes=routes)], [service])
    calls: dict[str, list[tuple[str, str, dict[str, str]]]] = {
        "/api/orders": [("GET", "/api/orders/7?full=1", {}), ("PUT", "/api/orders", {})],
        "POST /api/orders": [("POST", "/api/orders", {})],
        "/shop.Payments/Refund": [("POST", "/shop.Payments/Refund", GRPC)],
        "read": [
            *(("GET", "/", {}), ("HEAD", "/x", {}), ("OPTIONS", "/x", {})),
            *(("POST", "/shop.Payments/ListRefunds", GRPC), ("GET", "/api?next=/api/orders", {})),
        ],
        "write": [
            *(("POST", "/", {}), ("DELETE", "/x", {}), ("PROPFIND", "/x", {})),
            *(("POST", "/shop.Payments/Settle", GRPC), ("POST", "/api", {})),
        ],
    }

    for requests in calls.values():
        for method, path, headers in requests:
            assert await caller.call("payment", 2, method=method, path=path, headers=headers) == [200, 200]

    expected = {("payment", "payment-a", kind): 2 * len(requests) for kind, requests in calls.items()}
    assert await counted(receiver.store, sum(expected.values())) == expected
    assert "warning" not in caller.log


async def test_retries_and_requests_without_a_pod_have_their_kind(receiver, proxy, pod, shapes):
    routes = told_apart([Route("default", Match(), to(payment=1))], ())
    nobody = await pod("payment-a")
    caller = await proxy([shapes.Host("payment", {}, routes=routes)], [shapes.Service("payment", [nobody])])
    assert await caller.call("payment", method="POST") == [503]
    assert await counted(receiver.store, 1) == {("payment", "payment-a", "write"): 3}

    caller.write([shapes.Host("payment", {}, routes=routes)], [shapes.Service("payment", [])])
    await caller.changed()
    while await caller.call("payment") == [0]:
        pass
    found = await counted(receiver.store, 2)
    assert set(found) == {("payment", "payment-a", "write"), ("payment", "", "read")}


async def series(caller: Any) -> Counter[str]:
    """Return how many stats of ours the proxy holds, by name."""
    text = await caller.admin("/stats?filter=^coalmine&format=json&histogram_buckets=cumulative")
    stats = json.loads(text)["stats"]
    names = [s["name"] for s in stats if "name" in s]
    names += [d["name"] for s in stats if "histograms" in s for d in s["histograms"]]
    return Counter(name.split(".")[1] for name in names)


async def test_what_callers_send_cannot_make_more_kinds(receiver, proxy, pod, shapes):
    rules = [Route(f"r{i}", Match(StringMatch("prefix", f"/{i}/")), to(payment=1), rule=f"r{i}") for i in range(30)]
    routes = told_apart([*rules, Route("default", Match(), to(payment=1))], read_kinds("/api/orders")[0])
    service = shapes.Service("payment", [await pod("payment-a", ok)])
    caller = await proxy([shapes.Host("payment", {}, routes=routes)], [service])

    paths = [*(f"/{i}/x" for i in range(30)), *(f"/api/orders/{i}" for i in range(10)), *(f"/{i}" for i in range(10))]
    for path in paths:
        for method in ("GET", "MKCOL"):
            await caller.call("payment", method=method, path=path)

    found = await counted(receiver.store, 2 * len(paths))
    assert len(found) == MOST
    assert (await series(caller))["requests"] == MOST


# A mix


_MOST_TURNS = 96


@dataclass
class Backend:
    """Answers quickly to GET, and slowly and now and then with 503 to POST; the same for every pod of a version."""

    fails_each: int
    slow: float = 0.03
    posts: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.Response()
        self.posts += 1
        failed = self.posts % self.fails_each == 0
        await asyncio.sleep(self.slow)
        return web.Response(status=503 if failed else 200)


async def measured(
    receiver: Any,
    proxy: Any,
    pod: Any,
    shapes: Any,
    *,
    writes: int,
    baseline: Backend,
    canary: Backend,
    enough: Callable[[list[Window]], bool],
) -> list[Window]:
    """Send as many reads as writes until it is enough, and return what was counted as the judge gets it.

    Args:
        writes: Percent of the writes that the canary gets; it gets the rest of a hundred of the reads.
        enough: Asked after some thousand requests, and again until it is, at most some times.
    """
    post = StringMatch("exact", "POST")
    rules = [
        Route("writes", Match(method=post), to(payment=100 - writes, payment_canary=writes)),
        Route("default", Match(), to(payment=writes, payment_canary=100 - writes)),
    ]
    stable = [await pod(f"payment-{i}", replace(baseline).answer) for i in range(3)]
    new = [await pod(f"payment-canary-{i}", replace(canary).answer) for i in range(3)]
    caller = await proxy(
        [shapes.Host("payment", {}, routes=told_apart(rules, ()))],
        [shapes.Service("payment", stable), shapes.Service("payment-canary", new)],
    )
    each, turns, found = 10, 12, []
    for sent in range(1, _MOST_TURNS + 1):
        share = [caller.call("payment", each, method=method) for method in ("GET", "POST") for _ in range(8)]
        await asyncio.gather(*share)
        if sent % turns == 0:
            await counted(receiver.store, sent * each * 16)
            found = arms((window for _, window in receiver.store.windows(PAYMENT)), NAMES)
            if enough(found):
                break
    return found


def verdict(windows: list[Window]) -> Verdict:
    """What the judge says of pods that are long warm."""
    start, now = windows[0].start, windows[-1].end
    started = {pod.pod: start - 3600 for window in windows for pod in window.pods}
    return judge(windows, Policy(LATENCY_BOUNDS_MS), pods_started=started, step_starts=(start,), now=now)


def pooled(windows: list[Window]) -> list[Window]:
    """The same counts, as if telemetry did not tell kinds of requests apart."""
    return [replace(w, pods=tuple(replace(pod, route="") for pod in w.pods)) for w in windows]


async def test_a_canary_that_gets_the_dear_requests_is_not_blamed_for_them(receiver, proxy, pod, shapes):
    alike = Backend(fails_each=10)

    def fooled(windows: list[Window]) -> bool:
        return verdict(pooled(windows)).decision is Decision.ROLL_BACK

    windows = await measured(receiver, proxy, pod, shapes, writes=80, baseline=alike, canary=alike, enough=fooled)
    assert fooled(windows)  # else this proves nothing
    found = verdict(windows)
    assert found.decision is not Decision.ROLL_BACK, found


async def test_a_regression_of_one_kind_is_found_behind_a_mix_that_hides_it(receiver, proxy, pod, shapes):
    old, new = Backend(fails_each=10), Backend(fails_each=2)

    def seen(windows: list[Window]) -> bool:
        return verdict(windows).decision is Decision.ROLL_BACK

    windows = await measured(receiver, proxy, pod, shapes, writes=20, baseline=old, canary=new, enough=seen)
    assert seen(windows), verdict(windows)
    assert verdict(pooled(windows)).decision is not Decision.ROLL_BACK  # else the mix hides nothing
