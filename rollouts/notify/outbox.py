"""What is still to be told of one Rollout, and where: a queue with one lane for each sink. Pure.

Every change is a function from one box to the next that may be repeated: it is applied again when the stored box turns
out to be another one. A mark is stored before each send, so whoever finds one knows that the send may have happened.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from rollouts.notify.base import Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["MOST_AGE", "MOST_AGE_AT_FIRST", "MOST_BYTES", "MOST_TRANSITIONS", "Box", "Lane", "Loss", "pause_before"]

MOST_TRANSITIONS: Final = 128
"""That wait for the slowest sink: some dozens of releases."""
MOST_BYTES: Final = 700_000
"""A ConfigMap may have 1 MiB."""
MOST_AGE: Final = 86_400.0
"""What nobody queued for a day is no news any more."""
MOST_AGE_AT_FIRST: Final = 1800.0
"""Where there is no box yet, notifications may have been switched on just now: older ones were nobody's wish."""
_MOST_PAUSE: Final = 300.0
_MARKS: Final = "marks"
_PREFIX: Final = "transition-"


@dataclass(frozen=True)
class Loss:
    """Transitions that a sink never gets, as the box was full.

    Attributes:
        count: How many.
        last: Number of the last one.
    """

    count: int = 0
    last: int = 0


@dataclass(frozen=True)
class Lane:
    """One sink's part.

    Attributes:
        owed: Numbers of the transitions that it has to be told, in order.
        sending: Number of the one that may be on its way; 0 for none.
        by: Which process sends it.
        doubtful: Whether an earlier try of the first one may have been delivered.
        not_before: Unix seconds before which it is not tried again.
        tries: How often the first one failed.
        memory: What the sink keeps.
        loss: What it never gets, and was not told of yet.
    """

    owed: tuple[int, ...] = ()
    sending: int = 0
    by: str = ""
    doubtful: bool = False
    not_before: float = 0.0
    tries: int = 0
    memory: Mapping[str, str] = field(default_factory=dict)
    loss: Loss = Loss()


@dataclass(frozen=True)
class Parcel:
    """A transition as it is stored. Its status has some ten kilobytes, and packs well."""

    transition: Transition

    @cached_property
    def packed(self) -> str:
        """What is stored; made once, as the box is written before and after each send."""
        return base64.b64encode(zlib.compress(json.dumps(asdict(self.transition)).encode())).decode()


