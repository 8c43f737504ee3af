"""A small cluster in memory: it does what a decision asks, and what Kubernetes and the mesh would do then, when told to."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from analysis.model.objective import Burn, Objective
from analysis.model.verdict import Decision, Evidence, Need, Verdict
from mesh.api.trafficsplit import OutlierDetection
from rollouts.api.configuration import CONFIG_ANNOTATION
from rollouts.api.names import FINALIZER, ROLLOUT_LABEL
from rollouts.api.rollout import RolloutSpec, RolloutStatus
from rollouts.core import actions as a
from rollouts.core.configuration import ConfigFacts
from rollouts.core.decide import decide
from rollouts.core.experiment import baseline_deployment
from rollouts.core.fresh import Fresh
from rollouts.core.hook_runs import HookFacts, HookOrder, Progress
from rollouts.core.notes import Notes
from rollouts.core.observed import CanaryPod, Measured, Observed, Service, Subject, Traffic, Workload
from rollouts.core.preflight.facts import Facts
from rollouts.core.reverts import WriteBackFacts
from rollouts.core.scaling import ScalingFacts
from rollouts.core.templates import images, revision

if TYPE_CHECKING:
    from rollouts.api.people import Person
    from rollouts.core.dependencies import Neighbour

START = 1_800_000_000.0
LABELS = {"app": "payment", "team": "shop"}


def template(image: str) -> dict[str, Any]:
    container = {
        "name": "app",
        "image": image,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}},
    }
    return {"metadata": {"labels": dict(LABELS)}, "spec": {"containers": [container]}}


IMAGES = {revision(template(f"shop:{n}")): images(template(f"shop:{n}")) for n in range(10)}


def verdict(decision: Decision, summary: str = "", *, need: float | None = None, outlier: str | None = None) -> Verdict:
    words = summary or f"the judge says {decision.value}"
    evidence = Evidence("errors", 0.051, 0.001, 1204, 10911, 0.05, (0.039, 0.06), 250.0, 200.0, 0.1, 20.0, words)
    return Verdict(decision, words, (evidence,), Need(100, need) if need else None, outlier)


class World:
    """One Rollout, its Deployment and Service, the mesh, and a clock. ``run()`` decides until nothing changes."""

    def __init__(self, *, replicas: int = 4, **spec: Any) -> None:
        self.now = START
        self.spec: dict[str, Any] | None = {"workloadRef": {"name": "payment"}, **spec}
        self.spec_error = ""
        self.annotations: dict[str, str] = {}
        self.finalizers: list[str] = []
        self.deleting = False
        self.gone = False
        self.generation = 1
        self.status: dict[str, Any] = {}
        self.deployment: dict[str, Any] | None = self._deployment("payment", "shop:1", replicas)
        self.stable_pods = {revision(template("shop:1")): replicas}
        self.service: dict[str, Any] | None = {
            "metadata": {"name": "payment", "namespace": "shop"},
            "spec": {"selector": {"app": "payment"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        self.canary: dict[str, Any] | None = None
        self.canary_service: dict[str, Any] | None = None
        self.baseline: dict[str, Any] | None = None
        self.baseline_service: dict[str, Any] | None = None
        self.split: dict[str, Any] | None = None
        self.acknowledged: dict[str, int] | None = None
        self.up_to_date = False
        self.verdict: Verdict | None = None
        self.share: float | None = None
        self.burns: tuple[Burn, ...] = ()
        self.template_problem = ""
        self.neighbours: dict[str, Neighbour] = {}
        self.write_back = WriteBackFacts()
        self.rival = self.taken = self.full = ""
        self.foreign: tuple[str, ...] = ()
        self.mesh_answers = True
        self.pods_start = True
        self.budgets: list[dict[str, Any]] = []
        self.canary_budget: Any = None
        self.config = ConfigFacts()
        self.canary_pods: dict[str, CanaryPod] = {}
        self.preflight: Facts | None = Facts()
        self.measuring_problem, self.measuring_answers = "", True
        self.rolls_at_once = True
        self.hooks: dict[str, Progress] = {}
        self.orders: dict[str, HookOrder] = {}
        self.stopped: set[str] = set()
        self.log: list[Any] = []
        self.events: dict[int, str] = {}
        self.notes_told: list[str] = []
        self.people: tuple[Person, ...] = ()
        self.phases: list[str] = []

    @staticmethod
    def _deployment(name: str, image: str, replicas: int) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "1", "generation": 1, "labels": {}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "payment"}}, "template": template(image)},
            "status": {
                "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
                "availableReplicas": replicas, "conditions": [],
            },
        }  # fmt: skip

    # --- what people do ---

    def push(self, image: str) -> None:
        """A new template arrives, and admission holds it. Annotations that git does not name stay."""
        assert self.deployment
        wanted = template(image)
        if annotations := self.deployment["spec"]["template"]["metadata"].get("annotations"):
            wanted["metadata"]["annotations"] = dict(annotations)
        self.change(wanted)

    def change(self, wanted: dict[str, Any]) -> None:
        """Somebody changes the template, and admission holds it."""
        assert self.deployment
        if self.deployment["spec"]["template"] != wanted:
            self.deployment["spec"]["template"] = wanted
            if ROLLOUT_LABEL in self.deployment["metadata"]["labels"]:
                self.deployment["spec"]["paused"] = True
            self._touch(self.deployment)

    def resume(self) -> None:
        """kubectl rollout resume."""
        assert self.deployment
        self.deployment["spec"].pop("paused", None)
        self._touch(self.deployment)

    def annotate(self, name: str, value: str = "now") -> None:
        self.annotations[name] = value

    def delete(self) -> None:
        self.deleting = True

    # --- what the cluster does ---

    def _touch(self, obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        meta["generation"] += 1
        meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)

    def kubernetes(self) -> None:
        """The Deployment controller and the kubelet: everything asked for becomes so at once."""
        if (d := self.deployment) is not None:
            wanted = revision(d["spec"]["template"])
            d["status"]["observedGeneration"] = d["metadata"]["generation"]
            if not d["spec"].get("paused"):
                self._roll(wanted, d["spec"]["replicas"])
                d["status"]["conditions"] = []
            total = sum(self.stable_pods.values())
            d["status"] |= {
                "replicas": total, "readyReplicas": total, "availableReplicas": total, "updatedReplicas": self.stable_pods.get(wanted, 0)
            }  # fmt: skip
        for made in (self.canary, self.baseline):
            if made is None or not self.pods_start:
                continue
            n = made["spec"]["replicas"]
            made["status"] = {
                "observedGeneration": made["metadata"]["generation"], "replicas": n, "readyReplicas": n,
                "availableReplicas": n, "updatedReplicas": n,
            }  # fmt: skip

    def _roll(self, wanted: str, replicas: int) -> None:
        """Replace old pods by new ones: all at once, or one at each look."""
        old = next((r for r in self.stable_pods if r != wanted), None)
        if self.rolls_at_once or old is None:
            self.stable_pods = {wanted: replicas} if replicas else {}
            return
        left = self.stable_pods[old] - 1
        rest = {r: n for r, n in self.stable_pods.items() if r not in {old, wanted}}
        new = self.stable_pods.get(wanted, 0) + 1
        self.stable_pods = {**rest, wanted: new, **({old: left} if left else {})}

    def mesh(self) -> None:
        """Every proxy acknowledges what is written."""
        if self.split is not None and self.mesh_answers:
            self.acknowledged = dict(self.split["weights"])
            self.up_to_date = True

    # --- the controller ---

    def observe(self) -> Observed:
        traffic = None
        if self.split is not None:
            traffic = Traffic(
                self.split["host"], self.split["weights"], self.split["outlier"], self.up_to_date, self.acknowledged, "2/2" if self.up_to_date else "1/2",
                "" if self.up_to_date else "not acknowledged yet by shop/frontend-1", self.split["shape"],
            )  # fmt: skip
        subject = Subject(
            name="payment", namespace="shop", uid="uid-rollout", generation=self.generation,
            spec=RolloutSpec.model_validate(self.spec) if self.spec is not None else None, spec_error=self.spec_error,
            status=RolloutStatus.model_validate(json.loads(json.dumps(self.status))), annotations=dict(self.annotations),
            finalizers=tuple(self.finalizers), deleting=self.deleting,
        )  # fmt: skip
        return copy.deepcopy(
            Observed(
                subject,
                deployment=Workload(self.deployment) if self.deployment else None,
                service=Service(self.service) if self.service else None,
                canary=Workload(self.canary) if self.canary else None,
                canary_service=Service(self.canary_service) if self.canary_service else None,
                canary_pods=dict(self.canary_pods),
                traffic=traffic,
                running=dict(self.stable_pods) if self.deployment else {},
                images=IMAGES,
                measured=Measured(
                    self.verdict, self.share, self.measuring_problem, self.measuring_answers, burns=self.burns
                ),
                preflight=self.preflight,
                template_problem=self.template_problem,
                neighbours=dict(self.neighbours),
                write_back=self.write_back,
                full=self.full,
                scaling=ScalingFacts(tuple(self.budgets), self.canary_budget),
                config=self.config,
                fresh=Fresh(
                    Workload(self.baseline) if self.baseline else None,
                    Service(self.baseline_service) if self.baseline_service else None,
                    self.status.get("stable", {}).get("revision", ""),
                ),
                rival=self.rival,
                foreign_pods=self.foreign,
                taken=self.taken,
                hooks=HookFacts(dict(self.hooks), frozenset(self.stopped)),
                people=self.people,
            )
        )

    def decide(self, kept: int | None = None) -> a.Plan:
        """One pass: the status is written, then the actions are done; killed after ``kept`` of them, where that is given."""
        plan = decide(self.observe(), self.now)
        self.write(plan)
        for action in plan.actions[:kept]:
            self.do(action)
        return plan

    def write(self, plan: a.Plan) -> None:
        self.status = plan.status.dump()
        for event in plan.events:
            if event.number not in self.events:
                self.events[event.number] = event.reason
                self.notes_told.append(f"{event.reason}: {event.note}")
        if not self.phases or self.phases[-1] != plan.status.phase:
            self.phases.append(plan.status.phase.value)

    def do(self, action: Any) -> None:  # noqa: C901, PLR0912, PLR0915 - one case for each action
        self.log.append(action)
        match action:
            case a.AddFinalizer():
                self.finalizers.append(FINALIZER)
            case a.RemoveFinalizer():
                self.finalizers, self.gone = [], True
            case a.Adopt():
                assert self.deployment
                self.deployment["metadata"]["labels"][ROLLOUT_LABEL] = "payment"
            case a.Release():
                assert self.deployment
                self.deployment["metadata"]["labels"].pop(ROLLOUT_LABEL, None)
            case a.Apply(manifest) if manifest["metadata"]["name"] == "payment-baseline":
                self.baseline_service = copy.deepcopy(dict(manifest))
            case a.StartBaseline():
                self._start_baseline(action)
            case a.Delete("apps/v1", "Deployment", "payment-baseline"):
                self.baseline = None
            case a.Delete("v1", "Service", "payment-baseline"):
                self.baseline_service = None
            case a.Apply(manifest) if manifest["kind"] == "Service":
                self.canary_service = copy.deepcopy(dict(manifest))
            case a.Apply(manifest):
                old = self.canary
                self.canary = copy.deepcopy(dict(manifest))
                self.canary["metadata"] |= {
                    "uid": "uid-canary",
                    "resourceVersion": "1",
                    "generation": old["metadata"]["generation"] + 1 if old else 1,
                }
                self.canary["status"] = old["status"] if old else {}
            case a.Delete("apps/v1", "Deployment"):
                self.canary = None
            case a.RunHook(order):
                self.hooks[order.run.key], self.orders[order.run.key] = Progress(order.hook), order
            case a.EndHook():
                self.hooks.pop(action.key, None)
                self.stopped |= {action.key} if action.job else set()
            case a.Delete():
                self.canary_service = None
            case a.Evict():
                self.canary_pods.pop(action.pod)
            case a.SetTraffic():
                self.split = {
                    "host": action.host,
                    "weights": dict(action.weights),
                    "outlier": action.outlier_detection,
                    "shape": action.shape,
                }
                self.up_to_date = False
            case a.StopTraffic():
                self.split = None
            case a.Unpause():
                assert self.deployment
                if self.deployment["metadata"]["resourceVersion"] == action.resource_version:
                    self.deployment["spec"].pop("paused", None)
                    self._touch(self.deployment)
            case a.AnnotateConfig():
                assert self.deployment
                changed = copy.deepcopy(self.deployment["spec"]["template"])
                annotations = changed["metadata"].setdefault("annotations", {})
                annotations |= {CONFIG_ANNOTATION: action.digest}
                if not action.digest:
                    del annotations[CONFIG_ANNOTATION]
                self.change(changed)
            case a.SetBudget():
                self.canary_budget = copy.deepcopy(action.manifest)
            case a.MarkFailed() | a.ClearFailed():
                assert self.deployment
                failed = isinstance(action, a.MarkFailed)
                reason = "ProgressDeadlineExceeded" if failed else "DeploymentPaused"
                self.deployment["status"]["conditions"] = [
                    {"type": "Progressing", "reason": reason, "message": action.message}
                ]
            case _:
                raise AssertionError(action)

    def _start_baseline(self, action: a.StartBaseline) -> None:
        """What the engine does: the stable ReplicaSet knows its template."""
        assert action.replica_set in {revision(template(f"shop:{n}")) for n in range(10)}
        image = next(n for n in range(10) if revision(template(f"shop:{n}")) == action.replica_set)
        old, self.baseline = self.baseline, baseline_deployment(action, template(f"shop:{image}"))
        generation = old["metadata"]["generation"] + 1 if old else 1
        self.baseline["metadata"] |= {"uid": "uid-baseline", "resourceVersion": "1", "generation": generation}
        self.baseline["status"] = old["status"] if old else {}

    def settle(self, passes: int = 12) -> None:
        """Let the controller, Kubernetes and the mesh work without the time going on much."""
        for _ in range(passes):
            if self.gone:
                return
            self.decide()
            self.kubernetes()
            self.mesh()

    def wait(self, seconds: float) -> None:
        """Let time pass, a look every second."""
        for _ in range(int(seconds)):
            if self.gone:
                return
            self.now += 1
            self.decide()
            self.kubernetes()
            self.mesh()

    # --- hooks ---

    def hook(self, name: str) -> HookOrder:
        """The order of a hook that is under way."""
        under_way = (self.orders[key] for key, known in self.hooks.items() if known.passed is None)
        return next(order for order in under_way if order.run.name == name)

    def answers(self, name: str, **told: Any) -> None:
        """Something becomes known of a hook that is under way."""
        key = self.hook(name).run.key
        self.hooks[key] = dataclasses.replace(self.hooks[key], **told)

    @property
    def under_way(self) -> list[str]:
        return sorted(self.orders[key].run.name for key, known in self.hooks.items() if known.passed is None)

    # --- what can be seen ---

    @property
    def phase(self) -> str:
        return str(self.status["phase"])

    @property
    def state(self) -> str:
        return str(self.notes.state)

    @property
    def notes(self) -> Notes:
        return Notes.read(self.status["internal"])

    @property
    def floor(self) -> int:
        """How far down admission lets autoscalers go."""
        return self.notes.scaling.floor if self.status else 0

    @property
    def weight(self) -> int:
        return self.split["weights"].get("payment-canary", 0) if self.split else 0

    @property
    def failed(self) -> bool:
        assert self.deployment
        return any(c["reason"] == "ProgressDeadlineExceeded" for c in self.deployment["status"]["conditions"])

    @property
    def paused(self) -> bool:
        assert self.deployment
        return bool(self.deployment["spec"].get("paused"))

    @property
    def canary_replicas(self) -> int:
        return int(self.canary["spec"]["replicas"]) if self.canary else 0

    @property
    def outcomes(self) -> list[str]:
        return [h["outcome"] for h in self.status.get("history", ())]

    def says(
        self, decision: Decision, summary: str = "", *, need: float | None = None, outlier: str | None = None
    ) -> None:
        self.verdict = verdict(decision, summary, need=need, outlier=outlier)

    def misses(self, *, missed: bool = True, stable_too: bool = False, pods: tuple[str, ...] = ()) -> None:
        """Whether the objective of availability is missed from now on."""
        words = "30 % of 400 canary requests failed where 0.1 % may"
        evidence = Evidence("slo/availability", 0.3, 0.0, 400, 3600, None, None, 5000.0, 1000.0, 1.0, 0.0, words)
        objective = Objective("availability", share=0.999, burn_rate=14.4)
        self.burns = (Burn(objective, missed, 300.0, stable_too, evidence, pods=pods),)

    def released(self, image: str = "shop:2") -> World:
        """Adopt, push, and go on until the first step is judged."""
        self.settle()
        self.push(image)
        self.settle()
        return self


@pytest.fixture
def make_world() -> type[World]:
    return World


@pytest.fixture
def world() -> World:
    """A Rollout with every default."""
    return World()


@pytest.fixture
def outlier_detection() -> OutlierDetection:
    return OutlierDetection()
