"""What the evaluator says is what the real Envoy does, for policies and requests of every sort."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from google.protobuf import json_format

from mesh.ir.services import Workload
from mesh.resolve.authz import AuthzIndex, read_authorization_policy
from mesh.resolve.decide import Request, decide
from mesh.resolve.tokens import JwtIndex, read_request_authentication
from mesh.xds.jwt import jwt_config
from mesh.xds.rbac import Place, authorization_filters, route_authorization

if TYPE_CHECKING:
    from mesh.ir.authz import Authorization

pytestmark = pytest.mark.integration

CASES, REQUESTS = 250, 8
POD = Workload("shop", "payment-1", "127.0.0.1", labels=(("app", "payment"),))
PLACE = Place("127.0.0.1", 8080)
PRINCIPALS = ("cluster.local/ns/shop/sa/frontend", "cluster.local/ns/shop/sa/front", "cluster.local/ns/web/sa/frontend")
TOKENS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"sub": "alice", "groups": ["admin", "dev"], "scope": "read write", "aud": "shop", "nested": {"role": "chief"}},
    {"sub": "bob", "groups": ["dev"], "aud": ["shop", "web"], "azp": "app"},
)
HOSTS = ("payment", "payment.shop", "API.example.com", "api.example.com:80")
METHODS = ("GET", "POST", "DELETE")
PATHS = ("/", "/info", "/info/a", "/info/a/b", "/admin", "/admin/x?debug=1", "/data.json")
TEAMS = (None, "finance", "fin", "ops")


def some(draw: random.Random, values: list[str], most: int = 2) -> list[str]:
    return draw.sample(values, draw.randint(1, most))


SOURCES: dict[str, list[str]] = {
    "principals": [*PRINCIPALS, "*", "cluster.local/ns/shop/*", "*/sa/frontend", "cluster.local/ns/shop/sa/fro"],
    "namespaces": ["shop", "web", "s*", "*p", "*", "sho"],
    "requestPrincipals": [
        "https://issuer.example.com/alice",
        "*",
        "https://issuer.example.com/*",
        "*/bob",
        "*ice",
        "https*",
    ],
    "ipBlocks": ["127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "::1"],
    "remoteIpBlocks": ["203.0.113.0/24", "127.0.0.1", "203.0.113.9"],
}
OPERATIONS: dict[str, list[str]] = {
    "hosts": ["payment", "PAYMENT.shop", "api.*", "*.example.com", "*"],
    "methods": ["GET", "POST", "P*", "*T", "*", "get"],
    "paths": ["/info", "/info*", "*/b", "*", "/info/{*}", "/{*}/a/{**}", "/{**}", "/admin/x", "*.json"],
    "ports": ["8080", "9090"],
}
CONDITIONS: dict[str, list[str]] = {
    "request.headers[X-Team]": ["finance", "fin*", "*ance", "*"],
    "source.ip": ["127.0.0.1", "10.0.0.0/8"],
    "remote.ip": ["203.0.113.9", "127.0.0.0/8"],
    "source.namespace": ["shop", "web"],
    "source.principal": list(PRINCIPALS),
    "source.serviceAccount": ["frontend", "web/frontend", "shop/front"],
    "request.auth.principal": ["*", "https://issuer.example.com/bob"],
    "request.auth.audiences": ["shop", "web", "w*"],
    "request.auth.presenter": ["app", "*"],
    "request.auth.claims[groups]": ["admin", "d*", "*v"],
    "request.auth.claims[scope]": ["read", "write"],
    "request.auth.claims[nested][role]": ["chief", "*"],
    "destination.ip": ["127.0.0.1", "10.0.0.1"],
    "destination.port": ["8080", "9090"],
    "connection.sni": ["payment", "*"],
}


def fields(draw: random.Random, known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return one or two fields, some of them negated."""
    found = {}
    for name in draw.sample(sorted(known), draw.randint(1, 2)):
        field = name if draw.random() < 0.75 else f"not{name[0].upper()}{name[1:]}"
        found[field] = some(draw, known[name])
    return found


