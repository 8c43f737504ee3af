"""A release recorded from the mesh's real HTTP stream, cut and resumed, is judged as its windows are live."""

from __future__ import annotations

import asyncio

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from analysis.judges import judge
from analysis.model.counts import Arm
from analysis.model.policy import ErrorPolicy, Policy
from analysis.model.verdict import Decision
from analysis.run.files import read_recording, write_recording
from analysis.run.record import Recorder
from analysis.run.replay import replay
from coalmine.recording.cluster import check_mesh, mesh_feed
from coalmine.recording.follow import FollowError
from coalmine.recording.release import Release
from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.telemetry.counters import Counts, Host, Report, Series
from mesh.telemetry.http import make_app
from mesh.telemetry.store import TelemetryStore
from rollouts.core.naming import Names
from rollouts.engine.measure import arms, of_release

pytestmark = pytest.mark.integration
START = 1_700_000_000.0
BEGAN, STEP, END = START + 200, START + 210, START + 260
HOST = Host("shop", "payment")
RELEASE = Release(Names("payment", "payment"), "payment v2", BEGAN, (STEP,), 10, None, "")


class Mesh:
    """The mesh's store and its HTTP server; one caller reports each second."""

    def __init__(self):
        self.now = START
        self.store = TelemetryStore(clock=lambda: self.now, epoch="e1")
        self.rng = np.random.default_rng(7)
        self.totals: dict[Series, Counts] = {}
        self.runner: web.AppRunner | None = None
        self.port = 0

    def second(self) -> None:
        self.now += 1
        self._count("payment", "payment-a", 40, 0.01)
        self._count("payment", "payment-b", 40, 0.01)
        if self.now > STEP:
            self._count("payment-canary", "payment-canary-c", 20, 0.15)
        self.store.observe(Report("shop/frontend-1", self.now, int(self.now - START) - 1, dict(self.totals)))

    def _count(self, backend: str, pod: str, rate: float, errors: float) -> None:
        attempts = int(self.rng.poisson(rate))
        bad = int(self.rng.binomial(attempts, errors))
        times = np.searchsorted(LATENCY_BOUNDS_MS, self.rng.lognormal(3, 0.4, attempts))
        latency = tuple(int(n) for n in np.bincount(times, minlength=len(LATENCY_BOUNDS_MS) + 1))
        more = Counts(attempts, bad, attempts, bad, latency)
        series = Series(HOST, backend, pod)
        self.totals[series] = self.totals.get(series, Counts()) + more

    async def serve(self) -> None:
        self.runner = web.AppRunner(make_app(self.store, lambda: True), shutdown_timeout=1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        assert self.runner
        for connection in self.runner.server.connections if self.runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await self.runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
async def mesh():
    mesh = Mesh()
    await mesh.serve()
    yield mesh
    await mesh.stop()


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


async def read(feed, recorder, until):
    async with asyncio.timeout(120):
        while recorder.until < until:
            recorder.add(feed.take())
            await asyncio.sleep(0.01)


async def test_a_stream_that_was_cut_is_recorded_whole_and_judged_as_live(mesh, session, tmp_path):
    while mesh.now < BEGAN:
        mesh.second()  # a history, the older part of it in windows of ten seconds
    recorder = Recorder(LATENCY_BOUNDS_MS, began=BEGAN, title=RELEASE.title)
    feed = mesh_feed(session, mesh.url, "shop", RELEASE, BEGAN - 600)
    await read(feed, recorder, mesh.now)
    while mesh.now < END:
        mesh.second()
        if mesh.now == START + 230:
            await read(feed, recorder, mesh.now)
            await mesh.stop()
            mesh.second()
            await mesh.serve()
    await read(feed, recorder, END)
    await feed.close()
    recorder.step_starts, recorder.pods_started, recorder.ended = (STEP,), {"payment-canary-c": BEGAN}, END
    write_recording(tmp_path / "r.jsonl.gz", recorder.lines())
    recording = read_recording(tmp_path / "r.jsonl.gz")

    held = (w for _, w in mesh.store.windows(HOST, since=BEGAN - 600))
    live = of_release(arms(held, RELEASE.names), BEGAN)
    sums = [[sum(getattr(p, f) for w in windows for p in w.pods if p.arm is arm) for arm in Arm for f in ("attempts", "errors")]
            for windows in (recording.windows, live)]  # fmt: skip
    assert sums[0] == sums[1]
    assert recording.windows[-1].end == END

    policy = Policy(LATENCY_BOUNDS_MS, errors=ErrorPolicy(warm_up=0.0))
    looks = replay(recording, policy, every=5.0)
    for look in looks:
        seen = [w for w in live if w.end <= look.time + 1e-6]
        expected = judge(seen, policy, pods_started=recording.pods_started, step_starts=[STEP], now=look.time)
        assert look.verdict.decision is expected.decision
    assert looks[-1].verdict.decision is Decision.ROLL_BACK


async def test_a_mesh_that_is_not_there_or_something_else_is_said(mesh, session):
    assert await check_mesh(session, mesh.url, ("shop", "payment")) == "no proxy has sent a request to payment.shop yet"
    mesh.second()
    mesh.second()
    assert await check_mesh(session, mesh.url, ("shop", "payment")) == ""
    for url in ("http://127.0.0.1:9", f"{mesh.url}/v2", "nonsense"):
        with pytest.raises(FollowError, match=r"--mesh-url .* does not answer there"):
            await check_mesh(session, url, ("shop", "payment"))
