"""What a decision is made from: the cluster as it was seen, as plain values."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rollouts.api.names import REVISION_ANNOTATION
from rollouts.core.configuration import ConfigFacts
from rollouts.core.fresh import Fresh
from rollouts.core.hook_runs import HookFacts
from rollouts.core.notes import Notes
from rollouts.core.reverts import WriteBackFacts
from rollouts.core.scaling import ScalingFacts
from rollouts.core.shape import PLAIN, Shape
from rollouts.core.templates import images, revision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.model.objective import Burn
    from analysis.model.verdict import Verdict
    from mesh.api.trafficsplit import OutlierDetection
    from rollouts.api.people import Person
    from rollouts.api.rollout import RolloutSpec, RolloutStatus
    from rollouts.core.dependencies import Neighbour
    from rollouts.core.preflight.facts import Facts

__all__ = ["CanaryPod", "Measured", "Observed", "Service", "Subject", "Traffic", "Workload"]

DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"


@dataclass(frozen=True)
class Subject:
    """The Rollout itself.

    Attributes:
        spec: None when it is not valid; ``spec_error`` then says why.
        created: ``metadata.creationTimestamp``, as text.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    spec: RolloutSpec | None
    spec_error: str
    status: RolloutStatus
    created: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    deleting: bool = False

    @cached_property
    def notes(self) -> Notes:
        """The controller's memory, read once.

        Raises:
            ValidationError: A field that we know holds something else.
        """
        return Notes.read(self.status.internal)

    def owns(self, obj: Mapping[str, Any]) -> bool:
        """Return whether an object is this Rollout's and goes with it."""
        return any(o.get("uid") == self.uid for o in obj["metadata"].get("ownerReferences") or ())


