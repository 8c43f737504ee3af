"""The sidecar's bootstrap. Envoy's own opinion of it is in the integration tests."""

from __future__ import annotations

import json

import pytest

from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.proxy.bootstrap import ProxySettings, bootstrap
from mesh.xds import standard
from mesh.xds import telemetry as names


def test_it_names_the_pod_in_variables_that_the_kubelet_replaces():
    text = json.dumps(bootstrap(ProxySettings("127.0.0.1:9000", "env")))

    assert "sidecar~$(POD_IP)~$(POD_NAME).$(POD_NAMESPACE)" in text
    assert "$(POD_NAMESPACE)/$(POD_NAME)" in text
    assert text.count("$") == text.count("$(POD_")


@pytest.mark.parametrize(("capture", "admin"), [("env", "10.0.0.7"), ("iptables", "127.0.0.1")])
def test_the_admin_page_is_out_of_others_reach_where_it_can_be(capture, admin):
    config = bootstrap(ProxySettings("xds:9000", capture), pod_ip="10.0.0.7")

    assert config["admin"]["address"]["socket_address"]["address"] == admin


@pytest.mark.parametrize(
    ("address", "kind", "host"),
    [
        ("127.0.0.1:9000", "STATIC", "127.0.0.1"),
        ("[::1]:9000", "STATIC", "::1"),
        ("mesh.coalmine:9000", "STRICT_DNS", "mesh.coalmine"),
    ],
)
def test_a_name_is_looked_up_and_an_address_is_not(address, kind, host):
    for cluster in bootstrap(ProxySettings(address, "env"))["static_resources"]["clusters"]:
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        assert cluster["type"] == kind
        assert endpoint["address"]["socket_address"] == {"address": host, "port_value": 9000}


@pytest.mark.parametrize("address", ["", "mesh", "mesh:", ":9000", "mesh:grpc"])
def test_an_address_without_host_or_port_is_refused(address):
    with pytest.raises(ValueError, match="host:port"):
        bootstrap(ProxySettings(address, "env"))


def test_every_latency_bound_has_its_bucket():
    answered, silent, *others = bootstrap(ProxySettings("a:1", "env"))["stats_config"]["histogram_bucket_settings"]

    assert len(answered["buckets"]) == len(LATENCY_BOUNDS_MS)
    assert answered["match"]["prefix"] == names.ANSWERED_US
    assert silent["buckets"] == sorted(silent["buckets"])
    assert silent["buckets"][0] > 0
    assert set(names.SILENT_BOUNDS_MS) < set(LATENCY_BOUNDS_MS)
    assert {o["match"]["prefix"]: tuple(o["buckets"]) for o in others} == {
        name: standard.bounds_of(name) for name in standard.HISTOGRAMS
    }


def control_plane(address: str, **settings):
    (cluster,) = bootstrap(ProxySettings(address, "env", **settings))["static_resources"]["clusters"]
    return cluster


@pytest.mark.parametrize(
    ("address", "kind", "name"),
    [("127.0.0.1:9000", "IP_ADDRESS", "127.0.0.1"), ("mesh.coalmine:9000", "DNS", "mesh.coalmine")],
)
def test_the_control_plane_must_be_the_one_that_is_called(address, kind, name):
    tls = control_plane(address)["transport_socket"]["typed_config"]
    checked = tls["common_tls_context"]["combined_validation_context"]
    (wanted,) = checked["default_validation_context"]["match_typed_subject_alt_names"]
    assert wanted == {"san_type": kind, "matcher": {"exact": name}}
    assert tls.get("sni") == (name if kind == "DNS" else None)


def test_configuration_and_telemetry_carry_the_token():
    (options,) = control_plane("mesh.coalmine:9000", identity="./files")["typed_extension_protocol_options"].values()
    injector, codec = options["http_filters"]
    source = injector["typed_config"]["credential"]["typed_config"]["credential"]["sds_config"]
    assert source["path_config_source"] == {"path": "./files/token.json", "watched_directory": {"path": "./files"}}
    assert codec["name"] == "envoy.filters.http.upstream_codec"
