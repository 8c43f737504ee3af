"""One Rollout with its Deployments, ReplicaSets and pods, kept up to date by watches."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from coalmine.people.api import ApiError, UnreachableError, path_of
from rollouts.core.templates import revision
from rollouts.views.tree import belongs, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coalmine.people.api import Api
    from rollouts.views.tree import Node

__all__ = ["Objects", "Watch", "look"]

Obj = dict[str, Any]
_ROLE: Final = "coalmine.dev/role"
_DENIED: Final = frozenset({401, 403})
_AGAIN_SECONDS: Final = 1.0
_CALM_SECONDS: Final = 0.1
"""Several changes within this time are one: a step changes a dozen objects."""


@dataclass
class Objects:
    """What is known.

    Attributes:
        rollout: The Rollout; None when it is gone.
        deployments: Of the namespace, by name.
        replica_sets: By name.
        pods: By name.
        troubles: What is not seen at the moment, and why, by resource.
    """

    rollout: Obj | None = None
    deployments: dict[str, Obj] = field(default_factory=dict)
    replica_sets: dict[str, Obj] = field(default_factory=dict)
    pods: dict[str, Obj] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)

    @property
    def workload(self) -> Obj | None:
        """The Rollout's Deployment."""
        name = ((self.rollout or {}).get("spec") or {}).get("workloadRef", {}).get("name", "")
        return self.deployments.get(name)

    @property
    def held(self) -> bool:
        """Whether the Deployment holds a change."""
        return bool(((self.workload or {}).get("spec") or {}).get("paused"))

    @property
    def asked(self) -> str:
        """The revision that the Deployment asks for; empty where it is not seen."""
        return revision(self.workload["spec"]["template"]) if self.workload else ""

    def tree(self, now: float) -> tuple[Node, ...]:
        """Return the objects as a tree."""
        if self.rollout is None:
            return ()
        return tree_of(self.rollout, self.deployments.values(), self.replica_sets.values(), self.pods.values(), now)


def look(api: Api, namespace: str, rollout: Obj) -> Objects:
    """Return the objects of a Rollout once. What may not be read is left out, and said in ``troubles``."""
    found = Objects(rollout=rollout)
    found.deployments = _listed(api, found, "deployments", namespace, "")
    for selector in _selectors(found):
        found.replica_sets |= _listed(api, found, "replicasets", namespace, selector)
        found.pods |= _listed(api, found, "pods", namespace, selector)
    return found


def _listed(api: Api, found: Objects, plural: str, namespace: str, selector: str) -> dict[str, Obj]:
    try:
        items = api.get(path_of(plural, namespace), **_query(selector))["items"]
    except ApiError as error:
        found.troubles[plural] = str(error)
        return {}
    return {item["metadata"]["name"]: item for item in items}


def _query(selector: str) -> dict[str, str]:
    return {"labelSelector": selector} if selector else {}


def _selectors(found: Objects) -> list[str]:
    """Return what selects the pods of the workload, and those of all canaries and fresh stable pods."""
    workload = found.workload
    labels = ((workload or {}).get("spec", {}).get("selector") or {}).get("matchLabels") or {}
    own = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return [selector for selector in (own, _ROLE) if selector]


class Watch:
    """Follows the objects of one Rollout. Each stream begins anew whenever the server ends it."""

    def __init__(self, api: Api, namespace: str, objects: Objects) -> None:
        self._api = api
        self._namespace = namespace
        self._changes: queue.SimpleQueue[tuple[str, str, Obj | str]] = queue.SimpleQueue()
        self.objects = objects

    def changes(self, seconds: float | None = None) -> Iterator[Objects]:
        """Yield the objects now, and again whenever something of them has changed.

        Args:
            seconds: Give up after this time; None never does.
        """
        self._start()
        end = None if seconds is None else time.monotonic() + seconds
        yield self.objects
        while end is None or time.monotonic() < end:
            try:
                first = self._changes.get(timeout=None if end is None else max(0.0, end - time.monotonic()))
            except queue.Empty:
                return
            changed = self._apply(*first)
            time.sleep(_CALM_SECONDS)
            while not self._changes.empty():
                changed = self._apply(*self._changes.get()) or changed
            if changed:
                yield self.objects

    def _start(self) -> None:
        name = (self.objects.rollout or {})["metadata"]["name"]
        streams = [("rollouts", {"fieldSelector": f"metadata.name={name}"}), ("deployments", {})]
        for selector in _selectors(self.objects):
            streams += [("replicasets", _query(selector)), ("pods", _query(selector))]
        for number, (plural, query) in enumerate(streams):
            threading.Thread(target=self._follow, args=(plural, query), daemon=True, name=f"watch-{number}").start()

    def _follow(self, plural: str, query: Mapping[str, str]) -> None:
        """Tell what happens to a collection, for ever."""
        path = path_of(plural, self._namespace)
        known: set[str] = set()
        while True:
            try:
                known = self._list_and_watch(plural, path, query, known)
            except (ApiError, UnreachableError) as error:
                denied = isinstance(error, ApiError) and error.status in _DENIED
                self._changes.put((plural, "DENIED" if denied else "TROUBLE", str(error)))
                time.sleep(_AGAIN_SECONDS)

    def _list_and_watch(self, plural: str, path: str, query: Mapping[str, str], known: set[str]) -> set[str]:
        listed = self._api.get(path, **query)
        here = {item["metadata"]["name"] for item in listed["items"]}
        for item in listed["items"]:
            self._changes.put((plural, "MODIFIED", item))
        for name in known - here:
            self._changes.put((plural, "DELETED", {"metadata": {"name": name}}))
        self._changes.put((plural, "FINE", ""))
        version = listed["metadata"]["resourceVersion"]
        while True:
            for kind, item in self._api.watch(path, version, **query):
                if kind == "ERROR":
                    return here
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    (here.discard if kind == "DELETED" else here.add)(item["metadata"]["name"])
                    self._changes.put((plural, kind, item))

    def _apply(self, plural: str, kind: str, item: Obj | str) -> bool:
        """Take one change; return whether it is one of what is shown."""
        objects = self.objects
        if isinstance(item, str):
            if kind == "DENIED" and plural == "rollouts":
                raise click.ClickException(f"{item}. To follow a Rollout you need the verbs list and watch on it")
            before = objects.troubles.get(plural, "")
            objects.troubles[plural] = item
            return before != item
        if plural == "rollouts":
            changed = item != objects.rollout
            objects.rollout = None if kind == "DELETED" else item
            return changed
        kept = {"deployments": objects.deployments, "replicasets": objects.replica_sets, "pods": objects.pods}[plural]
        name = item["metadata"]["name"]
        before_item = kept.pop(name, None) if kind == "DELETED" else kept.get(name)
        if kind != "DELETED":
            kept[name] = item
        shown = plural != "deployments" or (objects.rollout is not None and belongs(item, objects.rollout))
        return shown and before_item != (None if kind == "DELETED" else item)
