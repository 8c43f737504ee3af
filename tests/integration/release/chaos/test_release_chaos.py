"""Releases go on while controllers are killed and stopped at random; what holds is checked from outside.

A short run is part of the suite. ``make chaos`` runs five minutes and prints what goes on; CHAOS_SECONDS and CHAOS_SEED
choose another length and another order of events.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest

from coalmine.local.layout import MESH

pytestmark = pytest.mark.integration

SECONDS = float(os.environ.get("CHAOS_SECONDS", "45"))
SEED = int(os.environ.get("CHAOS_SEED", "6" if "CHAOS_SECONDS" not in os.environ else str(int(time.time()))))
STEPS = [{"setWeight": 30}, {"pause": {"duration": "1s"}}, {"setWeight": 70}]
ANALYSIS = {
    "minStepDuration": "2s", "maxStepDuration": "6s", "onInconclusive": "Promote", "errors": {"warmUp": "0s"}, "latency": {"enabled": False}
}  # fmt: skip
"""A bad version is found within a handful of requests; a good one need not be proven."""
PATIENCE = 25.0
"""Seconds that a state may last in which somebody has to act: a lease, a start of a controller, a busy machine."""
LONG = 600.0
RESTING = {"Healthy", "RolledBack"}


class Inspector(threading.Thread):
    """Looks at the cluster some times each second, as anybody could."""

    def __init__(self, chaos: Chaos) -> None:
        super().__init__(daemon=True)
        self._chaos = chaos
        self._api = chaos.controllers.api
        self._since: dict[str, float] = {}
        self._ended = threading.Event()
        self.checks = 0
        self.found: list[str] = []
        self.weights: Counter[int] = Counter()

    def _get(self, group: str, kind: str, name: str) -> dict[str, Any]:
        namespace = self._chaos.shop.namespace
        return self._api.get(f"/apis/{group}/namespaces/{namespace}/{kind}/{name}", timeout=10) or {}

    def run(self) -> None:
        while not self._ended.wait(0.3):
            self._look()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _look(self) -> None:
        before = self._get("apps/v1", "deployments", "payment-canary")
        split = self._get("mesh.coalmine.dev/v1alpha1", "trafficsplits", "payment")
        after = self._get("apps/v1", "deployments", "payment-canary")
        stable = self._get("apps/v1", "deployments", "payment")
        if not split or not stable:
            return
        self.checks += 1
        asked = {b["service"]: b["weight"] for b in split["spec"]["backends"]}
        held = ((split.get("status") or {}).get("acknowledged") or {}).get("weights") or {}
        weight = max(asked.get("payment-canary", 0), held.get("payment-canary", 0))
        self.weights[weight] += 1
        if weight and not before and not after:
            self.found.append(f"{weight} % go to a canary that was removed")
        self._lasting(
            "a canary without a ready pod gets requests", bool(weight) and not ready(before) and not ready(after)
        )
        self._lasting("stable has no ready pod and gets requests", weight < 100 and not ready(stable))
        if owned := self._chaos.fields_of_git(stable):
            self.found.append(f"fields of git's are ours: {owned}")

    def _lasting(self, what: str, holds: bool) -> None:
        """Note what holds for longer than whoever leads needs to act."""
        if not holds:
            self._since.pop(what, None)
        elif time.monotonic() - self._since.setdefault(what, time.monotonic()) > PATIENCE:
            self.found.append(what)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def ready(deployment: dict[str, Any]) -> int:
    return int((deployment.get("status") or {}).get("readyReplicas", 0))


class Chaos:
    """People who release, and somebody who kills."""

    def __init__(self, shop: Any, controllers: Any, fields_of_git: Any) -> None:
        self.shop, self.controllers, self.fields_of_git = shop, controllers, fields_of_git
        self.random = random.Random(SEED)
        self.done: Counter[str] = Counter()
        self.trail: list[str] = []
        self.version = 1
        self.pushed = ("v1", 0.0)
        self.began = time.monotonic()
        self.inspector = Inspector(self)
        self._told = 0.0

    @property
    def age(self) -> float:
        return time.monotonic() - self.began

    def note(self, what: str) -> None:
        self.done[what.partition(":")[0]] += 1
        self.trail.append(f"{self.age:6.1f} s  {what}")

    # --- people ---

    def release(self, errors: float = 0.0) -> None:
        self.version += 1
        self.note(f"{'bad' if errors else 'good'} release: v{self.version}")
        self.push(f"v{self.version}", errors)

    def push(self, version: str, errors: float = 0.0) -> None:
        self.pushed = (version, errors)
        self.shop.push(version, errors=errors)

    def people(self) -> None:
        status = self.shop.status
        if status["phase"] in RESTING:
            self.release(0.4 if self.random.random() < 0.3 else 0.0)
            return
        match self.random.choices(("wait", "scale", "supersede", "revert", "abort", "promote"), (10, 2, 2, 1, 1, 1))[0]:
            case "scale":
                self.shop.replicas = self.random.choice((1, 2, 4))
                self.note(f"scaled: to {self.shop.replicas}")
                self.push(*self.pushed)
            case "supersede":
                self.note("superseded")
                self.release()
            case "revert":
                image = status.get("stable", {}).get("images", ["registry.example/shop/payment:v1"])[0]
                self.note(f"reverted: {image}")
                self.push(image.rpartition(":")[2])
            case "abort" | "promote" as command:
                self.note(f"{command}")
                self.shop.annotate(command)
            case _:
                return

    # --- trouble ---

    def trouble(self) -> None:
        leader, standby = self.controllers.leader, self.controllers.standby
        match self.random.choices(("kill", "both", "standby", "stop", "mesh"), (6, 1, 1, 2, 1))[0]:
            case "kill" if leader:
                self.note(f"killed: {leader.name}, which led in {self.shop.state}")
                leader.kill()
            case "both":
                self.note("killed: both controllers")
                for replica in self.controllers.replicas:
                    replica.kill()
            case "standby":
                self.note(f"killed: {standby.name}, which stood by")
                standby.kill()
            case "stop" if leader:
                seconds = self.random.choice((2.0, 9.0))
                self.note(f"stopped: {leader.name} for {seconds:g} s")
                leader.signal(signal.SIGSTOP)
                time.sleep(seconds)
                leader.signal(signal.SIGCONT)
            case "mesh":
                self.note("killed: the mesh's control plane")
                self.shop.kill_mesh()
            case _:
                return

    def start_what_is_down(self) -> None:
        for replica in self.controllers.replicas:
            replica.start()

    def tell(self) -> None:
        """Print a line every few seconds."""
        if self.age - self._told < 5:
            return
        self._told = self.age
        did = ", ".join(f"{n} {what}" for what, n in sorted(self.done.items()))
        seen = f"{self.inspector.checks} looks, weights {sorted(self.inspector.weights)}"
        say(f"{self.age:5.0f} s  {self.shop.state:16}  {did}; {seen}")

    def run(self) -> None:
        say(f"\nchaos for {SECONDS:g} s, CHAOS_SEED={SEED}")
        self.began = time.monotonic()
        self.inspector.start()
        try:
            acts = troubles = 0.0
            while self.age < SECONDS and not self.inspector.found:
                if self.age >= acts:
                    self.people()
                    acts = self.age + self.random.uniform(1, 4)
                if self.age >= troubles:
                    self.start_what_is_down()
                    self.trouble()
                    troubles = self.age + self.random.uniform(3, 9)
                self.tell()
                time.sleep(0.2)
            self.rest()
        finally:
            self.inspector.end()

    @property
    def promoted(self) -> bool:
        status = self.shop.status
        return bool(status["phase"] == "Healthy" and status["stable"]["images"][0].endswith(f":v{self.version}"))

    def rest(self) -> None:
        """Everything runs again: what is under way ends, and one more good release is promoted."""
        self.controllers.all_up()
        self.shop.cluster.start(MESH)
        self.shop.until(lambda: self.shop.status["phase"] in RESTING, LONG)
        self.release()
        self.shop.until(lambda: self.promoted, LONG)
        self.shop.until(lambda: self.shop.get("deployment", "payment-canary") is None)


@pytest.fixture
def chaos(controllers: Any, shop: Any, fields_of_git: Any) -> Chaos:
    return Chaos(shop, controllers, fields_of_git)


def test_releases_keep_their_promises_whoever_is_killed(chaos: Chaos, story: Any) -> None:
    shop = chaos.shop
    shop.open(rate=20, steps=STEPS, analysis=ANALYSIS)
    try:
        chaos.run()
        assert chaos.inspector.found == []
        assert shop.weight == 0
        told = story(shop)
        told.check()
        assert fields_of(chaos) == []
        assert shop.failed_by_us() == []
    except Exception as error:
        trail = "\n".join(chaos.trail)
        say(f"failed: {error}")
        raise AssertionError(f"{error}\nCHAOS_SEED={SEED}; what was done:\n{trail}") from error
    outcomes = Counter(
        reason for reason in told.reasons if reason in {"Promoted", "RolledBack", "Superseded", "Reverted"}
    )
    say(
        f"{chaos.age:5.0f} s  kept through {dict(chaos.done)}: {dict(outcomes)}, {len(told.told)} transitions told once"
    )


def fields_of(chaos: Chaos) -> list[str]:
    found: list[str] = chaos.fields_of_git(chaos.shop.get("deployment", "payment"))
    return found
