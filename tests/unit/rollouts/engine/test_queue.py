"""One reconcile of a Rollout at a time, none forgotten."""

from __future__ import annotations

import asyncio

import pytest

from rollouts.engine.places import Places
from rollouts.engine.queue import WorkQueue

KEY, OTHER = ("shop", "payment"), ("shop", "other")


async def test_triggers_during_a_run_cause_exactly_one_more():
    runs, going, release = [], asyncio.Event(), asyncio.Event()

    async def reconcile(key):
        runs.append(key)
        going.set()
        await release.wait()

    queue = WorkQueue(reconcile, lambda *_: None)
    queue.trigger(KEY)
    await going.wait()
    for _ in range(5):
        queue.trigger(KEY)
    release.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert runs == [KEY, KEY]
    await queue.close()


async def test_a_failing_rollout_is_tried_again_and_does_not_stop_the_others():
    failures, done = [], asyncio.Event()
    others = asyncio.Event()

    async def reconcile(key):
        if key == OTHER:
            others.set()
            return
        if len(failures) < 2:
            raise RuntimeError("no")
        done.set()

    queue = WorkQueue(reconcile, lambda key, error: failures.append((key, str(error))))
    queue.trigger(KEY)
    queue.trigger(OTHER)
    await asyncio.wait_for(others.wait(), 5)
    await asyncio.wait_for(done.wait(), 5)
    assert failures == [(KEY, "no")] * 2
    await queue.close()


async def test_a_reconcile_comes_again_when_it_asked_to():
    times, thrice = [], asyncio.Event()

    async def reconcile(key):
        times.append(key)
        if len(times) == 3:
            thrice.set()
            return None
        return 0.0

    queue = WorkQueue(reconcile, lambda *_: None)
    queue.trigger(KEY)
    await asyncio.wait_for(thrice.wait(), 5)
    await queue.close()


async def test_what_is_forgotten_runs_no_more():
    runs = []

    async def reconcile(key):
        runs.append(key)
        return 0.0

    queue = WorkQueue(reconcile, lambda *_: None)
    queue.trigger(KEY)
    await asyncio.sleep(0)
    queue.forget(KEY)
    await asyncio.sleep(0)
    before = len(runs)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(runs) == before
    await queue.close()


class Looks:
    """Remembers what was counted."""

    def __init__(self):
        self.waited, self.failed = [], []

    def looked(self, *, waited, took, failed):
        assert took >= 0
        self.waited.append(waited)
        self.failed.append(failed)


async def test_a_look_that_begins_late_is_counted_as_late():
    looks, now = Looks(), [100.0]
    first, thrice, release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reconcile(_):
        match len(looks.waited):
            case 0:
                first.set()
                await release.wait()
                return None
            case 1:
                return 0.0
        thrice.set()
        return None

    queue = WorkQueue(reconcile, lambda *_: None, looks, clock=lambda: now[0])
    queue.trigger(KEY)
    await first.wait()
    assert queue.depth == 0
    queue.trigger(KEY)
    now[0] = 107.0
    queue.trigger(KEY)
    assert queue.depth == 1, "it is wanted, and the one before goes on"
    release.set()
    await asyncio.wait_for(thrice.wait(), 5)
    await asyncio.sleep(0)
    assert (looks.waited, looks.failed) == ([0.0, 7.0, 0.0], [False] * 3)
    await queue.close()


async def test_a_look_that_fails_is_counted_and_its_pause_is_not_lateness():
    looks, now, done = Looks(), [100.0], asyncio.Event()

    async def reconcile(_):
        if not looks.failed:
            raise RuntimeError("no")
        done.set()

    queue = WorkQueue(reconcile, lambda *_: None, looks, clock=lambda: now[0])
    queue.trigger(KEY)
    await asyncio.sleep(0)
    queue.trigger(KEY)
    now[0] = 107.0  # while it waits before it tries again
    await asyncio.wait_for(done.wait(), 5)
    await asyncio.sleep(0)
    assert (looks.waited, looks.failed) == ([0.0, 0.0], [True, False])
    await queue.close()


@pytest.fixture
def crowd():
    """Return a queue of many keys whose runs wait until they are let go, and which of them run."""
    running, go, urgent = [], asyncio.Event(), set()

    async def reconcile(key):
        running.append(key)
        await go.wait()

    queue = WorkQueue(reconcile, lambda *_: None, urgent=lambda key: key in urgent)
    return queue, [("shop", f"r{n}") for n in range(40)], running, go, urgent


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_few_run_at_once_and_the_others_in_the_order_in_which_they_came(crowd):
    queue, keys, running, go, _ = crowd
    for key in keys:
        queue.trigger(key)
    await settled()
    assert running == keys[:16]
    assert queue.depth == len(keys) - 16
    go.set()
    await settled()
    assert running == keys
    assert queue.depth == 0
    await queue.close()


async def test_what_somebody_waits_for_is_run_at_once_also_when_it_stands_in_the_line(crowd):
    queue, keys, running, _, urgent = crowd
    for key in keys[:30]:
        queue.trigger(key)
    await settled()
    urgent.update({keys[29], keys[39]})
    queue.trigger(keys[29])
    queue.trigger(keys[39])
    await settled()
    assert running == [*keys[:16], keys[29], keys[39]]
    await queue.close()


async def test_who_is_forgotten_in_the_line_or_in_a_place_keeps_nobody_waiting(crowd):
    queue, keys, running, go, _ = crowd
    for key in keys:
        queue.trigger(key)
    await settled()
    queue.forget(keys[0])
    queue.forget(keys[16])
    await settled()
    assert running == [*keys[:16], keys[17]]
    go.set()
    await settled()
    assert running == [*keys[:16], *keys[17:]]
    await queue.close()


async def test_who_waits_for_somebody_gives_the_place_back():
    places, there = Places(1, 0.0), asyncio.Event()

    async def wait():
        async with places.take(KEY, urgent=False):
            await there.wait()

    slow = asyncio.create_task(wait())
    await asyncio.sleep(0)
    async with asyncio.timeout(5), places.take(OTHER, urgent=False):
        assert not slow.done()
    there.set()
    await slow
    for _ in range(2):  # still one place, and not two
        async with places.take(KEY, urgent=False):
            third = asyncio.create_task(wait())
            await asyncio.sleep(0)
        await third


async def test_runs_are_counted_and_those_that_are_cancelled_are_not():
    counted, there, twice = [], asyncio.Event(), asyncio.Event()

    class Meters:
        def looked(self, **values):
            counted.append(values["failed"])
            if len(counted) == 2:
                twice.set()

    async def reconcile(key):
        if key == OTHER:
            await there.wait()
        if not counted:
            raise RuntimeError("no")

    queue = WorkQueue(reconcile, lambda *_: None, Meters())
    queue.trigger(KEY)
    queue.trigger(OTHER)
    await asyncio.wait_for(twice.wait(), 5)
    await queue.close()
    assert counted == [True, False]
