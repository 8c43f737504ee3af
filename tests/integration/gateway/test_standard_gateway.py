"""The Gateway API's Gateway, HTTPRoute, GRPCRoute and ReferenceGrant, on a real API server and through real Envoys."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "mesh" / "gateway-api.yaml"
INGRESS = "coalmine-ingress"
API = "gateway.networking.k8s.io/v1"
ORDERS = """
import asyncio, os, grpc.aio
version = os.environ["VERSION"].encode()

async def answer(request, context):
    return version

async def main():
    server = grpc.aio.server()
    methods = {name: grpc.unary_unary_rpc_method_handler(answer) for name in ("Place", "List")}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", methods),))
    server.add_insecure_port(os.environ["POD_IP"] + ":8080")
    await server.start()
    await server.wait_for_termination()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def api(gateway_api: Any) -> Iterator[Any]:
    gateway_api.kubectl("apply", "-f", str(ROOT / "deploy" / "mesh" / "gatewayclass.yaml"))
    gateway_api.kubectl("wait", "gatewayclass/coalmine", "--for=condition=Accepted", "--timeout=120s")
    yield gateway_api
    gateway_api.kubectl("delete", "gatewayclass", "coalmine")


def holds(api: Any, name: str, path: str, value: str, namespace: str = "") -> None:
    """Wait until a field of a status is so."""
    where = ("-n", namespace or api.namespace, f"--for=jsonpath={path}={value}", "--timeout=120s")
    api.kubectl("wait", name, *where)


def route(kind: str, name: str, parent: dict[str, Any], *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    spec = {"parentRefs": [parent], "rules": list(rules), **more}
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


async def test_a_canary_gets_its_share_of_what_comes_through_the_standard_gateway(api):
    trust = api.secret("shop-example-com", "shop.example.com")
    text = EXAMPLE.read_text().replace("namespace: shop\n", f"namespace: {api.namespace}\n")
    api.kubectl("apply", "-f", "-", stdin=text)
    try:
        for condition in ("Accepted", "Programmed"):
            api.kubectl(
                "wait", "gateway.gateway.networking.k8s.io/public", "-n", INGRESS, f"--for=condition={condition}"
            )
        await api.becomes(200, trust=trust)
        api.acknowledged()
        seen = await api.versions(4000, trust=trust)
        assert set(seen) == {"v1", "v2"}
        assert 305 <= seen["v2"] <= 495  # 400 expected; five standard deviations
        headers, _ = await api.becomes(301)
        assert headers["location"] == "https://shop.example.com/charge"
        assert (await api.ask("/other", trust=trust))[0] == 404
        assert (await api.ask(host="else.example.com"))[0] == 404
        gateway = api.get("gateway", "public", namespace=INGRESS)
        generation = gateway["metadata"]["generation"]
        assert {c["observedGeneration"] for c in gateway["status"]["conditions"]} == {generation}
        assert [x["attachedRoutes"] for x in gateway["status"]["listeners"]] == [1, 1]
        for name in ("to-https", "payment"):
            (parent,) = api.get("httproute", name)["status"]["parents"]
            assert {c["type"]: c["status"] for c in parent["conditions"]} == {
                "Accepted": "True",
                "ResolvedRefs": "True",
            }
    finally:
        api.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)


async def test_a_secret_elsewhere_is_shown_once_it_is_granted(api):
    """The Gateway is in the shop's namespace, its certificate beside the ingress pods."""
    trust = api.secret("shared", "granted.example.com")
    reference = {"name": "shared", "namespace": INGRESS}
    listener = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [reference]}}
    address = {"type": "Hostname", "value": "istio-ingressgateway.coalmine-ingress.svc.cluster.local"}
    spec = {"gatewayClassName": "coalmine", "addresses": [address], "listeners": [listener]}
    gateway = {"apiVersion": API, "kind": "Gateway", "metadata": {"name": "own"}, "spec": spec}
    payment = {"backendRefs": [{"name": "payment", "port": 80}]}
    attached = route("HTTPRoute", "granted", {"name": "own"}, payment, hostnames=["granted.example.com"])
    source = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": api.namespace}
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "shop", "namespace": INGRESS},
        "spec": {"from": [source], "to": [{"group": "", "kind": "Secret", "name": "shared"}]},
    }
    name, path = "gateway.gateway.networking.k8s.io/own", ".status.listeners[0].conditions[?(@.type=='ResolvedRefs')]"
    api.apply(gateway, attached)
    try:
        holds(api, name, f"{{{path}.reason}}", "RefNotPermitted")
        api.apply(grant, namespace=INGRESS)
        holds(api, name, f"{{{path}.status}}", "True")
        await api.becomes(200, host="granted.example.com", trust=trust)
        api.kubectl("delete", "referencegrant", "shop", "-n", INGRESS)
        holds(api, name, f"{{{path}.reason}}", "RefNotPermitted")
    finally:
        api.delete(gateway, attached)
        api.kubectl("delete", "referencegrant", "shop", "-n", INGRESS, "--ignore-not-found")


