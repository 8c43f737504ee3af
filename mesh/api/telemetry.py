"""The mesh's telemetry as the judge reads it: per backend pod, about a second at a time.

``GET /v1/telemetry/{namespace}/{service}?since=<unix seconds>`` on the mesh's control plane answers with one
``TelemetryWindow`` as JSON on each line: first those it still holds that end after ``since``, then each new one
as it closes. ``service`` is the host; the windows hold the pods of every backend that its requests reached.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from crds.base import Resource

__all__ = ["LATENCY_BOUNDS_MS", "PodWindow", "TelemetryWindow"]

LATENCY_BOUNDS_MS: Final[tuple[float, ...]] = (
    0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12.5, 15, 17.5, 20, 25, 30, 35, 40, 50, 60, 75, 100, 125, 150, 200, 250, 300,
    400, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10000, 15000, 30000, 60000,
)  # fmt: skip
"""Upper bounds of the latency buckets in milliseconds; one more bucket takes what is slower than the last."""


class PodWindow(Resource):
    """What all meshed callers together saw of one kind of request to one backend pod during one window.

    A pod that got several kinds is there once for each. All counts are for the window alone.
    """

    backend: Annotated[str, Field(description="The backend Service, e.g. payment or payment-canary.")]
    pod: Annotated[str, Field(description="The pod's name; empty where no pod could be chosen (no healthy upstream).")]
    route: Annotated[
        str, Field(description="The kind of request, such as read or GET /api/orders; empty where not told apart.")
    ] = ""
    mirrored: Annotated[
        bool, Field(description="Copies of requests: they are attempts only, and no caller got their answers.")
    ] = False
    requests: Annotated[int, Field(ge=0, description="Final answers to callers, after retries.")] = 0
    request_errors: Annotated[int, Field(ge=0, description="Of those, 5xx or no answer.")] = 0
    attempts: Annotated[int, Field(ge=0, description="Tries that reached for this pod, retries included.")] = 0
    attempt_errors: Annotated[int, Field(ge=0, description="Of those, 5xx, reset, refused or timed out.")] = 0
    latency: Annotated[
        tuple[int, ...], Field(description="Attempts by latency bucket: len(LATENCY_BOUNDS_MS) + 1 counts, or none.")
    ] = ()


class TelemetryWindow(Resource):
    """One closed window of a host."""

    epoch: Annotated[
        str, Field(description="Changes when the control plane restarts; windows of two epochs may leave a gap.")
    ]
    start: Annotated[float, Field(description="Unix seconds.")]
    end: float
    reporting: Annotated[int, Field(ge=0, description="Proxies whose report is in this window.")]
    pods: tuple[PodWindow, ...] = ()
