"""One proxy's stream, without I/O: requests and snapshots go in, responses come out.

What is sent when (make before break, so that no request meets a cluster that is not there):

1. Clusters, and with every changed cluster its endpoints once more: Envoy warms a changed cluster until they come.
2. Listeners, when clusters and endpoints are held.
3. Routes, when listeners and the secrets and filters that they name are held as well, and all *vital* clusters (those
   that a TrafficSplit sends requests to) have been accepted together with their endpoints in some version.
4. Clusters are taken away when the routes that no longer name them are held.

One response of a type is in flight at a time; changes meanwhile are merged. What the proxy asks for by name is answered
at once. A response that gets no answer is given up after ``TIMEOUT``, since Envoy can keep both acceptance and refusal
of an invalid cluster to itself; only vital clusters are waited for as long as it takes, because routes without them
would fail requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mesh.ads.ledger import Ledger
from mesh.ads.messages import Response
from mesh.xds.resources import CDS, ECDS, EDS, LDS, RDS, SDS, TYPES, Resource, Snapshot

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from mesh.ads.ledger import Refused
    from mesh.ads.messages import Request
    from mesh.xds.resources import SplitMark

__all__ = ["TIMEOUT", "Session"]

TIMEOUT: Final = 5.0
"""Seconds until a response without an answer is given up."""
_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    CDS: (),
    EDS: (),
    SDS: (),
    LDS: (CDS, EDS),
    ECDS: (),
    RDS: (CDS, EDS, SDS, LDS, ECDS),
}
"""What is held before additions of a type are sent."""


class Session:
    """The state of one stream. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {type_url: Ledger() for type_url in TYPES}
        self._snapshot: Snapshot | None = None
        self._carried: dict[tuple[str, str], Mapping[str, SplitMark]] = {}
        self._nonce = 0

    def receive(self, request: Request, now: float) -> list[Response]:
        """Take in a request; return what is to be sent.

        A type that the mesh does not serve is not answered.
        """
        ledger = self._ledgers.get(request.type_url)
        if ledger is None:
            return []
        if request.nonce:
            ledger.answer(request, now, siblings_apply=request.type_url == CDS)
        if not request.nonce or request.subscribe or request.unsubscribe or not ledger.started:
            ledger.subscribe(request, now)
        return self._pump(now)

    def offer(self, snapshot: Snapshot, now: float) -> list[Response]:
        """Take in what the proxy should hold; return what is to be sent."""
        if snapshot is self._snapshot:
            return []
        self._snapshot = snapshot
        for type_url, ledger in self._ledgers.items():
            ledger.want(snapshot.of(type_url), now)
        self._carry(snapshot)
        return self._pump(now)

    def _carry(self, snapshot: Snapshot) -> None:
        """Note which version of each route configuration stands for which state of the TrafficSplits."""
        routes = self._ledgers[RDS]
        names = {name for name, _ in self._carried} | {n for mark in snapshot.splits.values() for n in mark.routes}
        alive = {(n, v) for n in names for v in (routes.held.get(n, ""), *routes.in_flight_versions(n))}
        self._carried = {key: marks for key, marks in self._carried.items() if key in alive}
        present = snapshot.of(RDS)
        self._carried |= {(n, present[n].version): snapshot.splits for n in names if n in present}

    def tick(self, now: float) -> list[Response]:
        """Return what is to be sent because time has passed; call it about once a second."""
        return self._pump(now)

    def generation(self, uid: str) -> int | None:
        """Return the generation of a TrafficSplit that the proxy has acknowledged; None for none."""
        held = self._ledgers[RDS].held
        marks = {n: mark for n, v in held.items() if (mark := self._carried.get((n, v), {}).get(uid)) is not None}
        told = [mark for name, mark in marks.items() if name in mark.routes]
        if not told or any(name not in marks for mark in told for name in mark.routes):
            return None
        oldest = min(told, key=lambda mark: mark.generation)
        return None if oldest.clusters & self._ledgers[CDS].pending else oldest.generation

    @property
    def ledgers(self) -> Mapping[str, Ledger]:
        """The account of each type, to be read only."""
        return self._ledgers

    def holds(self, type_url: str) -> Mapping[str, str]:
        """Return name and version of what the proxy has accepted."""
        return dict(self._ledgers[type_url].held)

    def holds_all(self, types: Iterable[str]) -> bool:
        """Say whether the proxy has accepted all that it has asked for of some types."""
        for type_url in types:
            ledger = self._ledgers[type_url]
            asked = ledger.pending if ledger.wildcard else ledger.pending & ledger.names
            if asked or any(self._refused_now(type_url, name) for name in ledger.refused):
                return False
        return self._ledgers[CDS].started and self._ledgers[LDS].started

    def _refused_now(self, type_url: str, name: str) -> Refused | None:
        ledger = self._ledgers[type_url]
        refused, desired = ledger.refused.get(name), ledger.desired.get(name)
        return refused if refused and desired and refused.version == desired.version else None

    def _pump(self, now: float) -> list[Response]:
        """Return every response that may go now, in the order of types."""
        if self._snapshot is None:
            return []
        responses = []
        for type_url in TYPES:
            ledger = self._ledgers[type_url]
            # Most have nothing to say, and asking what comes before them is dear.
            if ledger.started and ledger.has_news and self._may_add(type_url, now):
                response = self._respond(type_url, ledger, now)
                responses += [response] if response else []
        return responses

    def _respond(self, type_url: str, ledger: Ledger, now: float) -> Response | None:
        names = set(ledger.asked)
        removed: list[str] = []
        if not ledger.in_flight(now, TIMEOUT):
            names |= ledger.stale if ledger.wildcard else ledger.stale & ledger.names
            if ledger.gone and ledger.wildcard and self._may_remove(type_url):
                removed += sorted(ledger.gone)
        resources = [ledger.desired[n] for n in sorted(names) if n in ledger.desired]
        # What was asked for and does not exist is said to be gone: no answer would leave the proxy waiting.
        removed += sorted(n for n in names if n not in ledger.desired)
        if not resources and not removed and not ledger.owes_reply:
            return None
        self._nonce += 1
        nonce = str(self._nonce)
        if type_url == CDS:
            self._rewarm(resources, now)
        ledger.depart(nonce, resources, removed, now)
        return Response(type_url, nonce, tuple(resources), tuple(dict.fromkeys(removed)))

    def _rewarm(self, clusters: list[Resource], now: float) -> None:
        endpoints = self._ledgers[EDS]
        for cluster in clusters:
            endpoints.forget(cluster.name, now)

    def _may_add(self, type_url: str, now: float) -> bool:
        before = _BEFORE[type_url]
        # Nobody asks for the endpoints of a cluster that was refused, nor for what no listener names.
        ignored: dict[str, Container[str]] = {EDS: self._ledgers[CDS].refused}
        ignored |= {t: self._ledgers[t].pending - self._ledgers[t].names for t in (SDS, ECDS)}
        if not all(self._ledgers[t].settled(now, TIMEOUT, ignored.get(t, ())) for t in before):
            return False
        return type_url != RDS or self._has_vital()

    def _has_vital(self) -> bool:
        vital = self._snapshot.vital if self._snapshot else frozenset()
        return all(vital <= self._ledgers[t].held.keys() for t in (CDS, EDS))

    def _may_remove(self, type_url: str) -> bool:
        if type_url != CDS:
            return True
        listeners, routes = self._ledgers[LDS], self._ledgers[RDS]
        if not routes.started:
            return False  # on a new stream: its routes may still name the cluster
        waiting = listeners.pending | (routes.pending & routes.names)
        refused = [n for t in (LDS, RDS) for n in self._ledgers[t].desired if self._refused_now(t, n)]
        return not waiting and not refused