def rule(draw: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if draw.random() < 0.6:
        known = dict(SOURCES)
        if draw.random() < 0.2:
            known = {"serviceAccounts": ["frontend", "web/frontend"], "ipBlocks": SOURCES["ipBlocks"]}
        found["from"] = [{"source": fields(draw, known)} for _ in range(draw.randint(1, 2))]
    if draw.random() < 0.6:
        found["to"] = [{"operation": fields(draw, OPERATIONS)} for _ in range(draw.randint(1, 2))]
    if draw.random() < 0.5:
        found["when"] = [
            {"key": key, draw.choice(["values", "values", "notValues"]): some(draw, CONDITIONS[key], 1)}
            for key in draw.sample(sorted(CONDITIONS), draw.randint(1, 2))
        ]
    return found


def authorization(draw: random.Random) -> Authorization:
    policies = []
    for number in range(draw.randint(0, 3)):
        action = draw.choice(["ALLOW", "ALLOW", "DENY", "AUDIT"])
        spec = {"action": action, "rules": [rule(draw) for _ in range(draw.randint(0, 2))]}
        meta = {"name": f"policy-{number}", "namespace": draw.choice(["shop", "istio-system"])}
        policies.append(read_authorization_policy({"kind": "AuthorizationPolicy", "metadata": meta, "spec": spec}))
    index = AuthzIndex(policies, {})
    assert index.problems == ()
    return index.of(POD)


def request(draw: random.Random) -> tuple[Request, int]:
    """Return a request, and the number of the token that it carries."""
    principal, token, team = draw.choice([None, *PRINCIPALS]), draw.randrange(len(TOKENS)), draw.choice(TEAMS)
    claims = dict(TOKENS[token] or {}) if TOKENS[token] is not None else None
    if claims is not None:
        claims["iss"] = "https://issuer.example.com"
        if "scope" in claims:
            claims["scope"] = claims["scope"].split()
    return Request(
        principal=principal,
        remote_ip=draw.choice(["127.0.0.1", "203.0.113.9"]),
        host=draw.choice(HOSTS),
        method=draw.choice(METHODS),
        path=draw.choice(PATHS),
        headers={"x-team": team} if team else {},
        claims=claims,
    ), token


def listener(port: int, cases: list[Authorization], jwks: str, tls: dict[str, Any] | None) -> dict[str, Any]:
    """Return an inbound listener with the mesh's filters, where a header says which policies hold."""
    auth = {
        "kind": "RequestAuthentication",
        "metadata": {"name": "tokens", "namespace": "shop"},
        "spec": {"jwtRules": [{"issuer": "https://issuer.example.com", "jwks": jwks}]},
    }
    tokens = jwt_config(JwtIndex([read_request_authentication(auth)], {}, {}, {}).of(POD))
    filters = [
        {"name": tokens.name, "typed_config": json_format.MessageToDict(tokens.typed_config)},
        *(json_format.MessageToDict(f) for f in authorization_filters()),
        {
            "name": "router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        },
    ]
    routes = [
        {
            "match": {"prefix": "/", "headers": [{"name": "x-case", "string_match": {"exact": str(number)}}]},
            "direct_response": {"status": 200},
            "typed_per_filter_config": {
                name: json_format.MessageToDict(value) for name, value in route_authorization(case, PLACE).items()
            },
        }
        for number, case in enumerate(cases)
    ]
    bare = {"match": {"path": "/bare"}, "direct_response": {"status": 200}}
    audit = "%DYNAMIC_METADATA(envoy.common:access_log_hint)%"
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [*routes, bare]}]},
        "http_filters": filters,
        "access_log": [
            {
                "name": "log",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                    "log_format": {
                        "text_format_source": {"inline_string": f"%REQ(x-request)% {audit} %RESPONSE_CODE_DETAILS%\n"}
                    },
                },
            }
        ],
    }
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = tls
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": f"port-{port}", "address": address, "filter_chains": [chain]}


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_evaluator_agrees_with_envoy(seed, authority, make_issuer, free_port, run_envoy):
    draw = random.Random(seed)
    issuer = make_issuer("https://issuer.example.com")
    cases = [authorization(draw) for _ in range(CASES)]
    plain, secure = free_port(), free_port()
    certificate, key = authority.issue("cluster.local/ns/shop/sa/payment")
    tls = {
        "name": "tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": {
                "tls_certificates": [
                    {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
                ],
                "validation_context": {"trusted_ca": {"filename": str(authority.root)}},
            },
        },
    }
    listeners = [listener(plain, cases, issuer.jwks, None), listener(secure, cases, issuer.jwks, tls)]
    clients = {principal: authority.client(principal) for principal in PRINCIPALS}
    tokens = [None if claims is None else issuer.token(**claims) for claims in TOKENS]
    outcomes: list[tuple[int, Request, int]] = []
    config = {"static_resources": {"listeners": listeners}}
    async with run_envoy(config) as output, aiohttp.ClientSession() as session:
        for number in range(CASES):
            for _ in range(REQUESTS):
                made, token = request(draw)
                headers = {
                    "host": made.host,
                    "x-case": str(number),
                    "x-request": str(len(outcomes)),
                    **made.headers,
                }
                if made.remote_ip != "127.0.0.1":
                    headers["x-forwarded-for"] = made.remote_ip
                if tokens[token]:
                    headers["authorization"] = f"Bearer {tokens[token]}"
                url = f"http://127.0.0.1:{plain}" if made.principal is None else f"https://127.0.0.1:{secure}"
                tls_context = clients.get(made.principal or "", True)
                async with session.request(made.method, url + made.path, headers=headers, ssl=tls_context) as response:
                    outcomes.append((number, made, response.status))
        async with session.get(f"http://127.0.0.1:{plain}/bare") as response:
            assert response.status == 403, "without what comes with the routes nothing passes"
    log = {line.split(" ", 2)[0]: line.split(" ", 2)[1:] for line in output.read_text().splitlines()}
    wrong, seen = [], set()
    for index, (number, made, status) in enumerate(outcomes):
        expected = decide(cases[number], _without_query(made))
        audited, details = log[str(index)]
        told = (200 if expected.allowed else 403, bool(expected.audited))
        seen.add(told)
        if (status, audited == "true") != told or (not expected.allowed and (expected.rule or "none") not in details):
            wrong.append((cases[number], made, expected, status, audited, details))
    assert wrong == []
    assert len(seen) == 4, "the sample shows every outcome"


def _without_query(made: Request) -> Request:
    return Request(**{name: getattr(made, name) for name in Request.__slots__} | {"path": made.path.split("?")[0]})
