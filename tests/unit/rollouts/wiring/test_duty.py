"""What only the controller that leads does, and that a term begins with all that the watches know."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from rollouts.engine.cache import Cache
from rollouts.wiring.duty import Duty

PAYMENT, FRONTEND = ("shop", "payment"), ("shop", "frontend")


class Reconciler:
    """Remembers what was looked at."""

    def __init__(self, looks):
        self._looks = looks

    async def reconcile(self, key):
        self._looks.append(key)

    def urgent(self, key):
        return False

    def failed(self, key, error):
        raise AssertionError(error)

    async def close(self):
        self._looks.append("closed")


class Office:
    def __init__(self, cache):
        self.looks, self.told = [], []
        self.duty = Duty(cache, lambda _: Reconciler(self.looks), self.prepare, lambda: self.told.append("began"))

    async def prepare(self):
        self.told.append("prepared")

    @asynccontextmanager
    async def term(self):
        task = asyncio.create_task(self.duty.serve())
        await self.turns()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def turns(self):
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def office():
    cache = Cache()
    for namespace, name in (PAYMENT, FRONTEND):
        cache.put("rollouts", {"metadata": {"namespace": namespace, "name": name, "uid": name}})
    return Office(cache)


async def test_a_term_begins_with_the_hold_and_a_look_at_every_rollout(office):
    async with office.term():
        assert (office.told, office.looks) == (["prepared", "began"], [PAYMENT, FRONTEND])


async def test_who_stands_by_looks_at_nothing(office):
    office.duty.trigger(PAYMENT)
    async with office.term():
        office.looks.clear()
        office.duty.trigger(FRONTEND)
        await office.turns()
        assert office.looks == [FRONTEND]
    assert office.looks[-1] == "closed"
    office.duty.trigger(PAYMENT)
    await office.turns()
    assert office.looks[-1] == "closed"


async def test_each_term_begins_anew(office):
    for _ in range(2):
        async with office.term():
            assert office.looks[-2:] == [PAYMENT, FRONTEND]
    assert office.told.count("began") == 2


async def test_all_rollouts_of_a_namespace_are_looked_at_when_something_vanished_there(office):
    async with office.term():
        office.looks.clear()
        office.duty.vanished("services", ("other", "payment"))
        await office.turns()
        assert office.looks == []
        office.duty.vanished("services", ("shop", "payment"))
        await office.turns()
        assert sorted(office.looks) == [FRONTEND, PAYMENT]


async def test_what_goes_on_beside_a_term_begins_and_ends_with_it(office):
    told = []

    async def beside():
        told.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("ended")

    duty = Duty(Cache(), lambda _: Reconciler([]), office.prepare, lambda: None, beside=beside)
    for _ in range(2):
        task = asyncio.create_task(duty.serve())
        await office.turns()
        assert told[-1] == "begun"
        task.cancel()
        await asyncio.wait({task})
        assert told[-1] == "ended"
    assert len(told) == 4
