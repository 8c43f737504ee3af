"""The whole of Coalmine on a real API server with real Envoys: one cluster for these tests, one shop for each."""

from __future__ import annotations

import json
import signal
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from reading.objects import Objects

from coalmine.local.errors import KubectlError
from coalmine.local.layout import CONTROLLER, MESH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coalmine.local.cluster import LocalCluster
    from coalmine.local.kube import Kubectl

DEPLOY = Path(__file__).parents[3] / "examples" / "shop" / "deploy"
QUICK: dict[str, Any] = {"minStepDuration": "2s", "errors": {"warmUp": "0s"}, "latency": {"enabled": False}}


@pytest.fixture(scope="module")
def stack(clusters: Any) -> LocalCluster:
    """Kubernetes, the node, the mesh and the controller."""
    made: LocalCluster = clusters.stack()
    return made


class Shop:
    """frontend, payment and load in a namespace of their own, with a Rollout for payment."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._kubectl: Kubectl = cluster.kubectl()
        self.live = Objects(cluster)
        self.opened = 0.0
        self.replicas = 2
        self.env: dict[str, str] = {}
        """Set in every version of payment."""

    def kubectl(self, *args: str, stdin: str | None = None, timeout: float = 150.0) -> str:
        return self._kubectl("-n", self.namespace, *args, stdin=stdin, timeout=timeout)

    def apply(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            obj["metadata"]["namespace"] = self.namespace
        self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def objects(self, name: str) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all((DEPLOY / name).read_text()))

    def push(self, version: str, *, errors: float = 0.0, **env: str) -> None:
        """Apply payment as a commit would."""
        deployment, service = self.objects("payment.yaml")
        deployment["spec"]["replicas"] = self.replicas
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        container["image"] = f"registry.example/shop/payment:{version}"
        values = {"VERSION": version, "ERROR_RATE": str(errors), "LATENCY_MS": "5", **self.env, **env}
        for variable in container["env"]:
            if variable["name"] in values:
                variable["value"] = values.pop(variable["name"])
        container["env"] += [{"name": name, "value": value} for name, value in values.items()]
        self.apply(deployment, service)

    def open(self, rate: int = 40, **spec: Any) -> None:
        """Bring the shop up with its Rollout, and wait until it is adopted."""
        self.push("v1")
        self.apply(*self.objects("frontend.yaml"))
        (load,) = self.objects("load.yaml")
        for variable in load["spec"]["template"]["spec"]["containers"][0]["env"]:
            if variable["name"] == "RATE":
                variable["value"] = str(rate)
        self.rollout(**spec)
        self.until(lambda: self.status["phase"] == "Healthy")
        self._available("frontend")
        self.apply(load)
        self._available("load")
        self.until(lambda: len(self.seconds()) > 1)
        self.opened = time.time()

    def _available(self, deployment: str) -> None:
        self.kubectl("wait", "--for=condition=Available", f"deployment/{deployment}", "--timeout=120s")

    def rollout(self, name: str = "payment", **spec: Any) -> None:
        body = {"workloadRef": {"name": name}, "scaleDownDelaySeconds": 2, "analysis": QUICK, **spec}
        self.apply({"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": body})

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.live.find(kind.lower().partition(".")[0].removesuffix("s"), self.namespace, name)

    @property
    def status(self) -> dict[str, Any]:
        return self.status_of("payment")

    def status_of(self, name: str) -> dict[str, Any]:
        found = self.get("rollout", name)
        assert found is not None
        return {"phase": "", "message": "", **found.get("status", {})}

    @property
    def state(self) -> str:
        return str(self.status.get("internal", {}).get("state", ""))

    @property
    def weight(self) -> int:
        """The canary's weight that every proxy holds."""
        split = self.get("trafficsplit", "payment")
        assert split is not None
        return int(split["status"]["acknowledged"]["weights"].get("payment-canary", 0))

    def until(self, condition: Callable[[], bool], seconds: float = 240.0) -> None:
        """Wait for a condition; the deadline only ends a test that hangs."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {seconds} s; the Rollout says: {self.status['phase']}: {self.status['message']}"
                )
            time.sleep(0.2)

    def annotate(self, name: str) -> None:
        self.kubectl("annotate", "--overwrite", "rollout/payment", f"coalmine.dev/{name}={uuid.uuid4().hex}")

    def rollout_status(self) -> tuple[int, str]:
        """``kubectl rollout status``: its exit code and what it said."""
        try:
            return 0, self.kubectl("rollout", "status", "deployment/payment", "--timeout=150s", timeout=160)
        except KubectlError as error:
            return 1, str(error)

    def kill(self, component: str = CONTROLLER) -> None:
        """kill -9 of the controller (or the mesh's control plane), and a new one."""
        self.cluster.stop(component, signal.SIGKILL)
        self.cluster.start(component)

    def kill_mesh(self) -> None:
        self.kill(MESH)

    def seconds(self) -> list[dict[str, Any]]:
        """What the load wrote down, one entry for each second."""
        pods = [p for p in self.live.all("pod", self.namespace) if p["metadata"]["labels"].get("app") == "load"]
        oldest = min(pods, key=lambda p: str(p["metadata"]["creationTimestamp"]))
        lines = self.live.log(self.namespace, oldest["metadata"]["name"], "load").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def failed_by_us(self) -> list[str]:
        """Every failure since the shop was open that no version was told to make."""
        return [
            f"{second['start']:.1f}: {code} {version} {fault}"
            for second in self.seconds()
            for _, _, code, version, fault in second.get("done", ())
            if code != 200 and fault != "injected" and second["start"] > self.opened
        ]

    def events(self) -> list[str]:
        """Reasons of the Rollout's Events, oldest first."""
        return [reason for _, reason in self.numbered_events()]

    def numbered_events(self) -> list[tuple[int, str]]:
        """Number and reason of the Rollout's Events. They are posted a moment after the status that they tell of."""
        deadline = time.monotonic() + 20.0
        while True:
            items = self.live.all("event", self.namespace)
            found = [(_number(e), e) for e in items if e["regarding"]["kind"] == "Rollout"]
            posted = {(e["regarding"]["name"], number) for number, e in found}
            if self._decided() <= posted or time.monotonic() > deadline:
                return sorted((number, e["reason"]) for number, e in found)
            time.sleep(0.2)

    def _decided(self) -> set[tuple[str, int]]:
        """Each Rollout's name with its last transition's number."""
        rollouts = self.live.all("rollout", self.namespace)
        last = [(r["metadata"]["name"], r.get("status", {}).get("internal", {}).get("number")) for r in rollouts]
        return {(name, number) for name, number in last if number}


def _number(event: dict[str, Any]) -> int:
    return int(event["metadata"]["name"].rsplit(".", 1)[1])


@pytest.fixture
def shop(stack: LocalCluster) -> Iterator[Shop]:
    """A shop in a namespace of its own; gone afterwards."""
    kubectl = stack.kubectl()
    name = f"shop-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "coalmine.dev/inject=enabled")
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=120s")
    shop = Shop(stack, name)
    yield shop
    if shop.get("rollout", "payment"):
        kubectl("-n", name, "delete", "rollout", "payment", "--timeout=90s", timeout=100)
    kubectl("delete", "namespace", name, "--wait=false")
    shop.live.close()
