"""``GET /metrics``: the standard metrics as Prometheus scrapes them."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from mesh.telemetry.standard import LABELS, TCP_LABELS
from mesh.xds import standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client.core import Metric

    from mesh.telemetry.counters import Values
    from mesh.telemetry.standard import StandardMetrics

__all__ = ["add_to_app", "page"]

_COUNTERS: Final = {
    standard.REQUESTS: ("istio_requests", "Requests.", LABELS),
    standard.OPENED: ("istio_tcp_connections_opened", "TCP connections opened.", TCP_LABELS),
    standard.CLOSED: ("istio_tcp_connections_closed", "TCP connections closed.", TCP_LABELS),
    standard.RECEIVED: ("istio_tcp_received_bytes", "Bytes of requests on TCP connections that ended.", TCP_LABELS),
    standard.SENT: ("istio_tcp_sent_bytes", "Bytes of responses on TCP connections that ended.", TCP_LABELS),
}
_HISTOGRAMS: Final = {
    standard.DURATION: ("istio_request_duration_milliseconds", "Duration of requests."),
    standard.REQUEST_BYTES: ("istio_request_bytes", "Size of requests' bodies."),
    standard.RESPONSE_BYTES: ("istio_response_bytes", "Size of responses' bodies."),
}
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_Sums = dict[str, list[tuple[tuple[str, ...], "Values"]]]


def add_to_app(app: web.Application, metrics: StandardMetrics, own: Callable[[], Sequence[Metric]] = tuple) -> None:
    """Add the page.

    Args:
        app: The application.
        metrics: The standard metrics.
        own: Returns what the control plane tells of itself.
    """
    process = CollectorRegistry()
    ProcessCollector(registry=process)

    async def serve(_: web.Request) -> web.Response:
        # What changes is copied here; the text, up to seconds' work, is made elsewhere.
        sums = {stat: metrics.sums(stat) for stat in (*_COUNTERS, *_HISTOGRAMS)}
        text = await asyncio.to_thread(page, sums, own())
        response = web.Response(body=text + generate_latest(process), headers={"Content-Type": _TYPE})
        response.enable_compression()
        return response

    app.router.add_get("/metrics", serve)


def page(sums: _Sums, own: Sequence[Metric] = ()) -> bytes:
    """Return the sums, by stat of ``mesh.xds.standard``, and what else there is as text for Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Collector(sums, own))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, sums: _Sums, own: Sequence[Metric]) -> None:
        self._sums = sums
        self._own = own

    def collect(self) -> Iterator[Metric]:
        yield from self._own
        for stat, (name, text, labels) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=labels)
            for values, (total,) in self._sums.get(stat, ()):
                counter.add_metric(values, total)
            yield counter
        for stat, (name, text) in _HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, text, labels=LABELS)
            bounds = [*(f"{bound:.32g}" for bound in standard.bounds_of(stat)), "+Inf"]
            for values, found in self._sums.get(stat, ()):
                below = accumulate(found[:-1])
                histogram.add_metric(values, list(zip(bounds, below, strict=True)), found[-1])
            yield histogram
