"""The Gateway API's Gateways: which listeners are open where, which routes they take, and what their authors are told."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mesh.api.gatewayapi import CONTROLLER
from mesh.ir.gateways import Credential
from mesh.resolve.edges import read_gateway_class, read_standard_gateway
from mesh.resolve.grants import read_reference_grant
from mesh.resolve.grpcroutes import read_grpc_route
from mesh.resolve.httproutes import read_http_route
from mesh.resolve.objects import read_pod, read_service
from mesh.resolve.rules import read_traffic_split, read_virtual_service
from mesh.resolve.world import World
from mesh.wiring.gatewaystatus import class_status, gateway_status, parents_of

API = "gateway.networking.k8s.io/v1"
BASE = f"""
kind: Pod
metadata:
  name: edge
  namespace: shop
  labels: {{gateway.networking.k8s.io/gateway-name: edge}}
  annotations: {{coalmine.dev/status: gateway}}
spec: {{containers: [{{name: istio-proxy}}]}}
status: {{podIP: 10.0.0.1, phase: Running}}
---
kind: Service
metadata: {{name: edge, namespace: shop}}
spec:
  selector: {{gateway.networking.k8s.io/gateway-name: edge}}
  ports: [{{name: http, port: 80, targetPort: 8080}}, {{name: https, port: 443, targetPort: 8443}}]
