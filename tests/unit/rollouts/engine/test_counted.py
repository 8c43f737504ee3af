"""What comes of telling is counted, and changes nothing."""

from __future__ import annotations

import pytest

from rollouts.engine.counted import Counted
from rollouts.notify.base import DoubtfulError, LaterError, RefusedError, Transition, UnclearError

TRANSITION = Transition("shop", "payment", "u", 1, 0.0, "Normal", "Promoted", "done")


class Sink:
    name = "slack"

    def __init__(self, error=None):
        self.error, self.got = error, []

    def wants(self, transition):
        return transition.reason == "Promoted"

    async def send(self, transition, memory, *, doubtful):
        self.got.append((transition, memory, doubtful))
        if self.error:
            raise self.error
        return {"ts": "1"}


class Meters:
    def __init__(self):
        self.counted = []

    def told(self, sink, result):
        self.counted.append((sink, result))


async def test_what_is_delivered_is_counted():
    sink, meters = Sink(), Meters()
    counted = Counted(sink, meters)
    assert (counted.name, counted.wants(TRANSITION)) == ("slack", True)
    assert await counted.send(TRANSITION, {"ts": "0"}, doubtful=True) == {"ts": "1"}
    assert sink.got == [(TRANSITION, {"ts": "0"}, True)]
    assert meters.counted == [("slack", "delivered")]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (LaterError("429", 3), "later"),
        (RefusedError("no such channel"), "refused"),
        (DoubtfulError("it may have been told"), "refused"),
        (UnclearError("the connection broke"), "unclear"),
        (RuntimeError("a defect"), "unclear"),
    ],
)
async def test_what_is_not_is_counted_and_raised(error, result):
    meters = Meters()
    with pytest.raises(type(error)):
        await Counted(Sink(error), meters).send(TRANSITION, {}, doubtful=False)
    assert meters.counted == [("slack", result)]
