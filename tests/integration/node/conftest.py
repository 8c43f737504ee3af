"""Pods for the node agent's tests: made from a few words, awaited by what they become."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reading.objects import Objects

    from coalmine.local.kube import Kubectl

PATIENCE_SECONDS = 30.0


@dataclass
class Pods:
    """The pods of one namespace."""

    kubectl: Kubectl
    live: Objects
    namespace: str
    scratch: Path

    def apply(self, *objects: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=text)

    def run(self, name: str, *containers: dict[str, Any], **spec: Any) -> None:
        """Create a pod that restarts nothing, unless its spec says otherwise."""
        spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": list(containers)} | spec
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def get(self, name: str) -> dict[str, Any]:
        return self.live.get("pod", self.namespace, name)

    def logs(self, name: str, *args: str) -> str:
        return self.kubectl("logs", name, "-n", self.namespace, *args)

    def delete(self, name: str, *args: str) -> None:
        self.kubectl("delete", "pod", name, "-n", self.namespace, *args)

    def events(self, name: str) -> set[str]:
        found = self.live.all("event", self.namespace)
        return {event["reason"] for event in found if event["regarding"]["name"] == name}

    def until(self, name: str, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait until a pod is so, and return it."""
        found: list[dict[str, Any]] = []

        def check() -> bool:
            found[:] = [self.get(name)]
            return bool(holds(found[0]))

        eventually(check, lambda: json.dumps(found[0]["status"], indent=1))
        return found[0]


def eventually(check: Callable[[], bool], explain: Callable[[], str] = str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not check():
        if time.monotonic() > end:
            pytest.fail(f"not within {PATIENCE_SECONDS} s: {explain()}")
        time.sleep(0.05)


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., None]:
    return eventually


@pytest.fixture
def pods(kubectl: Kubectl, live: Objects, namespace: str, tmp_path: Path) -> Pods:
    return Pods(kubectl, live, namespace, tmp_path)


@pytest.fixture
def python() -> Callable[..., dict[str, Any]]:
    """Makes a container of a Python program: ``python("print(1)", name="main", **fields)``."""

    def make(program: str, *args: str, name: str = "main", **fields: Any) -> dict[str, Any]:
        command = [sys.executable, "-u", "-c", program]
        address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        env = [address, *fields.pop("env", [])]
        return {"name": name, "image": "none", "command": command, "args": list(args), "env": env} | fields

    return make
