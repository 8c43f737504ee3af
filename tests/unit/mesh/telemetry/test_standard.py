"""Istio's standard metrics: labels from what sidecars report and the control plane knows, sums, and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mesh.ir.services import Endpoint, Service, ServicePort, Workload
from mesh.resolve.world import World
from mesh.telemetry import prometheus
from mesh.telemetry import standard as sums
from mesh.telemetry.counters import Point, ProxyTotals, Report
from mesh.telemetry.directory import workload_name
from mesh.xds import standard

if TYPE_CHECKING:
    from collections.abc import Callable

FRONTEND = Workload(
    "shop", "frontend-5f-aaaaa", "10.0.0.1", (("app", "frontend"), ("pod-template-hash", "5f")), meshed=True
)
PAYMENT = Workload(
    "shop",
    "payment-7c-bbbbb",
    "10.0.0.2",
    (("app", "payment"), ("pod-template-hash", "7c"), ("version", "v2")),
    meshed=True,
    service_account="payment",
)
PEER = "spiffe://cluster.local/ns/shop/sa/payment"


def world(*workloads: Workload) -> World:
    port = ServicePort("http", 80, 8080)
    endpoints = tuple(
        Endpoint(w.address, 15006, w.name, version=dict(w.labels).get("version", ""))
        for w in workloads
        if w.name.startswith("payment")
    )
    return World(
        services={("shop", "payment"): Service("shop", "payment", (port,))},
        workloads={w.key: w for w in workloads},
        endpoints={("shop", "payment"): {80: endpoints}},
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Callable[..., sums.StandardMetrics]:
    return lambda *workloads: sums.StandardMetrics(world=lambda: world(*workloads), clock=clock)


def point(stat: str = standard.REQUESTS, **tags: str) -> Point:
    return Point(stat, tuple(tags.get(name, "") for name in standard.TAGS))


def sent(**tags: str) -> Point:
    known = {
        "host": "shop/payment",
        "backend": "shop/payment",
        "version": "v2",
        "code": "200",
        "flags": "-",
        "grpc": "-",
    }
    return point(reporter="source", **known | tags)


def only(found: sums.StandardMetrics, stat: str = standard.REQUESTS) -> dict[str, str]:
    ((labels, _),) = found.sums(stat)
    names = sums.LABELS if stat not in {standard.OPENED, standard.CLOSED} else sums.TCP_LABELS
    return dict(zip(names, labels, strict=True))


def test_what_a_caller_sends_names_both_ends(metrics):
    found = metrics(FRONTEND, PAYMENT)
    found.add("shop/frontend-5f-aaaaa", {sent(peer=PEER): (3.0,)})

    assert only(found) == {
        "reporter": "source",
        "source_workload": "frontend",
        "source_workload_namespace": "shop",
        "source_principal": "spiffe://cluster.local/ns/shop/sa/default",
        "source_app": "frontend",
        "source_version": "5f",
        "source_canonical_service": "frontend",
        "source_canonical_revision": "latest",
        "source_cluster": "Kubernetes",
        "destination_workload": "payment",
        "destination_workload_namespace": "shop",
        "destination_principal": PEER,
        "destination_app": "payment",
        "destination_version": "v2",
        "destination_canonical_service": "payment",
        "destination_canonical_revision": "v2",
        "destination_cluster": "Kubernetes",
        "destination_service": "payment.shop.svc.cluster.local",
        "destination_service_name": "payment",
        "destination_service_namespace": "shop",
        "request_protocol": "http",
        "response_code": "200",
        "response_flags": "-",
        "grpc_response_status": "",
        "connection_security_policy": "mutual_tls",
    }


def test_what_a_pod_is_sent_names_its_caller_by_identity(metrics):
    found = metrics(FRONTEND, PAYMENT)
    got = point(reporter="destination", peer="spiffe://cluster.local/ns/shop/sa/default", code="200", grpc="14")
    found.add("shop/payment-7c-bbbbb", {got: (1.0,)})

    labels = only(found)
    assert labels["source_workload"] == "frontend"
    assert labels["destination_workload"] == "payment"
    assert labels["destination_service"] == "payment.shop.svc.cluster.local"
    assert (labels["request_protocol"], labels["grpc_response_status"]) == ("grpc", "14")


def test_workloads_that_share_an_identity_are_not_guessed(metrics):
    other = Workload("shop", "batch-1", "10.0.0.3", (("app", "batch"),), meshed=True)
    found = metrics(FRONTEND, PAYMENT, other)
    caller = "spiffe://cluster.local/ns/shop/sa/default"
    found.add("shop/payment-7c-bbbbb", {point(reporter="destination", peer=caller, code="200"): (1.0,)})

    labels = only(found)
    assert (labels["source_workload"], labels["source_workload_namespace"]) == ("unknown", "shop")
    assert labels["source_principal"] == caller


def test_a_caller_without_identity_speaks_plaintext(metrics):
    found = metrics(PAYMENT)
    found.add("shop/payment-7c-bbbbb", {point(reporter="destination", code="200"): (1.0,)})

    labels = only(found)
    assert (labels["source_workload"], labels["source_principal"]) == ("unknown", "unknown")
    assert labels["connection_security_policy"] == "none"


def test_a_request_that_found_no_pod_is_its_hosts(metrics):
    found = metrics(FRONTEND, PAYMENT)
    found.add("shop/frontend-5f-aaaaa", {sent(backend="/", version="", code="503", flags="UH"): (1.0,)})

    labels = only(found)
    assert labels["destination_service_name"] == "payment"
    assert (labels["destination_workload"], labels["response_flags"]) == ("unknown", "UH")


def test_tcp_has_no_codes(metrics):
    found = metrics(FRONTEND, PAYMENT)
    found.add("shop/frontend-5f-aaaaa", {sent()._replace(stat=standard.OPENED): (1.0,)})

    labels = only(found, standard.OPENED)
    assert labels["request_protocol"] == "tcp"
    assert "response_code" not in labels


def test_sums_outlive_pods(clock):
    now: list[World] = [world(FRONTEND, PAYMENT)]
    found = sums.StandardMetrics(world=lambda: now[0], clock=clock)
    found.add("shop/frontend-5f-aaaaa", {sent(): (3.0,)})
    clock.now = 5.0
    successor = Workload("shop", "frontend-5f-ccccc", "10.0.0.4", FRONTEND.labels, meshed=True)
    now[0] = world(successor, PAYMENT)
    found.add("shop/frontend-5f-aaaaa", {sent(): (1.0,)})  # its last report
    found.add("shop/frontend-5f-ccccc", {sent(): (4.0,)})

    assert [values for _, values in found.sums(standard.REQUESTS)] == [(8.0,)]


def test_series_are_bounded_and_those_that_stand_still_go_first(metrics, clock, monkeypatch):
    monkeypatch.setattr(sums, "MAX_SERIES", 10)
    found = metrics(FRONTEND, PAYMENT)
    for number in range(200, 225):
        clock.now += 1
        found.add("shop/frontend-5f-aaaaa", {sent(code="200"): (1.0,), sent(code=str(number + 100)): (1.0,)})

    codes = {labels[sums.LABELS.index("response_code")]: values for labels, values in found.sums(standard.REQUESTS)}
    assert len(codes) == 10
    assert codes["200"] == (25.0,)
    assert "324" in codes


def report(uptime: int, points: dict[Point, Any]) -> Report:
    return Report("shop/frontend-1", 100.0 + uptime, uptime, {}, points)


def test_totals_become_what_is_new():
    totals = ProxyTotals()
    assert totals.advance(report(1, {sent(): (3.0,)})).points == {sent(): (3.0,)}
    assert totals.advance(report(2, {sent(): (5.0,)})).points == {sent(): (2.0,)}
    assert totals.advance(report(3, {sent(): (5.0,)})).points == {}
    assert totals.advance(report(4, {sent(): (1.0,)})).points == {sent(): (1.0,)}  # dropped by Envoy and begun again
    assert totals.advance(report(1, {sent(): (6.0,)})).points == {}  # overtaken


def test_a_younger_envoy_is_all_new():
    totals = ProxyTotals()
    totals.advance(report(50, {sent(): (3.0,)}))
    young = Report("shop/frontend-1", 200.0, 1, {}, {sent(): (4.0,)})
    assert totals.advance(young).points == {sent(): (4.0,)}


def test_the_page_is_prometheus_text(metrics):
    found = metrics(FRONTEND, PAYMENT)
    duration = sent()._replace(stat=standard.DURATION)
    buckets = (1.0, 2.0, *[0.0] * (len(standard.DURATION_BOUNDS_MS) - 1), 7.5)
    found.add("shop/frontend-5f-aaaaa", {sent(flags='a"b'): (3.0,), duration: buckets})

    text = prometheus.page({stat: found.sums(stat) for stat in (standard.REQUESTS, standard.DURATION)}).decode()
    assert "# TYPE istio_requests_total counter" in text
    assert 'response_flags="a\\"b"' in text
    lines = [line for line in text.splitlines() if line.startswith("istio_request_duration_milliseconds")]
    assert [line.rpartition(" ")[2] for line in lines if 'le="0.5"' in line or 'le="1"' in line] == ["1.0", "3.0"]
    assert [line.rpartition(" ")[2] for line in lines if 'le="+Inf"' in line or "_count{" in line] == ["3.0", "3.0"]
    assert any(line.endswith(" 7.5") for line in lines if "_sum{" in line)


@pytest.mark.parametrize(
    ("name", "labels", "workload"),
    [
        ("payment-7c9d-x2x4z", {"pod-template-hash": "7c9d"}, "payment"),
        ("db-0", {"statefulset.kubernetes.io/pod-name": "db-0", "controller-revision-hash": "db-1"}, "db"),
        ("agent-x2x4z", {"controller-revision-hash": "5d8"}, "agent"),
        (
            "backup-2931-x2x4z",
            {"job-name": "backup-2931", "batch.kubernetes.io/job-name": "backup-2931"},
            "backup-2931",
        ),
        ("debug", {}, "debug"),
    ],
)
def test_a_pod_is_called_by_what_made_it(name, labels, workload):
    assert workload_name(Workload("shop", name, "", tuple(sorted(labels.items())))) == workload
