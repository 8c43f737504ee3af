"""Following a release: which one, until when, and what happens when the cluster or the source falls silent."""

from __future__ import annotations

import asyncio

import pytest

from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import Policy
from analysis.run.record import Recorder
from coalmine.recording.follow import Follower, FollowError, Wish
from rollouts.api.rollout import HistoryEntry, RolloutSpec, RolloutStatus, WorkloadRef
from rollouts.core.machine import Event, State
from rollouts.core.notes import Announcement, Notes
from rollouts.core.observed import Subject, stamp
from rollouts.engine.kube import KubeError
from rollouts.engine.measure import Known

START = 1_700_000_000.0


class World:
    """A cluster and a source of counts that follow a script, on a clock of their own."""

    bounds = (10.0,)
    problems: tuple[str, ...] = ()

    def __init__(self):
        self.now = START
        self.notes: Notes | None = Notes()
        self.history: tuple[HistoryEntry, ...] = ()
        self.script: dict[float, object] = {}
        self.failing = False
        self.problem = ""
        self.since = self.told = 0.0
        self.silent_from = float("inf")
        self.closed = False
        self.said: list[str] = []
        self.shown: list[str] = []
        self.arms: dict[str, Arm] = {}
        self.recorder = Recorder()

    # the cluster

    async def rollout(self):
        if self.failing:
            raise KubeError(503, "", "etcd is not there")
        if self.notes is None:
            return None
        return Subject(
            name="payment", namespace="shop", uid="u", generation=1,
            spec=RolloutSpec(workload_ref=WorkloadRef(name="payment")), spec_error="",
            status=RolloutStatus(internal=self.notes.dump(), history=self.history),
        )  # fmt: skip

    async def pods(self, names):
        if self.failing:
            raise TimeoutError
        assert (names.host, names.canary_service) == ("payment", "payment-canary")
        return Known(
            {"stable-0": START - 900, "canary-0": START + 5}, {"stable-0": Arm.BASELINE, "canary-0": Arm.CANARY}
        )

    # the source: a window a second, from the release's history on

    def open(self, release, since, arms):
        assert release.names.host == "payment"
        self.since = self.told = since
        self.arms = arms
        return self

    def take(self):
        until = min(self.now, self.silent_from)
        found = [
            Window(
                t, t + 1, (PodCounts(Arm.BASELINE, "stable-0", 9, 0, (8, 1)), PodCounts(Arm.CANARY, "canary-0", 1, 1))
            )
            for t in (self.told + n for n in range(int(until - self.told)))
        ]
        self.told = max(until, self.told)
        return found

    async def close(self):
        self.closed = True

    # time

    async def sleep(self, seconds):
        self.now += seconds
        for at in [at for at in self.script if at <= self.now]:
            self.script.pop(at)()
        await asyncio.sleep(0)

    def at(self, seconds, **changes):
        """Let the world be so from then on."""
        self.script[START + seconds] = lambda: [setattr(self, name, value) for name, value in changes.items()]

    async def follow(self, **wish):
        recorder = self.recorder
        follower = Follower(
            self, self.open, recorder,
            Wish(**{"history": 60.0, "last": False, "until": None, "patience": 10.0, **wish}),
            clock=lambda: self.now, sleep=self.sleep, say=self.said.append, update=self.shown.append,
        )  # fmt: skip
        await follower.run()
        return recorder


def notes(state, began=0.0, *steps, **more):
    return Notes(
        state=state, began=START + began, step_starts=tuple(START + s for s in steps), target="7d9c",
        target_images=("shop:2",), since=START + began, **more,
    )  # fmt: skip


def left(event, at):
    return (Announcement(number=1, at=START + at, reason=event.value, note="because"),)


def span(recorder):
    return recorder.windows[0].start - START, recorder.windows[-1].end - START


@pytest.fixture
def world():
    return World()


def taken_back(began=10.0, at=60.0):
    return notes(
        State.ROLLED_BACK,
        began,
        began + 10,
        announcements=left(Event.ROLL_BACK, at),
        outcome="RolledBack",
        reason="errors",
    )


