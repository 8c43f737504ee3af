"""What is sent to all: only what some proxy has accepted. No I/O.

Clusters, listeners, filters and routes that no proxy has accepted yet go to a few proxies first; the first that accepts
them opens the gate for all. The same holds for resources of one name that differ from pod to pod, such as what lets
requests in: a few pods are told their new ones before the others are. What two proxies refuse, or the only one that is
to hold it, and nobody accepts, goes to nobody else. A proxy that has refused something is offered what it held before in its place, and all else as it should be.
Endpoints and certificates are not held up: pods that come and go must be known at once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mesh.xds.resources import CDS, ECDS, EDS, LDS, RDS, SDS, Resource, Snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mesh.ads.session import Session

__all__ = ["FIRST", "TIMEOUT", "Gate", "Refusal"]

FIRST: Final = 3
"""Proxies that get something new first: one that is slow or about to end delays nobody."""
TIMEOUT: Final = 5.0
"""Seconds until a proxy that does not answer gives its place to another one."""
_ENOUGH: Final = 2
_REMEMBERED: Final = 50_000
_GATED: Final = (CDS, LDS, ECDS, RDS)
_ON_DEMAND: Final = (ECDS, RDS)

Name = tuple[str, str]
"""A type and a resource's name."""
Key = tuple[str, str]
"""A type and a resource's version, which is a hash of its content, the name included."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a proxy refused.

    Attributes:
        proxy: ``namespace/pod``.
        type_url: The resource's type.
        name: Its name.
        version: Its version.
        message: What the proxy said.
        final: Nobody is to get it; otherwise others have accepted it.
    """

    proxy: str
    type_url: str
    name: str
    version: str
    message: str
    final: bool


@dataclass(slots=True)
class _Proxy:
    """One proxy.

    Attributes:
        desired: What it should hold.
        sent: What it was offered last.
        good: The last offer that it accepted whole.
        older: The one before.
        trying: What it is among the first to get.
        tried: What it was among the first to get and did not answer.
        withheld: Of the desired, what it is not offered, and why.
    """

    desired: Snapshot
    sent: Snapshot | None = None
    good: Snapshot | None = None
    older: Snapshot | None = None
    trying: dict[Key, Name] = field(default_factory=dict)
    tried: dict[Key, Name] = field(default_factory=dict)
    since: float = 0.0
    waiting: bool = False
    withheld: dict[Name, str] = field(default_factory=dict)


