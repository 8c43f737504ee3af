"""The wire form is Envoy's."""

from __future__ import annotations

from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2

from mesh.ads.messages import Response, decode, encode
from mesh.ads.server import proxy_of
from mesh.xds.resources import CDS, pack


def test_a_response_reads_back_as_envoy_reads_it():
    resources = (pack("a", cluster_pb2.Cluster(name="a")), pack("b", cluster_pb2.Cluster(name="b" * 300)))
    read = discovery_pb2.DeltaDiscoveryResponse.FromString(encode(Response(CDS, "7", resources, ("gone",))))
    assert (read.type_url, read.nonce, list(read.removed_resources)) == (CDS, "7", ["gone"])
    assert [(r.name, r.version) for r in read.resources] == [(r.name, r.version) for r in resources]
    inner = cluster_pb2.Cluster()
    assert read.resources[1].resource.Unpack(inner)
    assert inner.name == "b" * 300


def test_a_request_is_read():
    wire = discovery_pb2.DeltaDiscoveryRequest(
        type_url=CDS, resource_names_subscribe=["*"], initial_resource_versions={"a": "1"}, response_nonce="3"
    )
    wire.node.id = "sidecar~127.0.0.1~a.shop"
    request, node = decode(wire.SerializeToString())
    assert (request.subscribe, request.held, request.nonce, request.error) == (("*",), {"a": "1"}, "3", None)
    assert node == "sidecar~127.0.0.1~a.shop"


def test_a_refusal_without_words_is_a_refusal():
    wire = discovery_pb2.DeltaDiscoveryRequest(type_url=CDS, response_nonce="3")
    wire.error_detail.code = 13
    assert decode(wire.SerializeToString())[0].error == ""


def test_a_node_id_names_its_pod():
    assert proxy_of("sidecar~127.0.1.2~payment-7f.x.shop") == "shop/payment-7f.x"
    assert proxy_of("router") is None
