"""The real Envoy takes what the mesh makes of policies and tokens with any text in them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format

from mesh.ir.services import Workload
from mesh.resolve.authz import AuthzIndex, read_authorization_policy
from mesh.resolve.tokens import JwtIndex, read_request_authentication
from mesh.xds.jwt import jwt_config
from mesh.xds.rbac import Place, authorization_filters, network_filters, route_authorization

if TYPE_CHECKING:
    from mesh.ir.authz import Authorization

pytestmark = pytest.mark.integration

POD = Workload("shop", "payment-1", "127.0.0.1")
PLACE = Place("127.0.0.1", 8080)
PIECES = [
    "*",
    "**",
    "{*}",
    "{**}",
    "/",
    "a",
    "é",
    "💥",
    "\\",
    ".",
    "(",
    "[",
    "]",
    "+",
    "?",
    "$",
    "\n",
    "\0",
    " ",
    "%",
    '"',
    "x" * 300,
]
LISTS = ("principals", "requestPrincipals", "namespaces", "hosts", "methods", "paths")
KEYS = (
    "request.headers[{}]",
    "request.auth.claims[{}]",
    "request.auth.principal",
    "source.principal",
    "connection.sni",
)


def text(draw: random.Random) -> str:
    return "".join(draw.choice(PIECES) for _ in range(draw.randint(0, 5)))


def spec(draw: random.Random) -> dict[str, Any]:
    source = {name: [text(draw)] for name in draw.sample(LISTS[:3], 1)}
    operation = {name: [text(draw), text(draw)] for name in draw.sample(LISTS[3:], 1)}
    key = draw.choice(KEYS).format(text(draw))
    rules = [
        {"from": [{"source": source}], "to": [{"operation": operation}]},
        {"when": [{"key": key, draw.choice(["values", "notValues"]): [text(draw)]}]},
        {"to": [{"operation": {"ports": [draw.choice(["8080", "1"])], **operation}}]},
    ]
    return {"action": draw.choice(["ALLOW", "DENY", "AUDIT", "CUSTOM"]), "rules": [draw.choice(rules)]}


def authorization(draw: random.Random) -> Authorization:
    found = [
        {
            "kind": "AuthorizationPolicy",
            "metadata": {"name": text(draw) or "p", "namespace": "shop"},
            "spec": spec(draw),
        }
        for _ in range(2)
    ]
    return AuthzIndex(map(read_authorization_policy, found), {}).of(POD)


def token_rule(draw: random.Random) -> dict[str, Any]:
    names = {"issuer": text(draw), "audiences": [text(draw)], "fromParams": [text(draw)], "fromCookies": [text(draw)]}
    headers = {"fromHeaders": [{"name": text(draw), "prefix": text(draw)}], "outputPayloadToHeader": text(draw)}
    claims = {"outputClaimToHeaders": [{"header": "x-a", "claim": text(draw)}], "spaceDelimitedClaims": [text(draw)]}
    chosen = dict(draw.sample(sorted((names | headers | claims).items()), 2))
    keys = [
        {
            "kty": draw.choice(["oct", "RSA", "EC", text(draw)]),
            "k": draw.choice(["c2VjcmV0", text(draw)]),
            "kid": text(draw),
        }
    ]
    return {"issuer": "https://a", "jwks": json.dumps({"keys": keys}), **chosen}


def as_dict(message: Any) -> Any:
    return json_format.MessageToDict(message)


async def test_envoy_takes_policies_and_tokens_with_any_text(free_port, run_envoy):
    draw = random.Random(7)
    cases = [authorization(draw) for _ in range(300)]
    assert sum(bool(rule) for case in cases for p in case.policies for rule in p.rules) > 100, "most can be read"
    kind = "RequestAuthentication"
    meta = {"name": "t", "namespace": "shop"}
    tokens = [{"kind": kind, "metadata": meta, "spec": {"jwtRules": [token_rule(draw)]}} for _ in range(200)]
    made = JwtIndex(map(read_request_authentication, tokens), {}, {}, {}).of(POD)
    assert len(made) > 30
    config = jwt_config(made)
    types = "type.googleapis.com/envoy.extensions.filters"
    routes = [
        {
            "match": {"path": f"/{number}"},
            "direct_response": {"status": 200},
            "typed_per_filter_config": {n: as_dict(v) for n, v in route_authorization(case, PLACE).items()},
        }
        for number, case in enumerate(cases)
    ]
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": config.name, "typed_config": as_dict(config.typed_config)},
            *(as_dict(f) for f in authorization_filters()),
            {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}},
        ],
    }
    proxy = {"@type": f"{types}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "nowhere"}
    chains = [{"filters": [{"name": "http", "typed_config": manager}]}]
    chains += [
        {
            "filter_chain_match": {"destination_port": number + 1},
            "filters": [*map(as_dict, network_filters(case, PLACE)), {"name": "tcp", "typed_config": proxy}],
        }
        for number, case in enumerate(cases)
    ]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": free_port()}}
    listener = {"name": "all", "address": address, "filter_chains": chains}
    cluster = {"name": "nowhere", "connect_timeout": "1s"}
    async with run_envoy({"static_resources": {"listeners": [listener], "clusters": [cluster]}}) as output:
        assert "eprecated" not in output.read_text()
