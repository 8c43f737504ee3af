"""What a real Envoy 1.40 said (shortened), as rows."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh.inspect.envoyconfig import cluster_rows, endpoint_rows, listener_rows, route_rows, secret_rows

GOLDEN = Path(__file__).parents[3] / "golden" / "inspect"
PAYMENT = "payment.shop.svc.cluster.local"


@pytest.fixture(scope="module")
def dump():
    return json.loads((GOLDEN / "config_dump.json").read_text())


@pytest.fixture(scope="module")
def clusters():
    return json.loads((GOLDEN / "clusters.json").read_text())


def values(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


def test_listeners_have_a_row_for_each_filter_chain(dump):
    assert values(listener_rows(dump), "name", "port", "match", "destination", "state") == [
        ("readiness", 15021, "ALL", "routes readiness", "active"),
        ("inbound|8080", 15006, "application_protocols=istio transport_protocol=tls", "routes inbound|8080", "active"),
        ("inbound|8080", 15006, "transport_protocol=raw_buffer", "routes inbound|8080", "active"),
        ("outbound", 15001, "ALL", "routes outbound", "active"),
    ]


def test_a_refused_listener_says_why():
    refused = {"name": "outbound", "error_state": {"details": "error adding listener: no such filter"}}
    dump = {"configs": [{"@type": "x.ListenersConfigDump", "dynamic_listeners": [refused]}]}
    assert values(listener_rows(dump), "name", "state", "destination") == [
        ("outbound", "REFUSED", "error adding listener: no such filter")
    ]


def test_a_tcp_listener_names_its_cluster():
    tcp = {"name": "envoy.filters.network.tcp_proxy", "typed_config": {"cluster": "inbound|5432"}}
    listener = {"name": "a", "filter_chains": [{"filters": [tcp]}]}
    dump = {"configs": [{"@type": "x.ListenersConfigDump", "static_listeners": [{"listener": listener}]}]}
    assert values(listener_rows(dump), "destination") == [("cluster inbound|5432",)]


def test_routes_say_what_they_take_and_in_which_shares(dump):
    rows = [row for row in route_rows(dump) if row["host"] == "payment.shop:80"]
    assert values(rows, "match", "destination") == [
        ("/* x-tester=1", f"outbound|80|v2|{PAYMENT}"),
        ("/*", f"outbound|80|v1|{PAYMENT} 94.74 %, outbound|80|v2|{PAYMENT} 5.263 %"),
    ]
    assert "payment.shop" in rows[0]["domains"]
    assert ("unknown", "answer 502") in values(route_rows(dump), "host", "destination")


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"path": "/a"}, "/a"),
        ({"safe_regex": {"regex": "/v[12]"}}, "~/v[12]"),
        (
            {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "GET"}, "invert_match": True}]},
            "/* :method!=GET",
        ),
        ({"prefix": "/", "headers": [{"name": "a", "present_match": True}]}, "/* a=True"),
        (
            {"prefix": "/", "query_parameters": [{"name": "q", "string_match": {"safe_regex": {"regex": "x+"}}}]},
            "/* q=~x+",
        ),
        ({}, "*"),
    ],
)
def test_matches_are_written_for_people(match, said):
    route = {"match": match, "redirect": {"response_code": "FOUND"}}
    host = {"name": "h", "routes": [route]}
    config = {"route_config": {"name": "r", "virtual_hosts": [host]}}
    dump = {"configs": [{"@type": "x.RoutesConfigDump", "dynamic_route_configs": [config]}]}
    assert values(route_rows(dump), "match", "destination") == [(said, "redirect FOUND")]


def test_clusters_say_how_a_destination_is_treated(dump):
    rows = cluster_rows(dump)
    assert (PAYMENT, "80", "v1", "outbound", "EDS", "2×5xx, ≤100 %") in values(
        rows, "host", "port", "subset", "direction", "type", "ejection"
    )
    assert ("-", "8080", "inbound", "-") in values(rows, "host", "port", "direction", "ejection")


def test_an_ejected_host_is_shown_as_ejected_with_its_pod(dump, clusters):
    rows = [row for row in endpoint_rows(clusters, dump) if row["cluster"] == f"outbound|80|v1|{PAYMENT}"]
    assert values(rows, "pod", "status") == [("payment-v1-a (v1)", "EJECTED"), ("payment-v1-b (v1)", "EJECTED")]
    whole = [row for row in endpoint_rows(clusters, dump) if row["cluster"] == f"outbound|80||{PAYMENT}"]
    assert {row["status"] for row in whole} == {"HEALTHY"}


@pytest.mark.parametrize(
    ("health", "status"),
    [
        ({"eds_health_status": "DRAINING"}, "DRAINING"),
        ({"failed_active_health_check": True}, "UNHEALTHY"),
        ({"failed_outlier_check": True, "eds_health_status": "DRAINING"}, "EJECTED"),
        ({}, "HEALTHY"),
    ],
)
def test_health_is_one_word(health, status):
    found = {"cluster_statuses": [{"name": "a", "host_statuses": [{"health_status": health}]}]}
    assert values(endpoint_rows(found, {}), "endpoint", "status") == [("-", status)]


def test_secrets_that_have_not_come_are_warming(dump):
    assert set(values(secret_rows(dump), "name", "state", "identity")) == {
        ("default", "WARMING", "-"),
        ("ROOTCA", "WARMING", "-"),
    }


def certificate(identity: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    made = builder.serial_number(255).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    return made.add_extension(names, critical=True).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_certificate_says_whose_it_is_and_when_it_ends():
    identity = "spiffe://cluster.local/ns/shop/sa/payment"
    chain = {"inline_bytes": base64.b64encode(certificate(identity)).decode()}
    entry = {"name": "default", "secret": {"tls_certificate": {"certificate_chain": chain}}}
    dump = {"configs": [{"@type": "x.SecretsConfigDump", "dynamic_active_secrets": [entry]}]}
    assert values(secret_rows(dump), "type", "state", "identity", "serial", "until") == [
        ("certificate", "ACTIVE", identity, "ff", "2026-01-02T00:00:00Z")
    ]


def test_what_is_no_certificate_is_left_blank():
    entry = {"name": "a", "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": "bm9uZQ=="}}}}
    dump = {"configs": [{"@type": "x.SecretsConfigDump", "dynamic_active_secrets": [entry]}]}
    assert values(secret_rows(dump), "type", "until") == [("-", "-")]


def test_an_empty_dump_has_no_rows():
    assert [f({}) for f in (listener_rows, route_rows, cluster_rows, secret_rows)] == [[], [], [], []]