---
kind: Service
metadata: {{name: payment, namespace: shop}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
kind: Service
metadata: {{name: payment-canary, namespace: shop}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
kind: Service
metadata: {{name: audit, namespace: other}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: {API}
kind: GatewayClass
metadata: {{name: coalmine, uid: class, generation: 1}}
spec: {{controllerName: {CONTROLLER}}}
---
"""
HTTP = "{name: http, port: 80, protocol: HTTP}"
GOOD = Credential(b"chain", b"key")


def gateway(*listeners: str, more: str = "", of: str = "coalmine") -> str:
    meta = "{name: edge, namespace: shop, uid: edge, generation: 3}"
    spec = f"{{gatewayClassName: {of}, listeners: [{', '.join(listeners)}]{more}}}"
    return f"apiVersion: {API}\nkind: Gateway\nmetadata: {meta}\nspec: {spec}\n---\n"


def route(
    hostnames: str = "",
    rules: str = "",
    *,
    name: str = "pay",
    namespace: str = "shop",
    kind: str = "HTTPRoute",
    to: str = "",
) -> str:
    rules = rules or "{backendRefs: [{name: payment, port: 80}]}"
    parent = f"{{name: edge, namespace: shop{to}}}"
    spec = f"{{parentRefs: [{parent}], hostnames: [{hostnames}], rules: [{rules}]}}"
    meta = f"{{name: {name}, namespace: {namespace}, uid: {name}, generation: 2, creationTimestamp: '2026'}}"
    return f"apiVersion: {API}\nkind: {kind}\nmetadata: {meta}\nspec: {spec}\n---\n"


def grant(source: str, namespace: str, target: str, to: str = "other") -> str:
    spec = f"{{from: [{{group: gateway.networking.k8s.io, kind: {source}, namespace: {namespace}}}], to: [{{group: '', {target}}}]}}"
    return (
        f"apiVersion: {API}\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: {to}, uid: g}}\nspec: {spec}\n---\n"
    )


def world(text: str, credentials: dict[tuple[str, str], Credential] | None = None) -> World:
    found: dict[str, list[dict[str, Any]]] = {}
    for manifest in yaml.safe_load_all(BASE + text):
        if manifest:
            found.setdefault(manifest["kind"], []).append(manifest)
    return World(
        services={s.key: s for s in map(read_service, found["Service"])},
        workloads={w.key: w for w in map(read_pod, found["Pod"])},
        endpoints={},
        virtual_services=tuple(map(read_virtual_service, found.get("VirtualService", []))),
        traffic_splits=tuple(map(read_traffic_split, found.get("TrafficSplit", []))),
        http_routes=tuple(map(read_http_route, found.get("HTTPRoute", []))),
        grpc_routes=tuple(map(read_grpc_route, found.get("GRPCRoute", []))),
        standard_gateways=tuple(map(read_standard_gateway, found.get("Gateway", []))),
        gateway_classes=tuple(map(read_gateway_class, found["GatewayClass"])),
        reference_grants=tuple(map(read_reference_grant, found.get("ReferenceGrant", []))),
        namespace_labels={"shop": {"team": "shop"}, "other": {"team": "audit"}},
        credentials=credentials or {},
    )


def served(made: World) -> dict[str, dict[str, list[str]]]:
    """By route configuration, by domain, where each route leads."""
    view = made.ingress.view(next(iter(made.workloads.values())))
    return {
        routes.name.partition(".shop/")[0]: {
            d: [
                r.destinations[0].cluster.service
                if r.destinations
                else str((r.refusal or r.answer or r.redirect).status)
                for r in host.routes
            ]
            for host in routes.hosts
            for d in host.domains
        }
        for routes in view.routes
    }


def failed(conditions: list[dict[str, Any]]) -> list[str]:
    bad = {"Conflicted": "True"}
    return [f"{c['type']} {c['reason']}" for c in conditions if c["status"] == bad.get(c["type"], "False")]


def status(made: World) -> dict[str, Any]:
    return gateway_status({}, made.edges.edges["shop", "edge"], made.translated.attached, "now")


def of_route(made: World, uid: str = "pay") -> list[str]:
    (parent,) = parents_of([], made.translated.states[uid], 2, "now")
    return failed(parent["conditions"])


def test_a_route_is_served_where_the_pods_listen():
    made = world(gateway(HTTP) + route("a.example.com"))
    view = made.ingress.view(made.workloads["shop", "edge"])
    assert [x.port for x in view.listeners] == [8080]
    assert served(made) == {"http.8080": {"a.example.com": ["payment"]}}
    found = status(made)
    assert failed(found["conditions"]) == []
    assert {c["observedGeneration"] for c in found["conditions"]} == {3}
    assert found["addresses"] == [{"type": "Hostname", "value": "edge.shop.svc.cluster.local"}]
    (listener,) = found["listeners"]
    assert (listener["name"], listener["attachedRoutes"]) == ("http", 1)
    assert failed(listener["conditions"]) == []
    assert gateway_status(found, made.edges.edges["shop", "edge"], made.translated.attached, "later") == found
    assert of_route(made) == []
    assert not made.problems
    assert failed(class_status({}, 1, "now")["conditions"]) == []


@pytest.mark.parametrize(
    ("listener", "hostnames", "hosts"),
    [
        ("", "", {"*"}),
        ("", "a.b", {"a.b"}),
        ("*.b", "a.b, x.y", {"a.b"}),
        ("a.b", "'*.b'", {"a.b"}),
        ("a.b", "", {"a.b"}),
        ("*.b", "", {"*.b"}),
    ],
)
def test_hosts_are_those_that_listener_and_route_share(listener, hostnames, hosts):
    made = world(gateway(f"{{name: http, port: 80, protocol: HTTP, hostname: '{listener}'}}") + route(hostnames))
    assert set(served(made)["http.8080"]) == hosts


def test_a_host_is_the_most_specific_listeners():
    wide = "{name: wide, port: 80, protocol: HTTP}"
    narrow = "{name: narrow, port: 80, protocol: HTTP, hostname: a.b}"
    made = world(
        gateway(wide, narrow)
        + route("a.b, c.d", name="wide", to=", sectionName: wide")
        + route("", "{backendRefs: [{name: payment-canary, port: 80}]}", name="narrow", to=", sectionName: narrow")
    )
    assert served(made) == {"http.8080": {"a.b": ["payment-canary"], "c.d": ["payment"]}}
    assert [x["attachedRoutes"] for x in status(made)["listeners"]] == [1, 1]


def test_rules_of_the_more_specific_host_go_first_and_then_those_of_the_wildcard():
    canary = "{matches: [{path: {type: Exact, value: /c}}], backendRefs: [{name: payment-canary, port: 80}]}"
    made = world(gateway(HTTP) + route("'*.b'", name="wide") + route("a.b", canary, name="narrow"))
    assert served(made)["http.8080"] == {"a.b": ["payment-canary", "payment"], "*.b": ["payment"]}


def test_the_split_of_a_release_lies_over_a_route():
    split = "{service: payment, backends: [{service: payment, weight: 90}, {service: payment-canary, weight: 10}]}"
    made = world(
        gateway(HTTP)
        + route("a.b")
        + f"kind: TrafficSplit\nmetadata: {{name: payment, namespace: shop, uid: s, generation: 1}}\nspec: {split}\n"
    )
    view = made.ingress.view(made.workloads["shop", "edge"])
    shares = {tuple((d.cluster.service, d.weight) for d in r.destinations) for r in view.routes[0].hosts[0].routes}
    assert shares == {(("payment", 9), ("payment-canary", 1))}
    assert view.carries(("shop", "payment"))


def secured(ref: str = "name: cert", more: str = "") -> str:
    return f"{{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{{ref}}}]{more}}}}}"


def test_https_ends_with_the_secret_of_the_gateways_namespace():
    made = world(gateway(secured()) + route("a.b"), {("shop", "cert"): GOOD})
    view = made.ingress.view(made.workloads["shop", "edge"])
    assert [x.port for x in view.listeners] == [8443]
    assert view.credentials == (("cert", GOOD),)
    assert failed(status(made)["conditions"]) == []


def test_a_secret_of_another_namespace_needs_a_grant():
    there = {("other", "cert"): GOOD, ("shop", "cert"): Credential(b"else", b"else")}
    asking = gateway(secured("name: cert, namespace: other")) + route("a.b")
    refused = world(asking, there)
    assert not served(refused)
    assert failed(status(refused)["listeners"][0]["conditions"]) == [
        "Programmed Invalid",
        "ResolvedRefs RefNotPermitted",
    ]
    assert refused.edges.secret_namespaces == frozenset()
    for target in ("kind: Secret", "kind: Secret, name: cert"):
        allowed = world(asking + grant("Gateway", "shop", target), there)
        view = allowed.ingress.view(allowed.workloads["shop", "edge"])
        assert view.credentials == (("cert~other", GOOD),)
        assert allowed.edges.secret_namespaces == {"other"}
    for useless in (
        grant("Gateway", "shop", "kind: Secret, name: else"),
        grant("HTTPRoute", "shop", "kind: Secret"),
        grant("Gateway", "edge", "kind: Secret"),
        grant("Gateway", "shop", "kind: Secret", to="shop"),
    ):
        assert not served(world(asking + useless, there))


@pytest.mark.parametrize(
    ("listeners", "said"),
    [
        ([secured()], ["Programmed Invalid", "ResolvedRefs InvalidCertificateRef"]),
        ([secured("name: x, kind: ConfigMap")], ["Programmed Invalid", "ResolvedRefs InvalidCertificateRef"]),
        ([secured(more=", mode: Passthrough")], ["Accepted UnsupportedProtocol", "Programmed Invalid"]),
        (["{name: a, port: 90, protocol: TCP}"], ["Accepted UnsupportedProtocol", "Programmed Invalid"]),
        ([HTTP, "{name: b, port: 80, protocol: HTTP}"], ["Programmed Invalid", "Conflicted HostnameConflict"]),
        (
            [HTTP, "{name: b, port: 80, protocol: HTTPS, hostname: a.b, tls: {certificateRefs: [{name: cert}]}}"],
            ["Programmed Invalid", "Conflicted ProtocolConflict"],
        ),
        (
            ["{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}"],
            ["Programmed Invalid", "ResolvedRefs InvalidRouteKinds"],
        ),
    ],
)
def test_a_listener_that_cannot_be_used_says_why_and_is_closed(listeners, said):
    made = world(gateway(*listeners) + route("a.b"))
    assert failed(status(made)["listeners"][0]["conditions"]) == said
    assert failed(status(made)["conditions"]) == ["Accepted ListenersNotValid", "Programmed Invalid"]
    assert made.problems
    assert not served(made)


def test_one_listener_that_is_closed_closes_no_other():
    made = world(gateway(HTTP, secured()) + route("a.b"))
    assert list(served(made)) == ["http.8080"]
    assert failed(status(made)["conditions"]) == []


@pytest.mark.parametrize(
    ("allowed", "takes"),
    [
        ("", False),
        ("namespaces: {from: Same}", False),
        ("namespaces: {from: All}", True),
        ("namespaces: {from: None}", False),
        ("namespaces: {from: Selector, selector: {matchLabels: {team: audit}}}", True),
        ("namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}", False),
        (
            "namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: In, values: [audit]}]}}",
            True,
        ),
        ("namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}", False),
        ("namespaces: {from: All}, kinds: [{kind: GRPCRoute}]", False),
    ],
)
def test_a_listener_takes_routes_as_it_allows(allowed, takes):
    listener = f"{{name: http, port: 80, protocol: HTTP, allowedRoutes: {{{allowed}}}}}"
    made = world(gateway(listener) + route("a.b", "{backendRefs: [{name: audit, port: 80}]}", namespace="other"))
    assert of_route(made) == ([] if takes else ["Accepted NotAllowedByListeners"])
    assert served(made) == {"http.8080": {"a.b": ["audit"]} if takes else {}}


@pytest.mark.parametrize(
    ("to", "hostnames", "said"),
    [
        (", sectionName: else", "a.b", "Accepted NoMatchingParent"),
        (", port: 81", "a.b", "Accepted NoMatchingParent"),
        ("", "x.y", "Accepted NoMatchingListenerHostname"),
    ],
)
def test_a_route_that_fits_no_listener_says_so(to, hostnames, said):
    made = world(gateway("{name: http, port: 80, protocol: HTTP, hostname: '*.b'}") + route(hostnames, to=to))
    assert of_route(made) == [said]
    assert made.problems
    assert status(made)["listeners"][0]["attachedRoutes"] == 0


def test_a_backend_of_another_namespace_needs_a_grant():
    asking = gateway(HTTP) + route("a.b", "{backendRefs: [{name: audit, namespace: other, port: 80}]}")
    assert of_route(world(asking)) == ["ResolvedRefs RefNotPermitted"]
    assert served(world(asking))["http.8080"] == {"a.b": ["500"]}
    made = world(asking + grant("HTTPRoute", "shop", "kind: Service"))
    assert of_route(made) == []
    assert served(made)["http.8080"] == {"a.b": ["audit"]}
    assert of_route(world(asking + grant("GRPCRoute", "shop", "kind: Service"))) == ["ResolvedRefs RefNotPermitted"]


def test_the_service_that_an_address_names_says_whose_pods_serve_it():
    pods = (
        BASE.partition("---")[0]
        .replace("name: edge\n", "name: shared\n")
        .replace("namespace: shop", "namespace: ingress")
    )
    pods = pods.replace("gateway.networking.k8s.io/gateway-name: edge", "istio: ingressgateway")
    service = "kind: Service\nmetadata: {name: in, namespace: ingress}\n"
    service += "spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}]}\n---\n"
    address = ", addresses: [{type: Hostname, value: in.ingress.svc.cluster.local}]"
    made = world(f"{pods}---\n{service}{gateway(HTTP, more=address)}{route('a.b')}")
    assert not made.ingress.view(made.workloads["shop", "edge"]).listeners
    assert made.ingress.view(made.workloads["ingress", "shared"]).routes[0].hosts[0].domains == ("a.b",)
    assert status(made)["addresses"] == [{"type": "Hostname", "value": "in.ingress.svc.cluster.local"}]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", addresses: [{type: IPAddress, value: 10.0.0.1}]", ["Accepted UnsupportedAddress", "Programmed Invalid"]),
        (", addresses: [{type: Hostname, value: none.shop.svc.cluster.local}]", ["Programmed AddressNotAssigned"]),
        (", addresses: [{type: Hostname, value: payment.shop.svc.cluster.local}]", ["Programmed AddressNotAssigned"]),
    ],
)
def test_a_gateway_without_pods_is_not_programmed(more, said):
    made = world(gateway(HTTP, more=more) + route("a.b"))
    assert failed(status(made)["conditions"]) == said
    assert not served(made)


def test_another_implementations_gateway_is_left_alone():
    made = world(gateway(HTTP, of="other") + route("a.b"))
    assert not made.edges.edges
    assert made.translated.states["pay"] == ()
    assert not served(made)


def test_no_virtual_service_gets_past_what_a_listener_allows():
    name = "shop/edge~gateway.networking.k8s.io/http"
    spec = f"{{hosts: [a.b], gateways: ['{name}'], http: [{{route: [{{destination: {{host: payment}}}}]}}]}}"
    written = f"kind: VirtualService\napiVersion: networking.istio.io/v1\nmetadata: {{name: v, namespace: shop}}\nspec: {spec}\n"
    made = world(gateway(HTTP) + written)
    assert served(made) == {"http.8080": {}}
    assert [p.reason for p in made.problems] == ["NotFound"]


@pytest.mark.parametrize(
    ("method", "found"),
    [
        ("{service: shop.Pay, method: Charge}", [("exact", "/shop.Pay/Charge")]),
        ("{service: shop.Pay}", [("exact", "/shop.Pay"), ("prefix", "/shop.Pay/")]),
        ("{method: Charge}", [("regex", "/[^/]+/Charge")]),
        ("{type: RegularExpression, service: 'a|b', method: 'C.*'}", [("regex", "/(?:a|b)/(?:C.*)")]),
        ("{type: RegularExpression, method: 'C.*'}", [("regex", "/[^/]+/(?:C.*)")]),
    ],
)
@pytest.mark.parametrize("to", ["", ", group: '', kind: Service, name: payment"])
def test_a_grpc_route_goes_by_service_and_method(method, found, to):
    rule = f"{{matches: [{{method: {method}, headers: [{{name: x, value: y}}]}}], backendRefs: [{{name: payment-canary, port: 80}}]}}"
    text = route("" if to else "a.b", rule, kind="GRPCRoute", to=to)
    made = world(
        gateway(HTTP) + text.replace("name: edge, namespace: shop, ", "namespace: shop, ")
        if to
        else gateway(HTTP) + text
    )
    if to:
        hosts = made.outbound("shop", None).virtual_hosts
        routes = next(h.routes for h in hosts if h.host == ("shop", "payment"))
    else:
        routes = made.ingress.view(made.workloads["shop", "edge"]).routes[0].hosts[0].routes
    assert [(r.match.uri.kind, r.match.uri.value) for r in routes[:-1]] == found
    assert all(r.match.headers[0][0] == "x" for r in routes[:-1])
    assert of_route(made) == []


def test_a_regular_expression_that_the_proxy_would_refuse_refuses_the_route():
    rule = "{matches: [{method: {type: RegularExpression, service: '('}}], backendRefs: [{name: payment, port: 80}]}"
    made = world(gateway(HTTP) + route("a.b", rule, kind="GRPCRoute"))
    assert of_route(made) == ["Accepted UnsupportedValue"]
