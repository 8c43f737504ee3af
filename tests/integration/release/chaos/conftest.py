"""Several controllers beside each other, and what can be told of releases from outside of them."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from running.controllers import Controller

from coalmine.local.kube import Api
from coalmine.local.layout import CONTROLLER
from rollouts.core.machine import Event, State, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coalmine.local.cluster import LocalCluster

LEASE_SECONDS = 6
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/coalmine-controller"
MANAGER = "coalmine"


class Controllers:
    """Two of them, of which one leads."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.api = Api(cluster.server, cluster.layout.pki)
        args = (f"--lease-seconds={LEASE_SECONDS}", "--leader-elect", "--verbose")
        self.replicas = [Controller(cluster, f"controller-{letter}", *args) for letter in "ab"]

    @property
    def holder(self) -> str:
        return str(((self.api.get(LEASE) or {}).get("spec") or {}).get("holderIdentity") or "")

    @property
    def leader(self) -> Controller | None:
        """The one whose process holds the Lease; None while that process is gone."""
        parts = self.holder.split("_")
        return next((r for r in self.replicas if len(parts) > 1 and str(r.pid) == parts[1]), None)

    @property
    def standby(self) -> Controller:
        return next(r for r in self.replicas if r is not self.leader)

    def all_up(self) -> None:
        for replica in self.replicas:
            replica.signal(signal.SIGCONT)
            replica.start()
        until(lambda: all(r.ready for r in self.replicas) and self.leader is not None, "both controllers run")

    def end(self) -> None:
        for replica in self.replicas:
            replica.kill()


def until(condition: Callable[[], Any], what: str, seconds: float = 240.0) -> None:
    """Wait for a condition; the deadline only ends a test that hangs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


@pytest.fixture
def controllers(stack: LocalCluster) -> Iterator[Controllers]:
    """Two controllers in place of the cluster's own one."""
    stack.stop(CONTROLLER)
    made = Controllers(stack)
    try:
        made.all_up()
        yield made
    finally:
        made.end()
        stack.kubectl()("delete", "lease", "coalmine-controller", "-n", "default", "--ignore-not-found")
        stack.start(CONTROLLER)


class Story:
    """What the Rollout's Events tell, against the state machine's table."""

    def __init__(self, shop: Any) -> None:
        self.told = shop.numbered_events()
        self.reasons = [reason for _, reason in self.told]
        self.internal = shop.status["internal"]
        self.history = shop.status.get("history", [])

    def check(self) -> None:
        """Every transition was told once, each was legal, and they lead to where the Rollout is."""
        assert [number for number, _ in self.told] == list(range(1, self.internal["number"] + 1)), self.told
        known = {event.value for event in Event}
        state = State.INITIALIZING
        for number, reason in self.told:
            if reason in known:
                before, state = state, advance(state, Event(reason))
                assert state, f"{number}: {reason} in {before}"
        assert state == self.internal["state"], self.told
        ended = (
            self.reasons.count("Promoted") + self.reasons.count("RolledBack") - self.reasons.count("RevisionRefused")
        )
        assert len(self.history) >= min(10, ended), self.history


@pytest.fixture
def story() -> Callable[[Any], Story]:
    return Story


def owned(manifest: dict[str, Any]) -> list[str]:
    """Fields of git's that the controller's managers own in an object; the label and the status are its own."""
    found = []
    for entry in manifest["metadata"].get("managedFields", []):
        if entry["manager"] != MANAGER or entry.get("subresource") == "status":
            continue
        fields = dict(entry["fieldsV1"])
        metadata = dict(fields.pop("f:metadata", {}))
        labels = set(metadata.pop("f:labels", {})) - {"f:coalmine.dev/rollout", "."}
        notes = {n for n in metadata.pop("f:annotations", {}) if not n.startswith("f:coalmine.dev/")} - {"."}
        found += [*fields, *metadata, *labels, *notes]
    return found


@pytest.fixture
def fields_of_git() -> Callable[[dict[str, Any]], list[str]]:
    return owned
