"""Each transition is told once and in order, wherever the controller is killed and whatever the API server answers."""

from __future__ import annotations

import asyncio
import copy
import logging
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollouts.core.observed import Subject
from rollouts.engine.courier import Surroundings
from rollouts.engine.kube import ConflictError, KubeError
from rollouts.engine.outbox import Outbox
from rollouts.notify.base import DoubtfulError, LaterError, Transition, UnclearError
from rollouts.notify.outbox import MOST_AGE, MOST_AGE_AT_FIRST, MOST_TRANSITIONS, Box

NOW = 1_763_765_000.0
SUBJECT = Subject(
    name="payment", namespace="shop", uid="0123456789ab", generation=1, spec=None, spec_error="", status=None
)
KEY = ("shop", "payment")


def transition(number, at=NOW, reason="StepStarted"):
    return Transition("shop", "payment", SUBJECT.uid, number, at, "Normal", reason, f"step {number}")


@dataclass
class World:
    """The API server's ConfigMaps and Events, and the power switch of a controller.

    Attributes:
        kills: At which of the operations to come the controller is killed; even ones before they happen, odd ones after.
        trouble: At which operations the answer is lost, or the API server does not take it.
    """

    kills: list[int] = field(default_factory=list)
    trouble: dict[int, str] = field(default_factory=dict)
    objects: dict[str, dict] = field(default_factory=dict)
    events: dict[str, dict] = field(default_factory=dict)
    died: asyncio.Event = field(default_factory=asyncio.Event)
    now: float = NOW
    operations: int = 0
    version: int = 0

    async def happens(self, effect):
        """Do one thing that others see; the controller may be killed before it, or after."""
        number, self.operations = self.operations, self.operations + 1
        killed = 2 * number in self.kills, 2 * number + 1 in self.kills
        if killed[0] or self.died.is_set():
            self.died.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        found = effect()
        await asyncio.sleep(0)
        if killed[1]:
            self.died.set()
            await asyncio.Event().wait()
        return found

    async def request(self, method, path, *, body=None, **_):
        what = self.trouble.get(self.operations, "")
        if what == "refused":
            self.operations += 1
            raise KubeError(500, "InternalError", "etcd is gone")
        answer = await self.happens(lambda: self._answer(method, path, copy.deepcopy(body)))
        if what == "lost":
            raise TimeoutError
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _answer(self, method, path, body):
        kept = self.events if "/events" in path else self.objects
        name = path.rsplit("/", 1)[-1] if method != "POST" else body["metadata"]["name"]
        if method == "GET":
            return copy.deepcopy(kept.get(name))
        there = kept.get(name)
        if method == "POST" and there is not None:
            return ConflictError(409, "AlreadyExists", name)
        if method == "PUT":
            if there is None:
                return None
            if there["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                return ConflictError(409, "Conflict", name)
        self.version += 1
        kept[name] = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return copy.deepcopy(kept[name])

    async def pause(self, seconds):
        self.now += max(seconds, 0.001)
        await asyncio.sleep(0)

    @property
    def box(self):
        return Box.read(self.objects[f"coalmine-notifications-{SUBJECT.uid}"])

    def reasons(self):
        return [(e["reason"], e["metadata"]["name"].rsplit(".", 1)[1]) for e in self.events.values()]


class Place:
    """A service: one that keeps to a key, one that can be asked, or one that can do neither."""

    def __init__(self, name, world, trouble=()):
        self.name = name
        self.world = world
        self.trouble = list(trouble)
        self.arrived = []
        self.unwanted = set()

    def wants(self, transition):
        return transition.number not in self.unwanted

    async def send(self, transition, memory, *, doubtful):
        if self.name == "forgetful" and doubtful:
            raise DoubtfulError("nobody knows")
        if self.name == "asked" and doubtful and await self.world.happens(lambda: transition.number in self.arrived):
            return {"last": str(transition.number)}
        what = self.trouble.pop(0) if self.trouble else ""
        if what == "later":
            raise LaterError("come back", 3.0)
        if what == "broken":
            raise UnclearError("cut")
        await self.world.happens(lambda: self.arrived.append(transition.number))
        if what == "unanswered":
            raise TimeoutError
        return {"last": str(transition.number)}


def outbox_of(world, places):
    around = Surroundings(world, "test", lambda: world.now, pause=world.pause, spread=lambda: 0.5)
    return Outbox(places, around)


async def idle(outbox, world):
    """Wait until nothing is under way, or the controller is dead."""
    while not world.died.is_set():
        tasks = [t for p in outbox._posts.values() for t in (p.intake, *p.lanes.values()) if t and not t.done()]
        if not tasks:
            return
        dead = asyncio.ensure_future(world.died.wait())
        await asyncio.wait({*tasks, dead}, return_when=asyncio.FIRST_COMPLETED)
        dead.cancel()


async def until(condition):
    """Let everything else go on until something holds; nothing here takes time."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def release(world, places, batches):
    """Decide one batch after the other, as the reconciler does: the status first, and again after each kill."""
    told, left = [], list(batches)
    for _ in range(200):
        world.died = asyncio.Event()
        outbox = outbox_of(world, places)
        while not world.died.is_set():
            outbox.take(SUBJECT, told[-16:])
            if not left:
                await idle(outbox, world)
                break
            if told[-16:] and len(told) + left[0] > 16:
                await outbox.kept(SUBJECT.uid, len(told) + left[0] - 16)
            if world.died.is_set():
                break
            count = left.pop(0)
            told += [transition(len(told) + i + 1, world.now) for i in range(count)]
            outbox.take(SUBJECT, told[-16:])
            await asyncio.sleep(0)
        dead = world.died.is_set()
        await outbox.close()
        if not dead and not left:
            return
    raise AssertionError("it never ends")


PROBLEMS = st.lists(st.sampled_from(["", "", "later", "broken", "unanswered"]), max_size=8)


@settings(max_examples=60)
@given(
    batches=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    kills=st.lists(st.integers(0, 160), max_size=6),
    trouble=st.dictionaries(st.integers(0, 60), st.sampled_from(["lost", "refused"]), max_size=5),
    problems=st.tuples(PROBLEMS, PROBLEMS, PROBLEMS),
)
def test_each_transition_is_told_once_and_in_order_whenever_the_controller_is_killed(batches, kills, trouble, problems):
    async def run():
        world = World(kills, trouble)
        keyed, asked, forgetful = (
            Place(name, world, p) for name, p in zip(("keyed", "asked", "forgetful"), problems, strict=True)
        )
        await release(world, [keyed, asked, forgetful], batches)
        everything = list(range(1, sum(batches) + 1))
        assert list(dict.fromkeys(keyed.arrived)) == everything
        assert asked.arrived == everything
        assert forgetful.arrived == sorted(set(forgetful.arrived)), "never twice"
        unsure = {int(n) for reason, n in world.reasons() if reason == "NotificationNotSent"}
        assert set(everything) - set(forgetful.arrived) <= unsure, "what was not told is said in an Event"
        assert not world.box.parcels
        assert world.box.taken == everything[-1]

    logging.disable()
    try:
        asyncio.run(run())
    finally:
        logging.disable(logging.NOTSET)


async def test_without_trouble_each_message_costs_two_writes_and_no_event():
    world = World()
    place = Place("keyed", world)
    await release(world, [place], [3])
    assert place.arrived == [1, 2, 3]
    assert world.version == 1 + 2 * 3
    assert not world.events


async def test_a_place_that_is_down_holds_up_nobody_else():
    world = World()
    down, up = Place("down", world, ["later"] * 1000), Place("up", world)
    outbox = outbox_of(world, [down, up])
    outbox.take(SUBJECT, [transition(n) for n in range(1, 6)])
    await until(lambda: len(up.arrived) == 5 and len(down.trouble) <= 990)
    await outbox.close()
    assert up.arrived == [1, 2, 3, 4, 5]
    assert world.box.lane("down").owed == (1, 2, 3, 4, 5)
    assert world.box.lane("down").tries >= 9
    await release(world, [Place("down", world), up], [])


async def test_retry_after_closes_the_whole_place_for_all_rollouts():
    world = World()
    place = Place("keyed", world, ["later"])
    outbox = outbox_of(world, [place])
    other = Subject("frontend", "shop", "ba9876543210", 1, None, "", None)
    outbox.take(SUBJECT, [transition(1)])
    await idle(outbox, world)
    paused = world.now
    outbox.take(other, [transition(1)])
    await idle(outbox, world)
    await outbox.close()
    assert paused >= NOW + 3
    assert place.arrived == [1, 1]


async def test_what_a_full_queue_lost_is_said_once():
    world = World()
    place = Place("down", world, ["later"] * 100)
    outbox = outbox_of(world, [place])
    for number in range(1, MOST_TRANSITIONS + 8):
        outbox.take(SUBJECT, [transition(number)])
    await until(lambda: world.events)
    await outbox.close()
    up = Place("down", world)
    await release(world, [up], [])
    (event,) = world.events.values()
    assert event["reason"] == "NotificationsLost"
    assert event["note"].startswith("down: ")
    assert len(up.arrived) == MOST_TRANSITIONS
    assert up.arrived[-1] == MOST_TRANSITIONS + 7
    assert world.box.lane("down").loss.count == 0


async def test_a_defect_of_a_place_is_given_up_and_said():
    class Broken(Place):
        async def send(self, transition, memory, *, doubtful):
            raise KeyError("x")

    world = World()
    await release(world, [Broken("broken", world)], [1])
    (event,) = world.events.values()
    assert (event["reason"], event["type"]) == ("NotificationNotSent", "Warning")
    assert event["note"] == "broken: StepStarted: given up after 5 tries: KeyError: 'x'"


@pytest.mark.parametrize(
    ("known", "age", "count"), [(False, MOST_AGE_AT_FIRST, 0), (True, MOST_AGE_AT_FIRST, 1), (True, MOST_AGE, 0)]
)
async def test_old_transitions_are_told_only_to_places_that_wanted_them(known, age, count):
    """Who switches notifications on is not told of last week."""
    world = World()
    if known:
        await release(world, [Place("keyed", world)], [1])
    place = Place("keyed", world)
    outbox = outbox_of(world, [place])
    outbox.take(SUBJECT, [transition(2, NOW - age - 1)])
    await idle(outbox, world)
    await outbox.close()
    assert len(place.arrived) == count


async def test_what_nobody_wants_is_not_written():
    world = World()
    place = Place("keyed", world)
    place.unwanted = {1, 2}
    await release(world, [place], [2])
    assert world.version == 0
    await release(world, [place], [3])
    assert place.arrived == [3]


async def test_a_queue_that_cannot_be_read_begins_anew_and_tells_nothing_twice(caplog):
    world = World()
    place = Place("keyed", world)
    await release(world, [place], [2])
    world.objects[f"coalmine-notifications-{SUBJECT.uid}"]["data"] = {"marks": "?"}
    outbox = outbox_of(world, [place])
    outbox.take(SUBJECT, [transition(1, NOW - 1), transition(2, NOW - 1)])
    await idle(outbox, world)
    world.now += 10
    outbox.take(SUBJECT, [transition(3, world.now)])
    await idle(outbox, world)
    await outbox.close()
    assert place.arrived == [1, 2, 3]
    assert "it begins anew" in caplog.text


async def test_who_does_not_lead_sends_nothing():
    world = World()
    place = Place("keyed", world)
    left = [1.0]
    around = Surroundings(world, "test", lambda: world.now, lambda: left[0], world.pause, lambda: 0.5)
    outbox = Outbox([place], around)
    left[0] = 0.0
    outbox.take(SUBJECT, [transition(1)])
    await until(lambda: world.operations > 20)
    assert not place.arrived
    left[0] = 1.0
    await idle(outbox, world)
    await outbox.close()
    assert place.arrived == [1]


async def test_a_rollout_that_is_gone_is_forgotten():
    world = World()
    place = Place("down", world, ["later"] * 1000)
    outbox = outbox_of(world, [place])
    outbox.take(SUBJECT, [transition(1)])
    await outbox.forget(KEY)
    assert outbox.taken(SUBJECT.uid) == 0
    before = world.operations
    await asyncio.sleep(0)
    assert world.operations == before


async def test_a_status_that_drops_nothing_untold_is_written_at_once():
    world = World(kills=[0])  # the API server never answers
    outbox = outbox_of(world, [Place("keyed", world)])
    outbox.take(SUBJECT, [transition(4), transition(5)])
    waiting = asyncio.ensure_future(outbox.kept(SUBJECT.uid, 4))
    await until(world.died.is_set)
    async with asyncio.timeout(60):
        await outbox.kept(SUBJECT.uid, 3)
    assert not waiting.done(), "4 would be lost"
    waiting.cancel()
    await outbox.close()


async def test_a_status_waits_until_what_it_drops_is_stored_and_not_for_an_api_server_that_refuses():
    world = World()
    outbox = outbox_of(world, [Place("keyed", world)])
    outbox.take(SUBJECT, [transition(1)])
    await outbox.kept(SUBJECT.uid, 1)
    assert world.box.taken == 1
    await outbox.close()
    refusing = World(trouble=dict.fromkeys(range(100_000), "refused"))
    outbox = outbox_of(refusing, [Place("keyed", refusing)])
    outbox.take(SUBJECT, [transition(1)])
    async with asyncio.timeout(60):
        await outbox.kept(SUBJECT.uid, 1)
    assert not refusing.objects
    await outbox.close()
