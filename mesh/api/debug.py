"""What the control plane tells people who look into it, as JSON: read-only, on its HTTP address.

``GET /v1/proxies`` answers with ``ProxyStatuses``, ``GET /v1/graph?seconds=60`` with a ``Graph``, ``GET /v1/certificates``
with ``Certificates``, ``GET /v1/ejections`` with ``Ejections``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from crds.base import Resource
from mesh.api.plaintext import Source

__all__ = [
    "API_ANNOTATION",
    "API_POD_ANNOTATION",
    "READER",
    "Around",
    "Certificate",
    "Certificates",
    "Edge",
    "Ejection",
    "Ejections",
    "Graph",
    "Node",
    "ProxyStatus",
    "ProxyStatuses",
    "Refusal",
    "SyncStatus",
    "Traffic",
    "TypeStatus",
    "WorkloadCertificate",
]

API_ANNOTATION: Final = "mesh.coalmine.dev/api"
"""On the injector's webhook configuration: where the control plane's HTTP address is."""

API_POD_ANNOTATION: Final = "mesh.coalmine.dev/api-pod"
"""Beside it, where that address is not loopback: the control plane's own pod, as ``namespace/name``."""
READER: Final = "coalmine-reader"
"""Service account in the control plane's namespace that may read it; people who may make tokens for it may read it too."""

SyncStatus = Literal["SYNCED", "STALE", "NOT SENT"]


class Refusal(Resource):
    """A NACK of what the proxy should hold now."""

    name: Annotated[str, Field(description="The resource.")]
    message: Annotated[str, Field(description="What the proxy said.")]


class TypeStatus(Resource):
    """One type of configuration of one proxy."""

    status: SyncStatus
    version: Annotated[str, Field(description="Hash of all that it holds of the type; empty for nothing.")] = ""
    held: Annotated[int, Field(description="Resources that it has acknowledged.")] = 0
    pending: Annotated[tuple[str, ...], Field(description="Resources that it has not answered for, ten at most.")] = ()
    refused: tuple[Refusal, ...] = ()


class ProxyStatus(Resource):
    """One proxy."""

    namespace: str
    pod: str
    connected: Annotated[bool, Field(description="It has a stream. Without one it keeps what it held last.")]
    build: Annotated[str, Field(description="Envoy's version.")] = ""
    types: Annotated[dict[str, TypeStatus], Field(default_factory=dict, description="By CDS, LDS, EDS, RDS and so on.")]


class ProxyStatuses(Resource):
    """All pods with a sidecar, by namespace and name."""

    proxies: tuple[ProxyStatus, ...] = ()


class Certificate(Resource):
    """A certificate, without its key."""

    subject: Annotated[str, Field(description="The SPIFFE id of a workload, the name of an authority.")]
    issuer: str
    serial: Annotated[str, Field(description="Hexadecimal.")]
    not_after: Annotated[str, Field(description="When it ends, RFC 3339.")]


class WorkloadCertificate(Certificate):
    """Of a pod's proxy."""

    namespace: str
    pod: str
    root: Annotated[str, Field(description="The root that vouches for it.")]
    status: Annotated[SyncStatus, Field(description="Whether the proxy holds it; NOT SENT without a stream.")]


class Certificates(Resource):
    """Who has which certificate, and what vouches for them."""

    source: Annotated[str, Field(description="Where the issuing certificate is from.")]
    phase: Annotated[str, Field(description="steady, or the step of a root's exchange: adding, dropping.")]
    problem: Annotated[str, Field(description="Why the plugged-in Secret is not used; empty where it is.")] = ""
    issuer: Certificate
    roots: Annotated[tuple[Certificate, ...], Field(description="That are trusted; of the one that signs first.")] = ()
    workloads: tuple[WorkloadCertificate, ...] = ()


class Node(Resource):
    """Who calls or is called."""

    namespace: str
    name: Annotated[str, Field(description="A Service, or else the app label or name of a pod that none has.")]


class Traffic(Resource):
    """Requests to one version of one host, as the callers' proxies counted them."""

    destination: Node
    backend: Annotated[str, Field(description="The Service that they went to; empty where there was none.")]
    version: Annotated[str, Field(description="Of the pods that they went to; empty where their labels tell none.")]
    pods: Annotated[int, Field(description="Of them; none where no pod could be chosen.")]
    requests: int
    request_errors: Annotated[int, Field(description="Of those, 5xx or no answer.")]
    attempts: Annotated[int, Field(description="Tries, retries included.")]
    attempt_errors: int
    rate: Annotated[float, Field(description="Requests a second.")]
    p50_ms: Annotated[float | None, Field(description="Of attempts; none without any.")] = None
    p99_ms: float | None = None

    @property
    def error_rate(self) -> float | None:
        """Share of the requests that failed; None without requests."""
        return self.request_errors / self.requests if self.requests else None


class Edge(Traffic):
    """Of them, those of one caller."""

    source: Node
    mutual: Annotated[
        float | None, Field(description="Share of the caller's requests to the backend that were mutual TLS.")
    ] = None


class Around(Resource):
    """Calls that came around the mesh: in plaintext, or with a TLS of the application's own."""

    source: Source
    destination: Annotated[Node, Field(description="Whose pods were called.")]
    requests: Annotated[int, Field(description="HTTP requests that were let through.")] = 0
    connections: Annotated[int, Field(description="TCP connections that were let through.")] = 0
    refused: Annotated[int, Field(description="Connections that were refused, under STRICT.")] = 0
    rate: Annotated[float, Field(description="Requests a second.")] = 0.0
    words: Annotated[str, Field(description="Who calls, in words.")] = ""


class Ejection(Resource):
    """Endpoints that outlier detection of one proxy has taken out right now."""

    proxy: Annotated[str, Field(description="namespace/pod of the caller.")]
    namespace: Annotated[str, Field(description="Of the Service; empty for a host outside the cluster.")]
    service: str
    subset: str = ""
    port: int = 0
    ejected: int
    total: Annotated[int, Field(description="Endpoints of the Service on that port; 0 where nobody knows.")] = 0


class Ejections(Resource):
    """All of them, by proxy."""

    ejections: tuple[Ejection, ...] = ()


class Graph(Resource):
    """Who calls whom."""

    seconds: Annotated[float, Field(description="The time that the counts are of.")]
    edges: tuple[Edge, ...] = ()
    services: Annotated[tuple[Traffic, ...], Field(description="The same, with the callers added up.")] = ()
    around: Annotated[
        tuple[Around, ...], Field(description="Calls that came around the mesh, those of the most first.")
    ] = ()
