"""Gateways: which pods serve which hosts on which ports, and what their authors are told."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mesh.ir.gateways import Credential
from mesh.resolve.gatewayhosts import common, covers
from mesh.resolve.gateways import read_gateway
from mesh.resolve.objects import read_pod, read_service
from mesh.resolve.rules import read_destination_rule, read_traffic_split, read_virtual_service
from mesh.resolve.world import World

BASE = """
kind: Pod
metadata: {name: edge, namespace: ingress, labels: {istio: ingressgateway}, annotations: {coalmine.dev/status: gateway}}
spec: {containers: [{name: istio-proxy}]}
status: {podIP: 10.0.0.1}
---
kind: Service
metadata: {name: payment, namespace: shop}
spec: {selector: {app: payment}, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: payment-canary, namespace: shop}
spec: {selector: {app: payment-canary}, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
"""


def gateway(
    servers: str, *, name: str = "edge", selector: str = "istio: ingressgateway", created: str = "2026-01-01"
) -> str:
    meta = f"{{name: {name}, namespace: shop, uid: {name}, creationTimestamp: '{created}'}}"
    spec = f"{{selector: {{{selector}}}, servers: [{servers}]}}"
    return f"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {meta}\nspec: {spec}\n---\n"


def bound(host: str, *, name: str = "shop", namespace: str = "shop", to: str = "shop/edge", more: str = "") -> str:
    http = "http: [{route: [{destination: {host: payment.shop.svc.cluster.local}}]}]"
    meta = f"{{name: {name}, namespace: {namespace}, uid: {name}}}"
    spec = f"{{hosts: ['{host}'], gateways: ['{to}'], {more or http}}}"
    return f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {meta}\nspec: {spec}\n---\n"


SPLIT = """
kind: TrafficSplit
metadata: {name: payment, namespace: shop, uid: s, generation: 3}
spec: {service: payment, backends: [{service: payment, weight: 90}, {service: payment-canary, weight: 10}]}
---
"""


def world(text: str, **credentials: Credential) -> World:
    found: dict[str, list[dict[str, Any]]] = {}
    for manifest in yaml.safe_load_all(BASE + text):
        if manifest:
            found.setdefault(manifest["kind"], []).append(manifest)
    return World(
        services={s.key: s for s in map(read_service, found["Service"])},
        workloads={w.key: w for w in map(read_pod, found["Pod"])},
        endpoints={},
        virtual_services=tuple(map(read_virtual_service, found.get("VirtualService", []))),
        destination_rules=tuple(map(read_destination_rule, found.get("DestinationRule", []))),
        traffic_splits=tuple(map(read_traffic_split, found.get("TrafficSplit", []))),
        gateways=tuple(map(read_gateway, found.get("Gateway", []))),
        credentials={("ingress", name): credential for name, credential in credentials.items()},
    )


def domains(made: World) -> dict[str, list[tuple[str, ...]]]:
    view = made.ingress.view(made.workloads["ingress", "edge"])
    return {routes.name: [host.domains for host in routes.hosts] for routes in view.routes}


def told(made: World) -> list[tuple[str, str]]:
    return [(p.reason, p.message) for p in made.problems]


HTTP = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['%s']}"


@pytest.mark.parametrize(
    ("pattern", "host", "shared"),
    [
        ("*", "a.example.com", "a.example.com"),
        ("*.example.com", "a.example.com", "a.example.com"),
        ("a.example.com", "*.example.com", "a.example.com"),
        ("*.example.com", "*.a.example.com", "*.a.example.com"),
        ("*.example.com", "example.com", ""),
        ("a.example.com", "b.example.com", ""),
        ("*.example.com", "aexample.com", ""),
    ],
)
def test_two_hosts_share_the_narrower_one(pattern, host, shared):
    assert common(pattern, host) == common(host, pattern) == shared
    assert covers(pattern, host) or covers(host, pattern) or not shared


@pytest.mark.parametrize(
    ("server", "host", "namespace", "served"),
    [
        ("*.example.com", "a.example.com", "other", [("a.example.com",)]),
        ("a.example.com", "*.example.com", "other", [("a.example.com",)]),
        ("./*.example.com", "a.example.com", "shop", [("a.example.com",)]),
        ("./*.example.com", "a.example.com", "other", []),
        ("other/*", "a.example.com", "other", [("a.example.com",)]),
        ("*/a.example.com", "A.example.com", "other", [("a.example.com",)]),
        ("*", "payment", "shop", [("payment.shop.svc.cluster.local",)]),
        ("a.example.com", "b.example.com", "shop", []),
    ],
)
def test_a_virtual_service_is_served_where_hosts_and_namespace_meet(server, host, namespace, served):
    made = world(gateway(HTTP % server) + bound(host, namespace=namespace))
    assert domains(made) == {"http.80": served}
    assert [reason for reason, _ in told(made)] == ([] if served else ["Unserved"])


def test_a_split_lies_over_what_comes_from_outside_and_counts_for_its_host():
    made = world(gateway(HTTP % "*") + bound("a.example.com") + SPLIT)
    view = made.ingress.view(made.workloads["ingress", "edge"])
    routes = view.routes[0].hosts[0].routes
    assert {(d.cluster.service, d.weight) for r in routes for d in r.destinations} == {
        ("payment", 9),
        ("payment-canary", 1),
    }
    assert {r.host for r in routes} == {("shop", "payment")}
    assert {r.kind for r in routes} == {"read", "write"}
    assert view.carries(("shop", "payment"))
    assert not view.carries(("shop", "payment-canary"))


def test_a_split_without_weight_on_the_canary_has_its_cluster_already():
    made = world(gateway(HTTP % "*") + bound("a.example.com") + SPLIT.replace("90", "100").replace("10}]", "0}]"))
    view = made.ingress.view(made.workloads["ingress", "edge"])
    assert {u.key.service for u in view.outbound.upstreams} == {"payment", "payment-canary"}


def test_only_what_is_behind_a_gateway_is_told_to_it():
    made = world(gateway(HTTP % "*") + bound("a.example.com"))
    view = made.ingress.view(made.workloads["ingress", "edge"])
    assert {u.key.service for u in view.outbound.upstreams} == {"payment"}


TLS = "{port: {number: 443, name: %s, protocol: HTTPS}, hosts: ['%s'], tls: {mode: %s, credentialName: %s}}"
GOOD = Credential(b"chain", b"key")


@pytest.mark.parametrize(
    ("mode", "credential", "open_", "said"),
    [
        ("SIMPLE", GOOD, True, ""),
        ("SIMPLE", None, False, "there is no Secret one in namespace ingress"),
        (
            "SIMPLE",
            Credential(problem="tls.key holds no private key in PEM"),
            False,
            "tls.key holds no private key in PEM",
        ),
        ("MUTUAL", GOOD, False, "needs the callers' roots"),
        ("MUTUAL", Credential(b"chain", b"key", b"roots"), True, ""),
    ],
)
def test_a_server_without_a_usable_secret_is_closed_and_says_so(mode, credential, open_, said):
    found = {"one": credential} if credential else {}
    made = world(gateway(TLS % ("a", "a.example.com", mode, "one")) + bound("a.example.com"), **found)
    view = made.ingress.view(made.workloads["ingress", "edge"])
    assert [len(listener.chains) for listener in view.listeners] == ([1] if open_ else [])
    assert [(reason, said in text) for reason, text in told(made)] == ([] if open_ else [("NoCredential", True)])


def test_servers_with_one_port_name_keep_their_hosts_apart():
    servers = ", ".join(TLS % ("https", f"{host}.example.com", "SIMPLE", "one") for host in "ab")
    made = world(gateway(servers) + bound("a.example.com") + bound("b.example.com", name="b"), one=GOOD)
    assert sorted(domains(made).values()) == [[("a.example.com",)], [("b.example.com",)]]


def test_the_older_gateway_keeps_a_host_and_the_younger_is_told():
    young = gateway(HTTP % "a.example.com", name="young", created="2026-02-01")
    made = world(
        young + gateway(HTTP % "*") + bound("a.example.com") + bound("a.example.com", name="b", to="shop/young")
    )
    assert domains(made) == {"http.80": [("a.example.com",)]}
    assert [(p.ref.name, p.reason) for p in made.problems] == [("young", "Shadowed")]


def test_what_nobody_serves_is_told():
    made = world(gateway(HTTP % "*", selector="istio: egress") + bound("a.example.com", to="nowhere"))
    assert [reason for reason, _ in told(made)] == ["NoPods", "NotFound"]


def test_connections_are_passed_on_by_port_and_by_server_name():
    servers = "{port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}, "
    servers += "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['raw.example.com'], tls: {mode: PASSTHROUGH}}"
    tcp = "tcp: [{match: [{port: 5432}], route: [{destination: {host: db, port: {number: 5432}}}]}]"
    tls = "tls: [{match: [{sniHosts: [raw.example.com]}], route: [{destination: {host: payment}}]}]"
    made = world(gateway(servers) + bound("*", more=f"{tcp}, {tls}"))
    view = made.ingress.view(made.workloads["ingress", "edge"])
    found = {(li.port, c.names, c.destinations[0].cluster.service) for li in view.listeners for c in li.chains}
    assert found == {(5432, (), "db"), (443, ("raw.example.com",), "payment")}


def test_idle_connections_end_as_the_destination_rule_says():
    servers = "{port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}"
    tcp = "tcp: [{route: [{destination: {host: db, port: {number: 5432}}}]}]"
    rule = "kind: DestinationRule\nmetadata: {name: db, namespace: shop, uid: d}\n"
    rule += "spec: {host: db, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 20s}}}}\n---\n"
    made = world(gateway(servers) + bound("*", more=tcp) + rule)
    (chain,) = (c for li in made.ingress.view(made.workloads["ingress", "edge"]).listeners for c in li.chains)
    assert chain.idle_timeout == 20


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (
            "{port: {number: 80, protocol: MONGO}, hosts: ['*']}",
            "spec.servers[0].port.protocol: 'MONGO' is not implemented",
        ),
        ("{port: {number: 443, protocol: HTTPS}, hosts: ['*']}", "needs tls with a mode"),
        ("{port: {number: 443, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE}}", "tls.credentialName is missing"),
        (
            "{port: {number: 443, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: other/one}}",
            "only Secrets of the gateway's own namespace",
        ),
        (
            "{port: {number: 80, protocol: HTTP}, hosts: ['*'], bind: 0.0.0.0, tls: {cipherSuites: [A]}}",
            "spec.servers[0].bind is not implemented",
        ),
    ],
)
def test_what_is_wrong_or_not_implemented_is_told(server, said):
    assert any(said in text for _, text in told(world(gateway(server)))), told(world(gateway(server)))


def test_no_pod_is_a_gateway_by_its_labels_alone():
    text = BASE.replace(", annotations: {coalmine.dev/status: gateway}", "")
    pods = [m for m in yaml.safe_load_all(text) if m and m["kind"] == "Pod"]
    assert [read_pod(p).gateway for p in pods] == [False]
