"""Sources that are asked: from where they stopped, with their own bounds, and through every failure."""

from __future__ import annotations

import asyncio

import pytest

from analysis.model.counts import Window
from analysis.providers.base import ConfigurationError, NothingYetError, UnavailableError
from rollouts.engine.feeds import PolledFeed


class Source:
    """Answers with one window for each second, or as it is told to fail."""

    problems: tuple[str, ...] = ()

    def __init__(self, world, bounds):
        self.world, self.given = world, bounds
        world.opened.append(bounds)

    async def bounds(self):
        self.world.stumble()
        return (5.0, 10.0)

    async def read(self, since, until):
        self.world.stumble()
        self.world.asked.append((since, until))
        return [Window(float(n), n + 1.0, ()) for n in range(int(since), int(until))]

    async def close(self):
        self.world.closed += 1


class World:
    """A clock that goes on while the feed sleeps, for a given number of times."""

    def __init__(self, rounds, *failures):
        self.now, self.rounds, self.failures = 100.0, rounds, list(failures)
        self.opened, self.asked, self.slept, self.closed, self.changes = [], [], [], 0, 0
        self.over = asyncio.Event()

    def stumble(self):
        if self.failures and (error := self.failures.pop(0)):
            raise error

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        self.rounds -= 1
        if not self.rounds:
            self.over.set()
            await asyncio.Event().wait()

    def change(self):
        self.changes += 1


async def fed(world, bounds=None):
    feed = PolledFeed(
        lambda asked: Source(world, asked),
        since=98.0,
        bounds=bounds,
        every=2.0,
        clock=lambda: world.now,
        on_change=world.change,
        sleep=world.sleep,
    )
    await world.over.wait()
    return feed


async def test_it_goes_on_where_it_stopped():
    world = World(3)
    feed = await fed(world)
    assert world.asked == [(98.0, 100.0), (100.0, 102.0), (102.0, 104.0)]
    assert [w.start for w in feed.take()] == [98, 99, 100, 101, 102, 103]
    assert feed.take() == []
    await feed.close()


async def test_bounds_are_asked_for_once_and_those_of_a_release_are_kept():
    world = World(2)
    feed = await fed(world)
    assert (feed.bounds, world.opened) == ((5.0, 10.0), [(), (5.0, 10.0)])
    await feed.close()
    assert world.closed == 2
    world = World(2)
    feed = await fed(world, bounds=(1.0,))
    assert (feed.bounds, world.opened) == ((1.0,), [(1.0,)])
    await feed.close()


@pytest.mark.parametrize(
    ("rounds", "failures", "answered"),
    [
        (1, (), True),
        (1, (UnavailableError("no route"),), False),
        (1, (NothingYetError("no pod has a histogram yet"),), True),
        (2, (None, None, UnavailableError("gone")), False),
        (3, (None, None, UnavailableError("gone")), True),
    ],
)
async def test_whether_the_source_answers_is_known_from_the_last_question(rounds, failures, answered):
    world = World(rounds, *failures)
    feed = await fed(world)
    assert feed.answered is answered
    await feed.close()


async def test_a_source_that_was_not_asked_yet_has_not_answered():
    world = World(1)
    feed = PolledFeed(
        lambda bounds: Source(world, bounds),
        since=100.0,
        bounds=None,
        every=1.0,
        clock=lambda: world.now,
        on_change=world.change,
        sleep=world.sleep,
    )
    assert not feed.answered
    await feed.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnavailableError("no route to Prometheus"), "no route to Prometheus"),
        (ConfigurationError("requests: there is no metric x"), "requests: there is no metric x"),
        (KeyError("metric"), "KeyError: 'metric'"),
    ],
)
async def test_a_failure_is_told_and_asked_again_from_the_same_place(error, words):
    world = World(1, None, None, error)
    world.rounds = 2
    feed = await fed(world)
    assert feed.problem == words
    assert len(feed.take()) == 2
    await feed.close()
    world = World(3, None, None, error)
    feed = await fed(world)
    assert feed.problem == ""
    assert world.asked[-1] == (100.0, 103.0)
    await feed.close()


async def test_a_service_that_asks_for_time_gets_it():
    world = World(1, UnavailableError("too many requests", retry_after=30.0))
    feed = await fed(world)
    assert world.slept == [30.0]
    assert feed.bounds is None
    await feed.close()
