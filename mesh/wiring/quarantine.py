"""Which object a refused configuration comes from, and the world without what it says. No I/O."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from mesh.resolve.problems import Problem
from mesh.resolve.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mesh.ads.gate import Refusal
    from mesh.resolve.problems import Ref
    from mesh.xds.resources import Snapshot

__all__ = ["Quarantine"]

log = logging.getLogger(__name__)
_TRIED: Final = 50
"""Objects that are looked at for one refusal, the last changed first; each costs a resolution of the world."""
_NOT_USERS: Final = frozenset({"traffic_splits"})
"""Their own status tells what becomes of them, and a release waits for it."""


@dataclass(slots=True)
class _Known:
    """An object.

    Attributes:
        item: Its present state.
        good: The state before it that nobody refused; None where it is new.
        since: Counts changes of any object.
        replaceable: ``good`` is what was in force before; not so for objects that were there when this process began.
    """

    item: Any
    good: Any
    since: int
    replaceable: bool


class Quarantine:
    """Keeps what proxies refuse from the others, object by object, until its author changes it.

    The world is used with what the object said before, or without it where it is new. After a restart nothing is known
    of what objects said before: then the gate alone keeps what is refused from going on.

    Args:
        build: Returns what a proxy (``namespace/pod``) should hold in a world; None where it is not known.
    """

    def __init__(self, build: Callable[[World, str], Snapshot | None]) -> None:
        self._build = build
        self._known: dict[Ref, _Known] = {}
        self._out: dict[Ref, Problem] = {}
        self._told: dict[Ref, Problem] = {}
        self._changes = 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors of the objects should be told."""
        return (*self._out.values(), *self._told.values())

    def admit(self, world: World) -> World:
        """Return the world as it is to be used; call it with each new one."""
        first = not self._changes
        present = {_ref(item): item for _, items in _objects(world) for item in items}
        self._changes += 1
        for ref, item in present.items():
            known = self._known.get(ref)
            if known is None:
                self._known[ref] = _Known(item, None, self._changes, replaceable=not first)
            elif known.item is not item:
                if known.item != item:
                    good = known.good if ref in self._out else known.item
                    self._known[ref] = _Known(item, good, self._changes, replaceable=True)
                    self._out.pop(ref, None)
                    self._told.pop(ref, None)
                else:
                    known.item = item
        for ref in self._known.keys() - present.keys():
            for group in (self._known, self._out, self._told):
                group.pop(ref, None)
        return _exchanged(world, {ref: self._known[ref].good for ref in self._out})

    def blame(self, refusal: Refusal, world: World) -> bool:
        """Find the object that a refused resource comes from; return whether the world is to be made anew without it.

        Args:
            refusal: What was refused.
            world: The present world, as ``admit`` returned it.
        """
        if not self._is_made(refusal, _exchanged(world, {out: self._known[out].good for out in self._out})):
            return False  # what is taken out already made this as well
        suspects = sorted(self._known.keys() - self._out.keys(), key=lambda ref: -self._known[ref].since)
        for ref in suspects[:_TRIED]:
            known = self._known[ref]
            if known.replaceable and not self._is_made(refusal, _exchanged(world, {ref: known.good})):
                self._note(ref, refusal, known)
                return refusal.final
        log.warning("%s of %s comes from no object that was changed", refusal.name, refusal.proxy)
        return False

    def _is_made(self, refusal: Refusal, world: World) -> bool:
        """Say whether the refused resource is made of a world."""
        try:
            snapshot = self._build(world, refusal.proxy)
        except Exception:
            log.exception("the world cannot be resolved without a part of it")
            return True
        resource = snapshot.of(refusal.type_url).get(refusal.name) if snapshot else None
        return snapshot is None or (resource is not None and resource.version == refusal.version)

    def _note(self, ref: Ref, refusal: Refusal, known: _Known) -> None:
        instead = "what it said before stays in force" if known.good is not None else "it is not applied"
        if refusal.final:
            text = f"spec: Envoy refuses what it asks for, and {instead} until it is changed: {refusal.message}"
            self._out[ref] = Problem(ref, "Refused", text)
            self._told.pop(ref, None)
        else:
            text = f"spec: the proxy of {refusal.proxy} refuses what others accept, and keeps what it had: {refusal.message}"
            self._told[ref] = Problem(ref, "RefusedByProxy", text)
        log.warning("%s %s/%s: %s", ref.kind, ref.namespace, ref.name, text)


def _objects(world: World) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Return the resources of a world by the field that holds them."""
    for each in fields(World):
        items = getattr(world, each.name)
        if isinstance(items, tuple) and each.name not in _NOT_USERS:
            yield each.name, items


def _ref(item: Any) -> Ref:
    found: Ref = getattr(item, "rule", item).ref
    return found


def _exchanged(world: World, instead: dict[Ref, Any]) -> World:
    """Return a world with other states of some objects; None takes an object out."""
    if not instead:
        return world
    changed: dict[str, Any] = {}
    for name, items in _objects(world):
        if any(_ref(item) in instead for item in items):
            kept = (instead.get(_ref(item), item) for item in items)
            changed[name] = tuple(item for item in kept if item is not None)
    # What was resolved of the other world is none of this one's.
    return replace(world, **changed, _outbound={})