@dataclass(frozen=True)
class Workload:
    """A Deployment."""

    raw: Mapping[str, Any]

    @property
    def _metadata(self) -> Mapping[str, Any]:
        return self.raw["metadata"]  # type: ignore[no-any-return]

    @property
    def _status(self) -> Mapping[str, Any]:
        return self.raw.get("status") or {}

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec as it is stored."""
        return self.raw["spec"]  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._metadata["name"])

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self._metadata["uid"])

    @property
    def resource_version(self) -> str:
        """Its resourceVersion, for writes that must not cross another's."""
        return str(self._metadata.get("resourceVersion", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        """Its own labels (not its pods')."""
        return self._metadata.get("labels") or {}

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted."""
        return bool(self._metadata.get("deletionTimestamp"))

    @property
    def template(self) -> dict[str, Any]:
        """Its pod template."""
        return self.spec["template"]  # type: ignore[no-any-return]

    @cached_property
    def revision(self) -> str:
        """The revision that it asks for (a canary's: the one it was made from)."""
        made_from = (self._metadata.get("annotations") or {}).get(REVISION_ANNOTATION)
        return str(made_from) if made_from else revision(self.template)

    @property
    def images(self) -> tuple[str, ...]:
        """The images of its template."""
        return images(self.template)

    @property
    def replicas(self) -> int:
        """How many pods it asks for."""
        value = self.spec.get("replicas")
        return 1 if value is None else int(value)

    @property
    def paused(self) -> bool:
        """Whether it is paused, as the hold does it."""
        return bool(self.spec.get("paused"))

    @property
    def observed(self) -> bool:
        """Whether the Deployment controller has seen the present spec."""
        return int(self._status.get("observedGeneration", 0)) >= int(self._metadata.get("generation", 0))

    @property
    def ready(self) -> int:
        """Ready pods."""
        return int(self._status.get("readyReplicas", 0))

    @property
    def running(self) -> int:
        """Pods that it has, ready or not."""
        return int(self._status.get("replicas", 0))

    @property
    def available(self) -> int:
        """Pods that have been ready for ``minReadySeconds``."""
        return int(self._status.get("availableReplicas", 0))

    @property
    def complete(self) -> bool:
        """Whether every pod that it asks for runs the present template and is available, and no other pod is left."""
        updated = int(self._status.get("updatedReplicas", 0))
        return self.observed and self.replicas == updated == self.running == self.available

    @property
    def marked_failed(self) -> bool:
        """Whether ``kubectl rollout status`` sees it as failed."""
        return any(
            c.get("type") == "Progressing" and c.get("reason") == DEADLINE_EXCEEDED
            for c in self._status.get("conditions") or ()
        )


@dataclass(frozen=True)
class Service:
    """A Service."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])

    @property
    def selector(self) -> Mapping[str, str]:
        """Its selector."""
        return (self.raw.get("spec") or {}).get("selector") or {}

    @property
    def ports(self) -> list[dict[str, Any]]:
        """Its ports as they are stored."""
        return list((self.raw.get("spec") or {}).get("ports") or [])


@dataclass(frozen=True)
class CanaryPod:
    """A pod of the canary that is not being deleted.

    Attributes:
        uid: Its uid.
        node: Where it runs; empty before it is scheduled.
        trouble: Why it is not ready, in its own words; empty when it is or says nothing.
    """

    uid: str
    node: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class Traffic:
    """The split as it is written, and what the proxies hold of it.

    Attributes:
        host: The Service whose requests are split.
        weights: Percent by backend, as written.
        outlier_detection: As written.
        acknowledged: Whether every affected proxy holds exactly what is written.
        held: Percent by backend of the newest split that every affected proxy acknowledged; None before the first.
        proxies: Acknowledged of affected, e.g. ``5/5``.
        message: What is missing, or a proxy's own words when it rejected the split.
        shape: Header routes, the mirror, session affinity, as written.
    """

    host: str
    weights: Mapping[str, int]
    outlier_detection: OutlierDetection
    acknowledged: bool
    held: Mapping[str, int] | None = None
    proxies: str = ""
    message: str = ""
    shape: Shape = PLAIN


@dataclass(frozen=True)
class Measured:
    """What was measured in this release.

    Attributes:
        verdict: The judge's answer; None when there is nothing to judge or judging is off.
        share: The canary's part of the requests since the step began, percent; None while nothing was counted.
        problem: Why nothing can be measured at the moment; empty when all is well.
        answered: Whether the source of the counts was reached when it was asked last, be it that it has nothing yet.
        problems: What was wrong with measurements that were left out, in words.
        budget: Each test's share of ``rollbackAlpha``.
        burns: How each of ``spec.slos`` fares.
    """

    verdict: Verdict | None = None
    share: float | None = None
    problem: str = ""
    answered: bool = True
    problems: tuple[str, ...] = ()
    budget: Mapping[str, float] = field(default_factory=dict)
    burns: tuple[Burn, ...] = ()


@dataclass(frozen=True)
class Observed:
    """Everything that one decision may look at.

    Attributes:
        deployment: The stable Deployment.
        canary: The canary's Deployment, if it is this Rollout's.
        canary_service: Its Service, likewise.
        canary_pods: Its pods, by name.
        running: Pods by revision among the stable Deployment's ReplicaSets, those with none left out.
        images: Their images, by revision.
        rival: Another Rollout that has the same Deployment or Service and is older; empty when there is none.
        foreign_pods: Pods that the Service selects and that belong to something else than the Deployment.
        taken: An object of somebody else that has a name which the canary needs, e.g. ``Service payment-canary``.
        strays: Other Deployments that carry this Rollout's label.
        template_problem: Why the AnalysisTemplates cannot be used, in words; empty when they can.
        neighbours: The namespace's other Rollouts by name, where this one depends on some.
        hooks: Of requests and Jobs that are under way.
        write_back: What came of reverting in git.
        fresh: An experiment's fresh stable pods.
        full: Why no release may start beside those of other Rollouts, in words; empty when one may.
        scaling: Of disruption budgets.
        config: Of ConfigMaps and Secrets.
        preflight: What the checks before any traffic moves look at; None where they were not asked for yet.
        people: Who has which names, as the controller's configuration says.
    """

    subject: Subject
    deployment: Workload | None = None
    service: Service | None = None
    canary: Workload | None = None
    canary_service: Service | None = None
    canary_pods: Mapping[str, CanaryPod] = field(default_factory=dict)
    traffic: Traffic | None = None
    running: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    measured: Measured = field(default_factory=Measured)
    rival: str = ""
    foreign_pods: tuple[str, ...] = ()
    taken: str = ""
    strays: tuple[Workload, ...] = ()
    template_problem: str = ""
    neighbours: Mapping[str, Neighbour] = field(default_factory=dict)
    hooks: HookFacts = field(default_factory=HookFacts)
    write_back: WriteBackFacts = field(default_factory=WriteBackFacts)
    full: str = ""
    scaling: ScalingFacts = field(default_factory=ScalingFacts)
    config: ConfigFacts = field(default_factory=ConfigFacts)
    preflight: Facts | None = None
    fresh: Fresh = field(default_factory=Fresh)
    people: tuple[Person, ...] = ()


def stamp(now: float) -> str:
    """Return Unix seconds as RFC 3339 text with whole seconds, as Kubernetes writes times."""
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
