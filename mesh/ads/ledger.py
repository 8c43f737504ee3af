"""What one proxy has of one resource type: asked for, sent, held and refused. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from mesh.ads.messages import Request
    from mesh.xds.resources import Resource

__all__ = ["Ledger", "Refused"]

ALL = "*"
FORGOTTEN = 60.0
"""Seconds after which an answer to a response is no longer understood."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A version that the proxy refused, and what it said."""

    version: str
    message: str


@dataclass(frozen=True, slots=True)
class _Flight:
    versions: Mapping[str, str | None]
    since: float


class Ledger:
    """The account of one type on one stream.

    Attributes:
        started: The proxy has asked for the type.
        wildcard: It wants all there is.
        names: What it wants by name.
        asked: Names that it waits for an answer about.
        held: Versions that it has accepted.
        sent: Versions that it was sent last; what is equal to these needs no sending.
        refused: The last refusal of each name, until another version is accepted.
        stale: Names whose desired version has not been sent.
        pending: Names whose desired version is neither held nor refused.
        waiting_since: When ``pending`` was last empty, or something of it was last answered.
    """

    def __init__(self) -> None:
        self.started = False
        self.wildcard = False
        self.owes_reply = False
        self.names: set[str] = set()
        self.asked: set[str] = set()
        self.held: dict[str, str] = {}
        self.sent: dict[str, str] = {}
        self.refused: dict[str, Refused] = {}
        self.stale: set[str] = set()
        self.pending: set[str] = set()
        self.gone: set[str] = set()
        self.waiting_since = 0.0
        self._desired: Mapping[str, Resource] = {}
        self._flights: dict[str, _Flight] = {}
        self._lost: set[str] = set()

    @property
    def has_news(self) -> bool:
        """Whether there is something that the proxy has not been told."""
        return bool(self.stale or self.asked or self.gone or self.owes_reply)

    @property
    def desired(self) -> Mapping[str, Resource]:
        """What the proxy should hold."""
        return self._desired

    def want(self, desired: Mapping[str, Resource], now: float) -> None:
        """Take in a new desired state."""
        old, self._desired = self._desired, desired
        if old is desired:
            return
        for name, resource in desired.items():
            if old.get(name) is not resource:
                self._check(name, now)
        for name in old.keys() - desired.keys():
            self._check(name, now)

    def subscribe(self, request: Request, now: float) -> None:
        """Take in what a request asks for."""
        first, self.started = not self.started, True
        if first:
            held = {name: version for name, version in request.held.items() if name not in self._lost}
            self.held.update(held)
            self.sent.update(held)
            self.wildcard = ALL in request.subscribe or not request.subscribe
            self.owes_reply = self.wildcard and not request.held
            for name in {*request.held, *self._desired}:
                self._check(name, now)
        elif ALL in request.subscribe:
            self.wildcard = self.owes_reply = True
        for name in request.subscribe:
            if name != ALL:
                self.names.add(name)
                # On a new stream the proxy says what it holds; later, to ask again means to be sent it again.
                if not (first and self._is_current(name)):
                    self.asked.add(name)
        self._unsubscribe(request.unsubscribe)

    def answer(self, request: Request, now: float, *, siblings_apply: bool) -> bool:
        """Take in an acknowledgement or a refusal; return whether it was to a response of ours.

        Args:
            request: It.
            now: The time.
            siblings_apply: Of a refused response, the proxy applies the resources that its message does not name.
        """
        flight = self._flights.pop(request.nonce, None)
        if flight is None:
            return False
        self.waiting_since = now
        named = {n for n in flight.versions if request.error is not None and n in request.error}
        for name, version in flight.versions.items():
            if request.error is not None and not (siblings_apply and named and name not in named):
                if version is not None:
                    self.refused[name] = Refused(version, request.error)
            elif version is None:
                self.held.pop(name, None)
            else:
                self.held[name] = version
                self.refused.pop(name, None)
            self._check(name, now)
        return True

    def depart(self, nonce: str, resources: list[Resource], removed: list[str], now: float) -> None:
        """Note what a response carries."""
        versions: dict[str, str | None] = {r.name: r.version for r in resources}
        versions.update(dict.fromkeys(removed))
        self._flights = {n: f for n, f in self._flights.items() if now - f.since < FORGOTTEN}
        self._flights[nonce] = _Flight(versions, now)
        self.owes_reply = False
        for resource in resources:
            self.sent[resource.name] = resource.version
        for name in removed:
            self.sent.pop(name, None)
            # Gone as far as routes are concerned: should it be wanted again before the answer, they wait for it anew.
            self.held.pop(name, None)
            self.gone.discard(name)
        self.asked.difference_update(versions)
        self.stale.difference_update(versions)

    def in_flight(self, now: float, timeout: float) -> bool:
        """Say whether a response is unanswered that is not yet given up."""
        return any(now - flight.since < timeout for flight in self._flights.values())

    def in_flight_versions(self, name: str) -> set[str | None]:
        """Return the versions of a resource that are sent and not answered."""
        return {flight.versions.get(name) for flight in self._flights.values()}

    def forget(self, name: str, now: float) -> None:
        """Take it that the proxy has lost a resource, so that it is sent again."""
        if not self.started:
            # On a new stream the proxy may have written what it holds before it hears of the loss.
            self._lost.add(name)
        elif name in self.names:
            self.held.pop(name, None)
            self.sent.pop(name, None)
            self._check(name, now)

    def settled(self, now: float, timeout: float, ignore: Container[str] = ()) -> bool:
        """Say whether every desired resource but the ignored is held or refused, or was waited for long enough."""
        return all(name in ignore for name in self.pending) or now - self.waiting_since >= timeout

    def _unsubscribe(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name == ALL:
                self.wildcard = False
            self.names.discard(name)
            self.asked.discard(name)
            if not self.wildcard:
                self.held.pop(name, None)
                self.sent.pop(name, None)
                self.refused.pop(name, None)
                self.gone.discard(name)

    def _is_current(self, name: str) -> bool:
        resource = self._desired.get(name)
        return resource is not None and self.held.get(name) == resource.version

    def _check(self, name: str, now: float) -> None:
        """Bring ``stale``, ``pending`` and ``gone`` up to date for a name."""
        resource = self._desired.get(name)
        refused = self.refused.get(name)
        late = resource is not None and self.sent.get(name) != resource.version
        open_ = resource is not None and self.held.get(name) != resource.version
        if open_ and refused is not None and resource is not None and refused.version == resource.version:
            open_ = False
        if open_ and not self.pending:
            self.waiting_since = now
        for group, member in ((self.stale, late), (self.pending, open_)):
            (group.add if member else group.discard)(name)
        (self.gone.add if resource is None and name in self.sent else self.gone.discard)(name)
