"""Probes of captured pods, rewritten so that STRICT does not break them."""

from __future__ import annotations

import re

import pytest

from mesh.inject.probes import rewrite_probes
from mesh.proxy.probes import CHECKED_STATS, AppProbe, probe_resources

PORTS = [{"name": "http", "containerPort": 8080}]


def rewritten(**probes) -> tuple[list, list, list]:
    spec = {"containers": [{"name": "app", "ports": PORTS, **probes}]}
    return rewrite_probes(spec, lambda port: port != 9100)


@pytest.mark.parametrize(
    ("probe", "becomes", "asked"),
    [
        (
            {"httpGet": {"path": "/ok?a=1", "port": "http", "httpHeaders": [{"name": "X", "value": "1"}]}},
            {
                "httpGet": {
                    "httpHeaders": [{"name": "X", "value": "1"}],
                    "path": "/app-health/app/readyz?a=1",
                    "port": 15020,
                }
            },
            AppProbe("/app-health/app/readyz", "HTTP", 8080, "/ok"),
        ),
        (
            {"httpGet": {"port": 8443, "scheme": "HTTPS"}, "timeoutSeconds": 3},
            {"timeoutSeconds": 3, "httpGet": {"path": "/app-health/app/readyz", "port": 15020}},
            AppProbe("/app-health/app/readyz", "HTTPS", 8443, "/"),
        ),
        (
            {"tcpSocket": {"port": "8080"}, "timeoutSeconds": 2},
            {"timeoutSeconds": 2, "httpGet": {"path": "/app-health/app/readyz", "port": 15020}},
            AppProbe("/app-health/app/readyz", "TCP", 8080, seconds=2),
        ),
        (
            {"grpc": {"port": 9090, "service": "x"}},
            {"grpc": {"port": 15020, "service": "x"}},
            AppProbe("/grpc.health.v1.Health/Check", "GRPC", 9090),
        ),
    ],
)
def test_the_sidecar_asks_in_the_kubelets_place(probe, becomes, asked):
    assert rewritten(readinessProbe=probe) == ([("containers/0/readinessProbe", becomes)], [asked], [])


@pytest.mark.parametrize(
    "probe",
    [
        {"exec": {"command": ["true"]}},
        {"httpGet": {"host": "example.com", "port": 80}},
        {"httpGet": {"port": "unknown"}},
        {"tcpSocket": {"port": 9100}},  # left out of the capture
    ],
)
def test_what_needs_no_help_stays(probe):
    assert rewritten(livenessProbe=probe) == ([], [], [])


def test_a_second_port_for_grpc_is_warned_of():
    changes, probes, warnings = rewritten(livenessProbe={"grpc": {"port": 1}}, readinessProbe={"grpc": {"port": 2}})

    assert len(changes) == len(probes) == len(warnings) == 1
    assert "second port" in warnings[0]


def test_hooks_by_http_are_rewritten_too():
    (change,), (probe,), _ = rewritten(lifecycle={"preStop": {"httpGet": {"path": "/bye", "port": 8080}}})

    assert change == (
        "containers/0/lifecycle/preStop",
        {"httpGet": {"path": "/app-health/app/prestopz", "port": 15020}},
    )
    assert probe.target == "/bye"


def test_two_probes_of_one_port_share_a_cluster_and_none_makes_no_listener():
    probes = [AppProbe("/a", "HTTP", 8080, "/x"), AppProbe("/b", "HTTP", 8080, "/y")]

    listeners, clusters = probe_resources(probes, "10.0.0.1")

    assert [len(listeners), len(clusters)] == [1, 1]
    assert probe_resources([], "10.0.0.1") == ([], [])


def test_the_stats_that_a_tcp_probe_is_answered_from_are_kept():
    cluster = AppProbe("/a", "TCP", 8080).cluster

    assert re.fullmatch(CHECKED_STATS, f"cluster.{cluster}.membership_healthy")
    assert re.fullmatch(CHECKED_STATS, f"cluster.{cluster}.membership_total")
    assert not re.fullmatch(CHECKED_STATS, f"cluster.{cluster}.upstream_cx_total")
