"""What the demo knows of the cluster: watches of its objects and the load's records, always followed by kubectl."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from coalmine.demo.journal import Journal, Moment
from coalmine.demo.records import LoadLine, Request, parse_line
from coalmine.demo.scenes import clock
from mesh.api.trafficsplit import TrafficSplitSpec, TrafficSplitStatus
from rollouts.api.rollout import RolloutSpec, RolloutStatus

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from coalmine.demo.kubectl import Kubectl

__all__ = ["Observatory"]

_RETRY_SECONDS = 0.5
_LINES_KEPT = 60


@dataclass(slots=True)
class Observatory:
    """Everything seen so far.

    Attributes:
        kubectl: How the cluster is seen.
        name: The Rollout's name, which is the TrafficSplit's and the host's as well.
        told: Called with each moment as it is noted.
        trouble: Called with what went wrong with watching.
        journal: Moments, and the objects as they stand.
        spec: The Rollout's spec; None before it is seen.
        requests: Every request on record, in the order of the load's lines.
        recent: The last minute's lines of the load.
        events: Kubernetes Events about the Rollout, as lines for people.
    """

    kubectl: Kubectl
    name: str
    told: Callable[[Moment], None]
    trouble: Callable[[str], None]
    journal: Journal = field(default_factory=Journal)
    spec: RolloutSpec | None = None
    requests: list[Request] = field(default_factory=list)
    recent: list[LoadLine] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _seen_events: set[tuple[str, int]] = field(default_factory=set)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch("rollouts.coalmine.dev", self._take_rollout))
            tasks.create_task(self._watch("trafficsplits.mesh.coalmine.dev", self._take_split))
            tasks.create_task(self._watch("events", self._take_event))
            tasks.create_task(self._follow_load())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; it is asked after every change."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def requests_since(self, since: float) -> Sequence[Request]:
        """Return the requests of the recent lines that ended at or after ``since``, Unix seconds."""
        return [r for line in self.recent if line.end > since for r in line.requests if r.ended >= since]

    @property
    def recorded_until(self) -> float:
        """Up to when the load's records are complete, Unix seconds."""
        return self.recent[-1].end if self.recent else 0.0

    async def _watch(self, resource: str, take: Callable[[str, dict[str, Any]], None]) -> None:
        while True:
            async with contextlib.aclosing(self.kubectl.watch(resource)) as stream:
                async for kind, item in stream:
                    try:
                        take(kind, item)
                    except ValidationError as error:
                        self.trouble(f"{resource}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}")
                    self._changed.set()
            await asyncio.sleep(_RETRY_SECONDS)

    def _take_rollout(self, kind: str, item: dict[str, Any]) -> None:
        if item["metadata"]["name"] != self.name or kind == "DELETED":
            return
        self.spec = RolloutSpec.model_validate(item["spec"])
        if "status" in item:
            self._tell(self.journal.take_rollout(RolloutStatus.model_validate(item["status"]), time.time()))

    def _take_split(self, kind: str, item: dict[str, Any]) -> None:
        if item["metadata"]["name"] != self.name:
            return
        spec = None if kind == "DELETED" else TrafficSplitSpec.model_validate(item["spec"])
        status = TrafficSplitStatus.model_validate(item.get("status", {}))
        self._tell(self.journal.take_split(spec, status, time.time()))

    def _take_event(self, kind: str, item: dict[str, Any]) -> None:
        about = item.get("involvedObject") or item.get("regarding") or {}
        if about.get("kind") != "Rollout" or kind == "DELETED":
            return
        count = int(item.get("count") or 1)
        identity = (str(item["metadata"]["uid"]), count)
        if identity not in self._seen_events:
            self._seen_events.add(identity)
            message = item.get("message") or item.get("note") or ""
            self.events.append(f"{clock(time.time())} {item.get('reason', '')}: {message}")

    def _tell(self, moments: Sequence[Moment]) -> None:
        for moment in moments:
            self.told(moment)

    async def _follow_load(self) -> None:
        while True:
            async with contextlib.aclosing(self._load_lines()) as stream:
                async for line in stream:
                    self._take_line(line)
                    self._changed.set()
            await asyncio.sleep(_RETRY_SECONDS)

    def _load_lines(self) -> AsyncGenerator[str, None]:
        return self.kubectl.lines("logs", "deployment/load", "--container=load", "--follow", "--tail=-1")

    def _take_line(self, text: str) -> None:
        if not text.startswith("{"):
            return  # kubectl's own words: not there yet, or the stream's end
        line = parse_line(text)
        last = self.recent[-1] if self.recent else None
        if last and line.seq <= last.seq:
            if line.start < last.end:
                return  # kubectl follows again from the beginning
            self.trouble("the load was restarted")
        elif line.seq != (last.seq + 1 if last else 0):
            self.trouble(f"the load's records {last.seq + 1 if last else 0} to {line.seq - 1} are lost")
        self.recent = [*self.recent[1 - _LINES_KEPT :], line]
        self.requests += line.requests
