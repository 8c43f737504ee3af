"""One reconcile of a Rollout at a time, none forgotten."""

from __future__ import annotations

import asyncio

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