class Gate:
    """Decides what each proxy is offered. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._proxies: dict[str, _Proxy] = {}
        self._proven: OrderedDict[Key, None] = OrderedDict()
        self._first: dict[Key, set[str]] = {}
        self._group: dict[Name, set[str]] = {}
        self._open: set[Name] = set()
        self._since = 0.0
        self._unlocked = False
        self._refused: dict[Key, dict[str, Refusal]] = {}
        self._final: set[Key] = set()
        self._news: list[Refusal] = []

    def begin(self, now: float) -> None:
        """Note that all proxies are about to be offered a new state of the world."""
        self._group.clear()
        self._open.clear()
        self._since = now

    def offer(self, proxy: str, desired: Snapshot, session: Session, now: float) -> Snapshot | None:
        """Return what a proxy is to be offered; None for nothing yet.

        Args:
            proxy: ``namespace/pod``.
            desired: What it should hold.
            session: Its stream.
            now: The time.
        """
        state = self._proxies.setdefault(proxy, _Proxy(desired))
        state.desired = desired
        good = state.good
        unproven: dict[Key, Name] = {}
        withheld: dict[Name, str] = {}
        for name, resource in _fresh(desired, good):
            key = (name[0], resource.version)
            if (message := self._objection(proxy, key)) is not None:
                withheld[name] = message
            elif key not in self._proven and not self._is_held(session, name, key) and _is_wanted(session, name):
                unproven[key] = name
        state.withheld = withheld
        asked = [k for k in unproven if k not in state.tried and proxy not in self._first.get(k, ())]
        new = [unproven[k] for k in asked if state.sent is not None and unproven[k] not in self._open]
        if any(self._taken(k) >= FIRST for k in asked) or any(self._is_full(n, proxy) for n in new):
            state.waiting = True
            state.sent = _refreshed(state.sent, desired)
            return state.sent
        self._release(proxy, state, keep=unproven)
        for key in asked:
            self._first.setdefault(key, set()).add(proxy)
            state.since = now
        for name in new:
            self._group.setdefault(name, set()).add(proxy)
        state.trying = {k: n for k, n in unproven.items() if k not in state.tried}
        state.tried = {k: n for k, n in unproven.items() if k in state.tried}
        state.waiting = False
        state.sent = desired if not withheld or good is None else _without(desired, good, withheld)
        return state.sent

    def learn(self, proxy: str, session: Session) -> bool:
        """Take in what a proxy has just said; return whether it is to be offered anew."""
        state = self._proxies.get(proxy)
        if state is None or state.sent is None:
            return state is not None
        again = state.waiting
        for key, name in [*state.trying.items(), *state.tried.items()]:
            held = self._is_held(session, name, key)
            if held and name not in self._open:
                self._open.add(name)
                self._unlocked |= name in self._group
            if held or not _is_wanted(session, name):
                state.trying.pop(key, None)
                state.tried.pop(key, None)
                self._leave_first(proxy, key)
        for type_url in _GATED:
            for name_, found in session.ledgers[type_url].refused.items():
                resource = state.desired.of(type_url).get(name_)
                if resource is not None and resource.version == found.version:
                    again |= self._refuse(proxy, (type_url, name_), found.version, found.message)
        if session.holds_all(_GATED) and state.good is not state.sent:
            state.older, state.good = state.good, state.sent
        return again

    def unlocked(self) -> bool:
        """Say whether, since the last call, something happened that those which wait may have waited for."""
        found, self._unlocked = self._unlocked, False
        return found

    def tick(self, now: float) -> None:
        """Give the places of proxies that do not answer to others."""
        if self._group and now - self._since >= TIMEOUT:
            self.begin(now)  # a few more
            self._unlocked = True
        late = [(n, p) for n, p in self._proxies.items() if p.trying and now - p.since >= TIMEOUT]
        for name, state in late if self.waiting else ():
            state.tried.update(state.trying)
            self._release(name, state)

    def leave(self, proxy: str) -> None:
        """Note that a proxy has no stream any more; what it accepted is remembered until ``retain`` lets it go."""
        state = self._proxies.get(proxy)
        if state is not None:
            self._release(proxy, state)
            state.sent, state.waiting = None, False
            state.tried.clear()
            for group in self._group.values():
                group.discard(proxy)

    def retain(self, proxies: Collection[str]) -> None:
        """Forget all other proxies."""
        for proxy in self._proxies.keys() - set(proxies):
            self.leave(proxy)
            del self._proxies[proxy]
        if self._refused:
            wanted = [p.desired for p in self._proxies.values()]
            present = {(t, r.version) for snapshot in wanted for t in _GATED for r in snapshot.of(t).values()}
            self._refused = {key: found for key, found in self._refused.items() if key in present}
            self._final &= self._refused.keys()

    @property
    def waiting(self) -> list[str]:
        """The proxies that are not offered what they should hold, since others try it first."""
        return [name for name, state in self._proxies.items() if state.waiting]

    def desired(self, proxy: str) -> Snapshot | None:
        """Return what a proxy should hold."""
        state = self._proxies.get(proxy)
        return state.desired if state else None

    def withheld(self, proxy: str) -> Mapping[Name, str]:
        """Return what a proxy should hold but is not offered, because it was refused, and what was said."""
        state = self._proxies.get(proxy)
        return state.withheld if state else {}

    def refusal(self, proxy: str, uid: str) -> str | None:
        """Return why a proxy does not get the present state of a TrafficSplit; None where nothing was refused."""
        state = self._proxies.get(proxy)
        mark = state.desired.splits.get(uid) if state else None
        if state is None or mark is None:
            return None
        names = [(RDS, name) for name in sorted(mark.routes)] + [(CDS, name) for name in sorted(mark.clusters)]
        return next((state.withheld[name] for name in names if name in state.withheld), None)

    def news(self) -> list[Refusal]:
        """Return the refusals since the last call."""
        found, self._news = self._news, []
        return found

    def _objection(self, proxy: str, key: Key) -> str | None:
        """Return what was said against a resource for a proxy."""
        refused = self._refused.get(key)
        if not refused:
            return None
        if proxy in refused:
            return refused[proxy].message
        return next(iter(refused.values())).message if key in self._final and key not in self._proven else None

    def _taken(self, key: Key) -> int:
        """Return how many places are taken: who refused has used up one."""
        return len(self._first.get(key, ())) + len(self._refused.get(key, ()))

    def _is_full(self, name: Name, proxy: str) -> bool:
        group = self._group.get(name, set())
        return proxy not in group and len(group) >= FIRST

    def _is_held(self, session: Session, name: Name, key: Key) -> bool:
        held = session.ledgers[name[0]].held.get(name[1]) == key[1]
        if held:
            self._prove(key)
        return held

    def _prove(self, key: Key) -> None:
        if key not in self._proven:
            self._unlocked = True
            self._news += self._refused.get(key, {}).values()
        self._proven[key] = None
        self._proven.move_to_end(key)
        while len(self._proven) > _REMEMBERED:
            self._proven.popitem(last=False)

    def _refuse(self, proxy: str, name: Name, version: str, message: str) -> bool:
        """Take in a refusal; return whether it is news."""
        key = (name[0], version)
        found = self._refused.setdefault(key, {})
        if proxy in found:
            return False
        self._unlocked = True
        told = found[proxy] = Refusal(proxy, name[0], name[1], version, message, final=False)
        users = sum(r.version == version for p in self._proxies.values() if (r := p.desired.of(name[0]).get(name[1])))
        if key in self._proven:
            self._news.append(told)
        elif key not in self._final and len(found) >= min(_ENOUGH, users):
            self._final.add(key)
            self._news.append(replace(told, final=True))
        state = self._proxies[proxy]
        state.trying.pop(key, None)
        self._leave_first(proxy, key)
        if state.good and (kept := state.good.of(name[0]).get(name[1])) and kept.version == version:
            state.good = state.older  # it was asked for only after all else was accepted
        return True

    def _release(self, proxy: str, state: _Proxy, keep: Collection[Key] = ()) -> None:
        for key in [k for k in state.trying if k not in keep]:
            del state.trying[key]
            self._leave_first(proxy, key)

    def _leave_first(self, proxy: str, key: Key) -> None:
        among = self._first.get(key, set())
        self._unlocked |= proxy in among and key not in self._proven
        among.discard(proxy)
        if not among:
            self._first.pop(key, None)


def _fresh(desired: Snapshot, good: Snapshot | None) -> Iterator[tuple[Name, Resource]]:
    """Return what is gated and not known to be accepted."""
    for type_url in _GATED:
        before = good.of(type_url) if good else {}
        after = desired.of(type_url)
        if before is not after:
            for name, resource in after.items():
                if before.get(name) is not resource:
                    yield (type_url, name), resource


def _is_wanted(session: Session, name: Name) -> bool:
    """Say whether the proxy takes a resource: routes and filters only go to those whose listeners name them."""
    type_url, resource = name
    if type_url not in _ON_DEMAND or resource in session.ledgers[type_url].names:
        return True
    listeners = session.ledgers[LDS]
    return not listeners.started or bool(listeners.pending)


def _refreshed(sent: Snapshot | None, desired: Snapshot) -> Snapshot | None:
    """Return what was offered, with endpoints and certificates as they should be now."""
    if sent is None:
        return None
    now = desired.of(EDS)
    endpoints = {name: now.get(name, old) for name, old in sent.of(EDS).items()}
    if all(endpoints[n] is old for n, old in sent.of(EDS).items()) and sent.of(SDS) == desired.of(SDS):
        return sent
    return replace(sent, resources=MappingProxyType({**sent.resources, EDS: endpoints, SDS: desired.of(SDS)}))


def _without(desired: Snapshot, good: Snapshot, withheld: Mapping[Name, str]) -> Snapshot:
    """Return the desired with what was accepted before in place of what is withheld.

    Clusters that are no longer desired stay, since what is kept may lead to them.
    """
    made = {t: dict(found) for t, found in desired.resources.items()}
    for type_url, name in withheld:
        made[type_url].pop(name)
        if name in good.of(type_url):
            made[type_url][name] = good.of(type_url)[name]
    for type_url in (CDS, EDS):
        made[type_url] = {**good.of(type_url), **made[type_url]}
    splits = {}
    for uid, mark in desired.splits.items():
        touched = any((RDS, n) in withheld for n in mark.routes) or any((CDS, n) in withheld for n in mark.clusters)
        found = good.splits.get(uid) if touched else mark
        if found is not None:
            splits[uid] = found
    return Snapshot(MappingProxyType(made), vital=desired.vital, splits=MappingProxyType(splits))