def orders(name: str, version: str) -> list[dict[str, Any]]:
    env = [
        {"name": "VERSION", "value": version},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    ports = [{"name": "grpc", "containerPort": 8080}]
    container = {"name": "app", "image": "none", "command": [sys.executable, "-c", ORDERS], "env": env, "ports": ports}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    service = {"selector": {"app": name}, "ports": [{"name": "grpc", "port": 80, "targetPort": "grpc"}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
    ]


async def says(address: str, authority: str, method: str, wanted: bytes, **headers: str) -> None:
    """Wait until a gRPC method is answered so; a status that is not OK is its name."""
    last: Any = None
    told = ""
    options = [("grpc.default_authority", authority), ("grpc.enable_http_proxy", 0)]
    try:
        async with asyncio.timeout(120), grpc.aio.insecure_channel(address, options=options) as channel:
            while last != wanted:
                try:
                    call = channel.unary_unary(method)
                    last = await call(b"", metadata=tuple(headers.items()), wait_for_ready=True)
                except grpc.aio.AioRpcError as error:
                    last, told = error.code().name.encode(), error.details() or ""
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{method} of {authority}: {last!r} ({told}) and not {wanted!r}")


async def test_a_grpc_route_goes_by_method_for_sidecars_and_at_the_gateway(api):
    api.apply(*orders("orders", "v1"), *orders("orders-canary", "v2"))
    api.kubectl("wait", "deploy/orders", "deploy/orders-canary", "--for=condition=Available", "-n", api.namespace)
    address = {"type": "Hostname", "value": "istio-ingressgateway.coalmine-ingress.svc.cluster.local"}
    listeners = [{"name": "grpc", "port": 80, "protocol": "HTTP", "hostname": "orders.example.com"}]
    spec = {"gatewayClassName": "coalmine", "addresses": [address], "listeners": listeners}
    gateway = {"apiVersion": API, "kind": "Gateway", "metadata": {"name": "orders"}, "spec": spec}
    place = {
        "matches": [
            {
                "method": {"service": "shop.Orders", "method": "Place"},
                "headers": [{"name": "end-user", "value": "jason"}],
            }
        ],
        "backendRefs": [{"name": "orders-canary", "port": 80}],
    }
    others = {
        "matches": [{"method": {"type": "RegularExpression", "service": "shop[.].*", "method": "Place|List"}}],
        "backendRefs": [{"name": "orders", "port": 80}],
    }
    routes = (
        route("GRPCRoute", "inside", {"group": "", "kind": "Service", "name": "orders"}, place, others),
        route("GRPCRoute", "outside", {"name": "orders"}, place, others),
    )
    api.apply(gateway, *routes)
    try:
        for name in ("inside", "outside"):
            holds(api, f"grpcroute/{name}", "{.status.parents[0].conditions[?(@.type=='Accepted')].status}", "True")
        for where, authority in ((f"{api.caller}:15001", "orders"), (f"{api.address}:8080", "orders.example.com")):
            await says(where, authority, "/shop.Orders/Place", b"v2", **{"end-user": "jason"})
            await says(where, authority, "/shop.Orders/Place", b"v1")
            await says(where, authority, "/shop.Orders/List", b"v1", **{"end-user": "jason"})
            await says(where, authority, "/shop.Orders/Else", b"UNIMPLEMENTED")
    finally:
        api.delete(gateway, *routes)