@dataclass(frozen=True)
class Box:
    """The queue of one Rollout.

    Attributes:
        taken: Number of the last transition that was put in, or that nobody wanted.
        parcels: The transitions that some sink has to be told, by number, in order.
        lanes: By the sink's name.
    """

    taken: int = 0
    parcels: Mapping[int, Parcel] = field(default_factory=dict)
    lanes: Mapping[str, Lane] = field(default_factory=dict)

    def lane(self, sink: str) -> Lane:
        """Return a sink's lane; an empty one where it has none."""
        return self.lanes.get(sink, Lane())

    def next(self, sink: str) -> Transition | None:
        """Return what the sink has to be told first."""
        owed = self.lane(sink).owed
        return self.parcels[owed[0]].transition if owed else None

    def put(self, wanted: Iterable[tuple[Transition, tuple[str, ...]]]) -> Box:
        """Put transitions in, each with the sinks that want it; those that were taken before are left out."""
        box = self
        for transition, sinks in wanted:
            if transition.number <= box.taken:
                continue
            lanes = {s: replace(box.lane(s), owed=(*box.lane(s).owed, transition.number)) for s in sinks}
            parcels = {**box.parcels, transition.number: Parcel(transition)} if sinks else box.parcels
            box = Box(transition.number, parcels, {**box.lanes, **lanes})
        return box._bounded()

    def begin(self, sink: str, number: int, by: str) -> Box:
        """Mark that a process is about to send. A mark of another process makes it doubtful."""
        lane = self.lane(sink)
        if lane.owed[:1] != (number,):
            return self
        doubtful = lane.doubtful or (lane.sending == number and lane.by != by)
        return self._with(sink, replace(lane, sending=number, by=by, doubtful=doubtful))

    def done(self, sink: str, number: int, memory: Mapping[str, str] | None = None) -> Box:
        """Take out what was told, or what never can be (then the memory stays: None)."""
        lane = self.lane(sink)
        kept = lane.memory if memory is None else dict(memory)
        if number not in lane.owed:
            return self._with(sink, replace(lane, memory=kept)) if sink in self.lanes else self
        owed = tuple(n for n in lane.owed if n != number)
        return self._with(sink, Lane(owed=owed, memory=kept, loss=lane.loss)).swept()

    def failed(self, sink: str, number: int, until: float, *, unclear: bool) -> Box:
        """Put it off.

        Args:
            sink: The sink.
            number: Of the transition.
            until: Unix seconds before which it is not tried again.
            unclear: Whether it may have been delivered nevertheless.
        """
        lane = self.lane(sink)
        if lane.owed[:1] != (number,):
            return self
        doubtful = lane.doubtful or unclear
        lane = replace(lane, sending=0, by="", doubtful=doubtful, not_before=until, tries=lane.tries + 1)
        return self._with(sink, lane)

    def told_loss(self, sink: str, last: int) -> Box:
        """Forget a loss that people were told of."""
        lane = self.lane(sink)
        return self._with(sink, replace(lane, loss=Loss())) if lane.loss.last == last else self

    def only(self, sinks: Iterable[str]) -> Box:
        """Owe nothing to sinks that are not configured any more. What they remember stays, should they come back."""
        known = set(sinks)
        lanes = {s: lane if s in known else Lane(memory=lane.memory) for s, lane in self.lanes.items()}
        return replace(self, lanes={s: lane for s, lane in lanes.items() if lane != Lane()}).swept()

    def _with(self, sink: str, lane: Lane) -> Box:
        return replace(self, lanes={**self.lanes, sink: lane})

    def swept(self) -> Box:
        """Keep only what somebody is owed."""
        owed = {n for lane in self.lanes.values() for n in lane.owed}
        return replace(self, parcels={n: parcel for n, parcel in self.parcels.items() if n in owed})

    def _bounded(self) -> Box:
        """Drop the oldest while there are too many, as the last resort; the lanes keep how many."""
        box = self
        while len(box.parcels) > MOST_TRANSITIONS or sum(len(p.packed) for p in box.parcels.values()) > MOST_BYTES:
            number = min(box.parcels)
            lanes = {s: _without(lane, number) if number in lane.owed else lane for s, lane in box.lanes.items()}
            box = replace(box, lanes=lanes).swept()
        return box

    def dump(self) -> dict[str, dict[str, str]]:
        """Return ``data`` and ``binaryData`` of its ConfigMap."""
        marks = {"taken": self.taken, "lanes": {s: _lane_dump(lane) for s, lane in sorted(self.lanes.items())}}
        return {
            "data": {_MARKS: json.dumps(marks, indent=1)},
            "binaryData": {f"{_PREFIX}{n}": parcel.packed for n, parcel in self.parcels.items()},
        }

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> Box:
        """Return what a ConfigMap holds.

        Raises:
            ValueError: It is not one of ours.
        """
        try:
            marks = json.loads(manifest["data"][_MARKS])
            packed = manifest.get("binaryData") or {}
            found = {t.number: Parcel(t) for t in sorted(map(_unpacked, packed.values()), key=lambda t: t.number)}
            lanes = {str(s): _lane_read(raw, found) for s, raw in marks["lanes"].items()}
            return cls(int(marks["taken"]), found, lanes).swept()
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, zlib.error) as error:
            msg = f"the queue of notifications cannot be read: {type(error).__name__}: {error}"
            raise ValueError(msg) from None


def pause_before(tries: int, asked: float | None, spread: Callable[[], float]) -> float:
    """Return how many seconds to wait after so many failures: 1, 2, 4 and so on up to five minutes, or what was asked.

    Args:
        tries: How often it failed.
        asked: What the service asked for.
        spread: Returns a number from 0 to 1, so that not all come back at once.
    """
    if asked is not None:
        return max(0.0, asked) + spread()
    return float(min(_MOST_PAUSE, 2.0 ** min(tries - 1, 20)) * (0.5 + spread() / 2))


def _without(lane: Lane, number: int) -> Lane:
    loss = Loss(lane.loss.count + 1, number)
    if lane.owed[:1] == (number,):
        return Lane(owed=lane.owed[1:], memory=lane.memory, loss=loss)
    return replace(lane, owed=tuple(n for n in lane.owed if n != number), loss=loss)


def _lane_dump(lane: Lane) -> dict[str, Any]:
    empty = asdict(Lane())
    return {k: v for k, v in asdict(lane).items() if v != empty[k]}


def _lane_read(raw: Mapping[str, Any], known: Mapping[int, Parcel]) -> Lane:
    return Lane(
        owed=tuple(n for n in map(int, raw.get("owed", ())) if n in known),
        sending=int(raw.get("sending", 0)),
        by=str(raw.get("by", "")),
        doubtful=bool(raw.get("doubtful", False)),
        not_before=float(raw.get("not_before", 0.0)),
        tries=int(raw.get("tries", 0)),
        memory={str(k): str(v) for k, v in raw.get("memory", {}).items()},
        loss=Loss(**{k: int(v) for k, v in raw.get("loss", {}).items()}),
    )


def _unpacked(text: str) -> Transition:
    return Transition(**json.loads(zlib.decompress(base64.b64decode(text, validate=True))))
