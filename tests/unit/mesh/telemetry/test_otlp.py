"""Reports as Envoy sends them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2

from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.proxy.bootstrap import PROXY_ATTRIBUTE
from mesh.telemetry.counters import BUCKETS, Host, Series
from mesh.telemetry.otlp import BadReportError, decode
from mesh.xds import telemetry as names

SCOPES = metrics_pb2.ResourceMetrics.DESCRIPTOR.fields_by_number[2].name
TAGS = {"host": "shop/payment", "backend": "shop/payment-canary", "pod": "payment-canary-b", "route": "GET /api"}


class Request:
    """Builds an export request."""

    def __init__(self, proxy: str = "shop/frontend-1", uptime: int | None = 7) -> None:
        self.message = metrics_service_pb2.ExportMetricsServiceRequest()
        self.resource = self.message.resource_metrics.add()
        self.scope = getattr(self.resource, SCOPES).add()
        if proxy:
            attribute = self.resource.resource.attributes.add(key=PROXY_ATTRIBUTE)
            attribute.value.string_value = proxy
        if uptime is not None:
            metric = self.scope.metrics.add(name="server.uptime")
            metric.gauge.data_points.add(as_int=uptime, time_unix_nano=12_500_000_000)

    def point(self, points: Any, tags: dict[str, str], **values: Any) -> None:
        point = points.add(**values)
        for key, value in tags.items():
            point.attributes.add(key=key).value.string_value = value

    def counter(self, name: str, value: int, **tags: str) -> Request:
        self.point(self.scope.metrics.add(name=name).sum.data_points, tags or TAGS, as_int=value)
        return self

    def histogram(self, name: str, bounds: Any, counts: Any) -> Request:
        points = self.scope.metrics.add(name=name).histogram.data_points
        self.point(points, TAGS, explicit_bounds=bounds, bucket_counts=counts)
        return self


def test_counters_and_histograms_of_a_pod_come_together():
    answered = [0] * BUCKETS
    answered[3] = 2
    silent = [0] * (len(names.SILENT_BOUNDS_MS) + 1)
    silent[names.SILENT_BOUNDS_MS.index(250)] = 1
    silent[-1] = 4
    request = (
        Request()
        .counter(names.REQUESTS, 6)
        .counter(names.REQUEST_ERRORS, 5)
        .counter(names.ATTEMPTS, 7)
        .counter(names.ATTEMPT_ERRORS, 5)
        .histogram(names.ANSWERED_US, names.ANSWERED_BOUNDS_US, answered)
        .histogram(names.SILENT_MS, [bound - 0.5 for bound in names.SILENT_BOUNDS_MS], silent)
    )

    report = decode(request.message)

    assert (report.proxy, report.time, report.uptime) == ("shop/frontend-1", 12.5, 7)
    (series, counts), *others = report.totals.items()
    assert not others
    assert series == Series(Host("shop", "payment"), "payment-canary", "payment-canary-b", "GET /api")
    assert (counts.requests, counts.request_errors, counts.attempts, counts.attempt_errors) == (6, 5, 7, 5)
    assert counts.answered == tuple(answered)
    assert counts.silent[LATENCY_BOUNDS_MS.index(250)] == 1
    assert counts.silent[-1] == 4
    assert sum(counts.silent) == 5


@pytest.mark.parametrize(
    ("tags", "series"),
    [
        ({"host": "shop/payment", "backend": "bank/payment"}, Series(Host("shop", "payment"), "payment.bank", "")),
        ({"host": "shop/payment", "backend": "/"}, Series(Host("shop", "payment"), "", "")),
        ({"host": "/"}, None),
        ({"host": "/", "backend": "shop/audit"}, None),
        (
            {"host": "/", "backend": "shop/payment-canary", "pod": "c-1", "route": "shop/payment GET /a b"},
            Series(Host("shop", "payment"), "payment-canary", "c-1", "GET /a b", mirrored=True),
        ),
        (
            {"host": "/", "backend": "shop/payment-canary", "route": "shop/payment"},
            Series(Host("shop", "payment"), "payment-canary", "", mirrored=True),
        ),
        ({"host": "", "backend": "/"}, None),
    ],
)
def test_what_is_counted_is_named_by_its_tags(tags, series):
    report = decode(Request().counter(names.REQUESTS, 1, **tags).message)

    assert list(report.totals) == ([series] if series else [])


def test_other_metrics_are_none_of_ours():
    assert decode(Request().counter("http.requests", 1).message).totals == {}


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request(proxy=""), PROXY_ATTRIBUTE),
        (Request(uptime=None), "server.uptime"),
        (Request().histogram(names.ANSWERED_US, [1.0, 2.0], [0, 0, 0]), names.ANSWERED_US),
    ],
)
def test_a_report_that_is_not_ours_is_refused(request_, says):
    with pytest.raises(BadReportError, match=says):
        decode(request_.message)


def test_ejected_endpoints_are_told_by_the_clusters_name():
    request = Request()
    for cluster, count in (("outbound|80||payment.shop.svc.cluster.local", 2), ("inbound|8080", 0)):
        metric = request.scope.metrics.add(name=f"cluster.{cluster}{names.EJECTED}")
        metric.gauge.data_points.add(as_int=count)
    assert decode(request.message).ejected == {"outbound|80||payment.shop.svc.cluster.local": 2, "inbound|8080": 0}
