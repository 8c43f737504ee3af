"""Whatever DestinationRules, ServiceEntries and Sidecars say: no crash, and the authors hear of what is not used."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.ir.services import ContainerPort, Endpoint, Service, ServicePort, Workload
from mesh.resolve.rules import read_destination_rule, read_service_entry, read_sidecar
from mesh.resolve.world import World
from mesh.xds.snapshots import SnapshotBuilder

PORT = ServicePort("http", 80, 8080)
SERVICES = {("shop", n): Service("shop", n, (PORT,)) for n in ("payment", "cart")}
PODS = {80: (Endpoint("10.0.0.2", 8080, "a", labels=(("version", "v1"),)),)}
CALLER = Workload("shop", "caller", "10.0.0.1", labels=(("app", "caller"),), ports=(ContainerPort("http", 8080),))

texts = st.sampled_from(["", "a", "x-user", "v1", "/", "\x00", "é", "a\nb", "*", "."]) | st.text(max_size=5)
numbers = st.sampled_from([-1, 0, 1, 2, 50, 65537, 2**31, 2**64]) | st.integers()
times = st.sampled_from(["0s", "1ms", "1.5s", "9999999h", "0.0001ms", "soon"]) | numbers
odd = (
    st.none()
    | st.booleans()
    | numbers
    | texts
    | st.lists(texts, max_size=1)
    | st.dictionaries(texts, texts, max_size=1)
)


def some(**fields):
    """Objects with some of the fields; now and then one holds what it should not."""
    return st.fixed_dictionaries({}, optional={k: st.one_of(v, v, v, odd) for k, v in fields.items()})


labels = st.dictionaries(st.sampled_from(["version", "app"]), st.sampled_from(["v1", "caller", ""]), max_size=1)
pool = some(
    tcp=some(
        maxConnections=numbers,
        connectTimeout=times,
        tcpKeepalive=some(probes=numbers, time=times, interval=times),
        idleTimeout=times,
        maxConnectionDuration=times,
    ),
    http=some(
        http1MaxPendingRequests=numbers,
        http2MaxRequests=numbers,
        maxRetries=numbers,
        maxRequestsPerConnection=numbers,
        idleTimeout=times,
        h2UpgradePolicy=st.sampled_from(["UPGRADE", "DEFAULT"]),
        useClientProtocol=st.booleans(),
        maxConcurrentStreams=numbers,
    ),
)
hashing = some(
    httpHeaderName=texts,
    httpCookie=some(name=texts, path=texts, ttl=times),
    useSourceIp=st.booleans(),
    httpQueryParameterName=texts,
    ringHash=some(minimumRingSize=numbers),
    maglev=some(tableSize=numbers),
)
balancer = some(
    simple=st.sampled_from(["ROUND_ROBIN", "LEAST_CONN", "RANDOM", "PASSTHROUGH"]),
    consistentHash=hashing,
    warmup=some(duration=times, minimumPercent=numbers, aggression=st.floats()),
    warmupDurationSecs=times,
)
detection = some(
    consecutive5xxErrors=numbers,
    consecutiveGatewayErrors=numbers,
    splitExternalLocalOriginErrors=st.booleans(),
    consecutiveLocalOriginFailures=numbers,
    interval=times,
    baseEjectionTime=times,
    maxEjectionPercent=numbers,
    minHealthPercent=numbers,
)
tls = some(mode=st.sampled_from(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]), sni=texts, caCertificates=texts)
parts = {"connectionPool": pool, "loadBalancer": balancer, "outlierDetection": detection, "tls": tls}
policies = some(**parts, portLevelSettings=st.lists(some(port=some(number=st.just(80)), **parts), max_size=1))
hosts = st.sampled_from(["payment", "*", "*.shop.svc.cluster.local", "api.example.com", "*.example.com"]) | texts
destination_rules = some(
    host=hosts,
    trafficPolicy=policies,
    subsets=st.lists(some(name=texts, labels=labels, trafficPolicy=policies), max_size=2),
    exportTo=st.lists(texts, max_size=1),
    workloadSelector=some(matchLabels=labels),
)
entries = some(
    hosts=st.lists(hosts, min_size=1, max_size=2),
    addresses=st.lists(st.sampled_from(["10.0.0.9", "10.0.0.0/8"]) | texts, max_size=2),
    ports=st.lists(
        some(number=st.just(80), name=st.just("http"), protocol=st.just("HTTP"), targetPort=numbers), max_size=2
    ),
    resolution=st.sampled_from(["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"]),
    endpoints=st.lists(some(address=st.just("10.0.0.3"), labels=labels, weight=numbers), max_size=2),
)
sidecars = some(
    workloadSelector=some(labels=labels),
    egress=st.lists(some(hosts=st.lists(st.sampled_from(["./*", "*/*", "~/*"]) | texts, max_size=2)), max_size=1),
    outboundTrafficPolicy=some(mode=st.sampled_from(["ALLOW_ANY", "REGISTRY_ONLY"])),
)


def read(reader, kind, specs):
    metas = ({"name": f"{kind.lower()}-{i}", "namespace": "shop", "uid": str(i)} for i in range(len(specs)))
    return tuple(reader({"kind": kind, "metadata": m, "spec": s}) for m, s in zip(metas, specs, strict=True))


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(st.lists(destination_rules, max_size=3), st.lists(entries, max_size=2), st.lists(sidecars, max_size=1))
def test_nothing_crashes_and_half_always_serves(rules, hosts, scopes):
    made = World(
        SERVICES,
        {CALLER.key: CALLER},
        {("shop", "payment"): PODS},
        destination_rules=read(read_destination_rule, "DestinationRule", rules),
        service_entries=read(read_service_entry, "ServiceEntry", hosts),
        sidecar_resources=read(read_sidecar, "Sidecar", scopes),
    )
    told = {p.ref.name for p in made.problems}
    resources = (*made.destination_rules, *made.service_entries, *made.sidecar_resources)
    assert {r.ref.name for r in resources if r.spec is None} <= told
    view = made.view(CALLER)
    assert all(u.policy.outlier_detection.max_ejection_percent <= 50 for u in view.outbound.upstreams)
    builder = SnapshotBuilder()
    builder.begin()
    assert builder.build(view).resources
