"""Which spans a proxy reports of the requests that pass it, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["B3", "NO_TRACING", "Sampling", "Spans", "Tag", "Tracer", "Tracing", "TracingSettings"]

B3 = Literal["off", "accept", "add"]
"""What is done about B3 headers: nothing; renewed where a request has them; added to every request as well."""


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """What holds for the whole mesh.

    Attributes:
        collector: ``host:port`` that takes OTLP over gRPC; empty for none, None where it is not known.
        percent: How many of the requests that come without a decision begin a trace that is recorded.
        b3: What is done about B3 headers.
    """

    collector: str | None = ""
    percent: float = 1.0
    b3: B3 = "accept"


@dataclass(frozen=True, slots=True)
class Tag:
    """An attribute of each span.

    Attributes:
        name: Its name.
        source: Where its value is from: written down, a header of the request, or a variable of the sidecar.
        value: The value, or the name of the header or variable.
        default: The value where there is no such header or variable; empty leaves the attribute out.
    """

    name: str
    source: Literal["literal", "header", "environment"]
    value: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class Tracer:
    """Who reports spans, and where to. It is a part of listeners.

    Attributes:
        collector: ``host:port``.
        service: Name of the workload with its namespace.
        namespace: Its namespace.
        revision: Its version; empty where its labels tell none.
        by_request_id: Requests with one ``x-request-id`` get one decision.
        b3: What is done about B3 headers.
    """

    collector: str
    service: str
    namespace: str
    revision: str = ""
    by_request_id: bool = True
    b3: B3 = "accept"


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is recorded. It is a part of routes, so that it changes without touching a connection.

    Attributes:
        percent: How many of the requests that come without a decision are recorded.
        tags: Attributes of their spans, by name.
    """

    percent: float
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of one direction."""

    tracer: Tracer
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Tracing:
    """The spans of one proxy; None in a direction where it reports none.

    Attributes:
        outbound: Of what its pod calls, or of what passes a gateway.
        inbound: Of what its pod is called.
    """

    outbound: Spans | None = None
    inbound: Spans | None = None

    @property
    def collector(self) -> str:
        """Where the spans go; empty where there are none."""
        return next((spans.tracer.collector for spans in (self.outbound, self.inbound) if spans), "")


NO_TRACING = Tracing()
