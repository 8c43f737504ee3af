"""The queue of one Rollout: in order for each sink, nothing twice, nothing lost without a word."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rollouts.notify.base import Transition
from rollouts.notify.outbox import MOST_TRANSITIONS, Box, Lane, Loss, pause_before

SINKS = ("chat", "pager")


def transition(number, **more):
    fields = {"at": 1000.0 + number, "type": "Normal", "reason": "StepStarted", "note": f"step {number}"}
    return Transition(namespace="shop", name="payment", uid="u1", number=number, **{**fields, **more})


def filled(*numbers, sinks=SINKS):
    return Box().put((transition(n), sinks) for n in numbers)


def test_each_sink_gets_all_in_order_and_at_its_own_pace():
    box = filled(1, 2)
    box = box.begin("chat", 1, "a").done("chat", 1, {"ts": "7"})
    assert box.next("chat").number == 2
    assert box.next("pager").number == 1
    assert box.lane("chat").memory == {"ts": "7"}
    box = box.done("chat", 2, {}).done("pager", 1, {}).done("pager", 2, {})
    assert not box.parcels
    assert box.next("chat") is None


def test_what_was_taken_once_is_not_taken_again():
    box = filled(1, 2).done("chat", 1, {}).done("pager", 1, {})
    assert box.put([(transition(1), SINKS), (transition(2), SINKS)]) == box


def test_what_nobody_wants_is_only_counted():
    box = filled(1, sinks=())
    assert (box.taken, dict(box.parcels), dict(box.lanes)) == (1, {}, {})


def test_the_mark_of_another_process_makes_it_doubtful_and_ones_own_does_not():
    box = filled(1).begin("chat", 1, "a")
    assert not box.begin("chat", 1, "a").lane("chat").doubtful
    assert box.begin("chat", 1, "b").lane("chat").doubtful
    assert not box.begin("pager", 1, "b").lane("pager").doubtful


def test_doubt_stays_until_it_is_settled():
    """The second try did surely not arrive, but the first may have."""
    box = filled(1).begin("chat", 1, "a").failed("chat", 1, 5.0, unclear=True)
    box = box.begin("chat", 1, "a").failed("chat", 1, 9.0, unclear=False)
    assert box.lane("chat") == Lane(owed=(1,), doubtful=True, not_before=9.0, tries=2)
    box = box.put([(transition(2), ("chat",))]).done("chat", 1, {})
    assert box.lane("chat") == Lane(owed=(2,))


def test_a_full_box_drops_the_oldest_and_keeps_the_count_until_it_was_told():
    box = filled(*range(1, MOST_TRANSITIONS + 4), sinks=("chat",))
    assert box.lane("chat").loss == Loss(count=3, last=3)
    assert box.next("chat").number == 4
    assert box.told_loss("chat", 2).lane("chat").loss.count == 3
    assert box.told_loss("chat", 3).lane("chat").loss == Loss()


def test_a_sink_that_is_down_costs_others_nothing_until_the_box_is_full():
    box = Box()
    for number in range(1, MOST_TRANSITIONS + 4):
        box = box.put([(transition(number), SINKS)]).done("pager", number, {})
    assert box.lane("pager").loss == Loss()
    assert box.lane("chat").loss.count == 3


def test_large_transitions_are_bounded_by_their_size():
    noise = {"message": random.Random(7).randbytes(100_000).hex()}
    box = Box().put((transition(n, status=noise), ("chat",)) for n in range(1, 8))
    assert 0 < len(box.parcels) < 7
    assert len(box.parcels) + box.lane("chat").loss.count == 7


def test_a_sink_that_is_not_configured_any_more_is_owed_nothing_and_keeps_its_memory():
    box = filled(1).done("chat", 1, {"ts": "7"}).put([(transition(2), SINKS)]).only(["pager"])
    assert box.lane("chat") == Lane(memory={"ts": "7"})
    assert list(box.parcels) == [1, 2]
    assert not box.only([]).parcels


@pytest.mark.parametrize(
    "manifest", [{}, {"data": {}}, {"data": {"marks": "[]"}}, {"data": {"marks": "{"}},
                 {"data": {"marks": '{"taken": 1, "lanes": {}}'}, "binaryData": {"transition-1": "eA=="}}]
)  # fmt: skip
def test_what_is_no_box_is_said(manifest):
    with pytest.raises(ValueError, match="the queue of notifications cannot be read"):
        Box.read(manifest)


@given(st.integers(1, 60), st.floats(0, 1))
def test_pauses_grow_up_to_five_minutes(tries, spread):
    assert 0.5 <= pause_before(tries, None, lambda: spread) <= 300
    assert pause_before(tries + 1, None, lambda: spread) >= pause_before(tries, None, lambda: spread)
    assert pause_before(tries, 30.0, lambda: spread) >= 30


class Deliveries(RuleBasedStateMachine):
    """Two sinks, several processes, kills: what is stored is what the next process knows."""

    @initialize()
    def begin_empty(self):
        self.stored = self.box = Box()
        self.count = 0
        self.process = "p0"
        self.arrived = {sink: [] for sink in SINKS}
        self.surely = {sink: [] for sink in SINKS}

    @rule(wanted=st.lists(st.sampled_from([("chat",), ("pager",), SINKS, ()]), min_size=1, max_size=4))
    def more(self, wanted):
        numbered = [(transition(self.count + i + 1), sinks) for i, sinks in enumerate(wanted)]
        self.count += len(wanted)
        self.stored = self.box = self.box.put(numbered).put(numbered)

    @rule()
    def killed(self):
        self.process = f"p{int(self.process[1:]) + 1}"
        self.box = Box.read(self.stored.dump())

    @rule(
        sink=st.sampled_from(SINKS), how=st.sampled_from(["told", "later", "unclear", "killed before", "killed after"])
    )
    def send(self, sink, how):
        found = self.box.next(sink)
        if found is None:
            return
        self.stored = self.box = self.box.begin(sink, found.number, self.process)
        looks_first = self.box.lane(sink).doubtful and found.number in self.arrived[sink]
        if how in {"told", "killed after", "unclear"} and not looks_first:
            assert found.number not in self.arrived[sink], "told twice, and nothing said that it may have been told"
            self.arrived[sink].append(found.number)
        if how == "told":
            self.stored = self.box = self.box.done(sink, found.number, {"last": str(found.number)})
            self.surely[sink].append(found.number)
        elif how.startswith("killed"):
            self.killed()
        else:
            self.stored = self.box = self.box.failed(sink, found.number, 0.0, unclear=how == "unclear")

    @invariant()
    def in_order_and_once(self):
        for sink, numbers in getattr(self, "arrived", {}).items():
            assert numbers == sorted(set(numbers))
            owed = self.box.lane(sink).owed
            assert list(owed) == sorted(set(owed))
            assert not set(owed) & set(self.surely[sink])
            assert all(n in self.box.parcels for n in owed)

    @invariant()
    def what_is_stored_is_read_back(self):
        if hasattr(self, "box"):
            assert Box.read(self.box.dump()) == self.box


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(deadline=None, max_examples=40, stateful_step_count=30)
