"""What the control plane tells of calls that are not the mesh's mutual TLS: ``GET /v1/plaintext``, read-only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crds.base import Resource

__all__ = ["Bypass", "BypassSource", "Observed", "PlaintextCall", "PlaintextReport", "Source", "SourceKind"]

SourceKind = Annotated[
    str, Field(description="Deployment, CronJob, Job, Pod and so on; Node for a node's address; Address for any other.")
]


class Source(Resource):
    """Who calls."""

    kind: SourceKind
    namespace: Annotated[str, Field(description="Empty for what is in none.")] = ""
    name: Annotated[str, Field(description="Its name, or the address.")]
    sidecar: Annotated[bool, Field(description="Its pods have a sidecar, and it called past it.")] = False

    def __str__(self) -> str:
        """Return it as people read it."""
        if self.kind == "Address":
            return f"{self.name} (outside the cluster)"
        if self.kind == "Node":
            return f"node {self.name} (its own processes, or callers from outside through a NodePort)"
        return f"{self.kind} {self.namespace}/{self.name} ({'with a' if self.sidecar else 'no'} sidecar)"


class PlaintextCall(Resource):
    """Calls of one source to one port of one workload."""

    namespace: Annotated[str, Field(description="Of the workload that was called.")]
    kind: str
    workload: str
    port: Annotated[int, Field(description="Container port; 0 for those that the pods do not declare.")]
    source: Source
    requests: Annotated[int, Field(description="HTTP requests that were let through.")] = 0
    connections: Annotated[int, Field(description="TCP connections that were let through.")] = 0
    refused: Annotated[int, Field(description="Connections that were refused, under STRICT.")] = 0
    first: Annotated[float, Field(description="When they were first reported, Unix seconds.")]
    last: Annotated[float, Field(description="When last.")]

    @property
    def taken(self) -> int:
        """How often it was let through."""
        return self.requests + self.connections


class Observed(Resource):
    """How long the calls to a workload have been observed."""

    namespace: str
    kind: str
    workload: str
    pods: Annotated[int, Field(description="Pods with a sidecar.")]
    reporting: Annotated[int, Field(description="Of those, the ones whose sidecar reports.")]
    since: Annotated[float | None, Field(description="When the first one reported, Unix seconds.")] = None
    called: Annotated[float | None, Field(description="When anybody called it last, in whatever way.")] = None


class BypassSource(Resource):
    """Requests of one source that came around the split."""

    source: Annotated[str, Field(description="Who, in words.")]
    requests: int


class Bypass(Resource):
    """Requests that reached a split's pods without being split."""

    time: Annotated[str, Field(description="When this was counted, RFC 3339.")]
    seconds: Annotated[int, Field(description="The time that the counts are of.")]
    requests: Annotated[int, Field(description="All requests that the pods got, as far as the mesh sees them.")]
    around: Annotated[int, Field(description="Of those, the ones that came around the split.")]
    sources: Annotated[
        tuple[BypassSource, ...], Field(description="Whose they were, the most first; five at most.")
    ] = ()
    shares: Annotated[dict[str, float], Field(description="Percent of all requests that each backend really got.")] = (
        Field(default_factory=dict)
    )

    @property
    def percent(self) -> float:
        """Share of the requests that came around."""
        return 100 * self.around / self.requests if self.requests else 0.0


class PlaintextReport(Resource):
    """All that was seen."""

    now: Annotated[float, Field(description="Unix seconds.")]
    since: Annotated[float, Field(description="When the control plane began to observe.")]
    calls: tuple[PlaintextCall, ...] = ()
    observed: tuple[Observed, ...] = ()
    left_out: Annotated[int, Field(description="Sources that were forgotten, as there were too many.")] = 0