async def test_the_next_release_is_waited_for_and_recorded_from_its_history_to_its_end(world):
    world.at(10, notes=notes(State.STARTING, 10))
    world.at(20, notes=notes(State.JUDGING, 10, 20, weight=10))
    world.at(40, notes=notes(State.JUDGING, 10, 20, 40, weight=50))
    world.at(60, notes=taken_back())
    recorder = await world.follow()
    assert span(recorder) == (-50, 60)
    assert recorder.bounds_ms == (10.0,)
    assert recorder.title == "shop/payment: shop:2"
    assert recorder.step_starts == (START + 20,)
    assert recorder.policy == Policy((10.0,))
    assert recorder.pods_started == {"stable-0": START - 900, "canary-0": START + 5}
    assert world.arms["canary-0"] is Arm.CANARY
    canary = [w.start - START for w in recorder.windows if any(p.arm is Arm.CANARY for p in w.pods)]
    assert canary == [float(second) for second in range(10, 60)]
    assert world.closed
    assert world.said == [
        "waiting for the next release",
        "shop/payment: shop:2 (began 0 s ago)",
        "step 1 began after 10 s: 10 %",
        "step 2 began after 30 s: 50 %",
        "it ended after 50 s: RolledBack: errors",
    ]
    assert world.shown[0] == "no release yet"


async def test_latencies_are_left_out_where_nobody_wants_them_and_a_title_of_ones_own_is_kept(world):
    world.notes = notes(State.JUDGING, -10, -5, weight=10)
    world.recorder = Recorder(title="mine")
    recorder = await world.follow(until=START + 5, latency=False)
    assert recorder.bounds_ms == ()
    assert not any(pod.latency for window in recorder.windows for pod in window.pods)
    assert recorder.problems == ()
    assert recorder.policy.latency is None
    assert recorder.title == "mine"


async def test_a_release_that_goes_on_is_recorded_from_its_beginning(world):
    world.notes = notes(State.JUDGING, -120, -100, weight=10)
    world.at(5, notes=taken_back(-120.0, 4.0))
    assert span(await world.follow()) == (-180, 4)


async def test_the_last_one_is_recorded_only_when_it_is_asked_for(world):
    world.notes = taken_back(-200.0, -100.0)
    world.history = (
        HistoryEntry(
            revision="7d9c", outcome="RolledBack", reason="errors", started_at=stamp(START - 200), ended_at="x"
        ),
    )
    recorder = await world.follow(last=True)
    assert span(recorder) == (-260, -100)
    assert recorder.step_starts == (START - 190,)
    world.said.clear()
    world.recorder = Recorder()
    with pytest.raises(FollowError, match="no release began in the time of --for"):
        await world.follow(until=START + 30)
    assert "--last records it" in world.said[0]


@pytest.mark.parametrize(("state", "words"), [(None, "has had no release yet"), (State.JUDGING, "leave --last out")])
async def test_last_where_there_is_no_last_one_is_refused(world, state, words):
    world.notes = Notes() if state is None else notes(state, -10)
    with pytest.raises(FollowError, match=words):
        await world.follow(last=True)


async def test_the_time_that_is_given_ends_it(world):
    world.notes = notes(State.JUDGING, -10, -5, weight=10)
    recorder = await world.follow(until=START + 30)
    assert span(recorder) == (-70, 30)
    assert recorder.ended is None


async def test_a_deleted_rollout_and_a_next_release_end_it_where_it_was_seen_last(world):
    world.notes = notes(State.JUDGING, -10, -5, weight=10)
    world.at(20, notes=None)
    assert span(await world.follow()) == (-70, 19)
    assert world.said[-1].endswith("the Rollout was deleted")
    world.now, world.recorder, world.notes = START, Recorder(), notes(State.JUDGING, -10, -5, weight=10)
    world.at(20, notes=notes(State.STARTING, 18))
    assert span(await world.follow()) == (-70, 19)
    assert world.said[-1].endswith("the next release has begun")


async def test_no_rollout_is_said_at_once(world):
    world.notes = None
    with pytest.raises(FollowError, match="no such Rollout"):
        await world.follow()


async def test_a_silent_api_server_stops_nothing_and_is_shown(world):
    world.notes = notes(State.JUDGING, -10, -5, weight=10)
    world.at(10, failing=True)
    world.at(30, failing=False, notes=taken_back(-10.0, 25.0))
    assert span(await world.follow()) == (-70, 25)
    assert any("etcd is not there" in text for text in world.shown)


async def test_last_moments_that_do_not_come_are_said_and_not_waited_for_longer_than_it_takes(world):
    world.notes = notes(State.JUDGING, -10, -5, weight=10)
    world.silent_from, world.problem = START + 10, "no telemetry"
    world.at(30, notes=taken_back(-10.0, 30.0))
    recorder = await world.follow()
    assert span(recorder) == (-70, 10)
    assert world.said[-1] == "the counts of the release's last moments are not in the recording: no telemetry"
    assert world.now == START + 40
