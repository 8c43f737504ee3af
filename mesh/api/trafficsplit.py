"""TrafficSplit: the share of a host's requests that each backend Service gets.

A split overlays every route whose destination is the host; the user's VirtualServices stay as they are in git.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from crds.base import Resource, ServiceName
from crds.schema import Rule, list_map, rules
from mesh.api.plaintext import Bypass
from mesh.api.splitroutes import Mirror, SessionAffinity, SplitRoute
from mesh.api.wire import PositiveTime

__all__ = [
    "Acknowledged",
    "Backend",
    "Condition",
    "OutlierDetection",
    "Proxies",
    "Rejection",
    "TrafficSplitSpec",
    "TrafficSplitStatus",
]

FULL = 100


class OutlierDetection(Resource):
    """When a pod is taken out of load balancing. The defaults are the safe ones; see docs/outlier-detection.md."""

    consecutive_5xx_errors: Annotated[
        int,
        Field(
            ge=0,
            le=2**32 - 1,
            alias="consecutive5xxErrors",
            description="5xx answers in a row that eject a pod; 0 turns this off.",
        ),
    ] = 5
    interval: Annotated[PositiveTime, Field(description="How often ejected pods are looked at again.")] = 30.0
    base_ejection_time: Annotated[PositiveTime, Field(description="How long a first ejection lasts.")] = 30.0
    max_ejection_percent: Annotated[
        int, Field(ge=0, le=100, description="At most this share of the pods is ejected at a time.")
    ] = 50


class Backend(Resource):
    """One Service and its weight."""

    service: Annotated[ServiceName, Field(description="A Service in the split's namespace.")]
    weight: Annotated[int, Field(ge=0, le=FULL, description="Percent of the requests.")]


_TWICE = "has a weight and would get these requests twice: give it weight 0 or leave the mirror out"


class TrafficSplitSpec(Resource):
    """Desired split. The weights add up to 100."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="!has(self.mirror) || self.backends.all(b, b.service != self.mirror.service || b.weight == 0)",
                message=_TWICE,
                field_path=".mirror.service",
            )
        )
    )

    service: Annotated[
        ServiceName, Field(description="The host whose requests are split: a Service in this namespace.")
    ]
    backends: Annotated[
        tuple[Backend, ...],
        Field(
            min_length=1,
            max_length=16,
            description="Where the requests go.",
            json_schema_extra={
                # Weights make sense only together: server-side apply replaces the list as a whole.
                "x-kubernetes-list-type": "atomic",
                **rules(
                    Rule(
                        rule=f"self.map(b, b.weight).sum() == {FULL}",
                        message=f"the weights do not add up to {FULL}: make them",
                    ),
                    Rule(
                        rule="self.all(b, self.exists_one(other, other.service == b.service))",
                        message="a service is named twice: name each once",
                    ),
                ),
            },
        ),
    ]
    routes: Annotated[
        tuple[SplitRoute, ...],
        Field(
            max_length=8,
            description="Requests that go to one Service before the weights apply; the first that matches is used.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    mirror: Annotated[Mirror | None, Field(description="Copies of requests for a Service that answers nobody.")] = None
    session_affinity: Annotated[
        SessionAffinity | None, Field(description="Callers stay on their side, told by a cookie.")
    ] = None
    outlier_detection: Annotated[
        OutlierDetection, Field(description="Applied to every backend, under what a DestinationRule says.")
    ] = OutlierDetection()

    @model_validator(mode="after")
    def _weights_add_up(self) -> TrafficSplitSpec:
        if (total := sum(b.weight for b in self.backends)) != FULL:
            msg = f"spec.backends: the weights add up to {total}: make them add up to {FULL}"
            raise ValueError(msg)
        if len({b.service for b in self.backends}) != len(self.backends):
            msg = "spec.backends: a service is named twice: name each once"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _mirrored_once(self) -> TrafficSplitSpec:
        if self.mirror and any(b.service == self.mirror.service and b.weight for b in self.backends):
            msg = f"spec.mirror.service: {self.mirror.service} {_TWICE}"
            raise ValueError(msg)
        return self


class Acknowledged(Resource):
    """The newest split that every affected proxy has acknowledged."""

    generation: Annotated[int, Field(description="metadata.generation of that split.")]
    weights: Annotated[dict[str, int], Field(description="Weight by backend Service, as acknowledged.")]
    time: Annotated[str, Field(description="When the last proxy acknowledged it, RFC 3339.")]


class Proxies(Resource):
    """How many proxies send requests to the host, and how many of them hold the current generation."""

    affected: int = 0
    acknowledged: int = 0
    missing: Annotated[
        tuple[str, ...], Field(description="Up to five of those that have not acknowledged, as namespace/pod.")
    ] = ()


class Rejection(Resource):
    """A proxy's NACK of the current generation."""

    proxy: str
    message: str
    generation: int


class Condition(Resource):
    """A Kubernetes condition (metav1.Condition), as kstatus reads it."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: str


class TrafficSplitStatus(Resource):
    """What the proxies hold. Written by the mesh's control plane only."""

    observed_generation: int = 0
    acknowledged: Acknowledged | None = None
    proxies: Proxies = Proxies()
    rejections: tuple[Rejection, ...] = ()
    bypass: Annotated[
        Bypass | None, Field(description="Requests that reach the backends' pods around the split; none where few do.")
    ] = None
    conditions: Annotated[
        tuple[Condition, ...], Field(description="As kstatus reads them.", json_schema_extra=list_map("type"))
    ] = ()
