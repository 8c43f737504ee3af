"""What a proxy is told, from resources to Envoy's configuration: reviewers read the difference.

``COALMINE_REGENERATE=1`` writes the expected files anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from google.protobuf import json_format

from mesh.ir.gateways import Credential
from mesh.ir.tracing import TracingSettings
from mesh.resolve.authz import read_authorization_policy
from mesh.resolve.endpoints import PodIndex, from_pods
from mesh.resolve.gateways import read_gateway
from mesh.resolve.objects import read_pod, read_service
from mesh.resolve.rules import (
    read_destination_rule,
    read_peer_authentication,
    read_service_entry,
    read_sidecar,
    read_traffic_split,
    read_virtual_service,
)
from mesh.resolve.tokens import read_request_authentication
from mesh.resolve.tracing import read_telemetry
from mesh.resolve.world import World
from mesh.xds.snapshots import SnapshotBuilder

if TYPE_CHECKING:
    from mesh.xds.resources import Snapshot

GOLDEN = Path(__file__).parents[3] / "golden" / "mesh"
CREDENTIALS = {
    ("ingress", "shop"): Credential(b"chain of shop", b"key of shop"),
    ("ingress", "api"): Credential(b"chain of api", b"key of api", b"roots of api"),
}
TRACING = TracingSettings("otel-collector.observability:4317")
"""In the cases that have Telemetry."""
CASES = sorted(p.name.removesuffix(".in.yaml") for p in GOLDEN.glob("*.in.yaml"))


def read(text: str) -> World:
    found: dict[str, list] = {}
    for manifest in yaml.safe_load_all(text):
        found.setdefault(manifest["kind"], []).append(manifest)
    services = {s.key: s for s in map(read_service, found.get("Service", []))}
    workloads = {w.key: w for w in map(read_pod, found.get("Pod", []))}
    index = PodIndex(workloads.values())
    return World(
        services=services,
        workloads=workloads,
        endpoints={key: from_pods(s, index) for key, s in services.items()},
        virtual_services=tuple(map(read_virtual_service, found.get("VirtualService", []))),
        destination_rules=tuple(map(read_destination_rule, found.get("DestinationRule", []))),
        traffic_splits=tuple(map(read_traffic_split, found.get("TrafficSplit", []))),
        service_entries=tuple(map(read_service_entry, found.get("ServiceEntry", []))),
        sidecar_resources=tuple(map(read_sidecar, found.get("Sidecar", []))),
        peer_authentications=tuple(map(read_peer_authentication, found.get("PeerAuthentication", []))),
        authorization_policies=tuple(map(read_authorization_policy, found.get("AuthorizationPolicy", []))),
        request_authentications=tuple(map(read_request_authentication, found.get("RequestAuthentication", []))),
        gateways=tuple(map(read_gateway, found.get("Gateway", []))),
        credentials=CREDENTIALS,
        token_errors={"https://other.example.com/keys": "no answer"},
        telemetries=tuple(map(read_telemetry, found.get("Telemetry", []))),
        tracing=TRACING if "Telemetry" in found else TracingSettings(),
    )


def built(builder: SnapshotBuilder, world: World) -> Snapshot:
    """Return what the proxy of pod shop/caller should hold, or of the gateway where there is one."""
    if world.ingress.pods:
        return builder.build_gateway(world.ingress.view(world.ingress.pods[0]))
    return builder.build(world.view(world.workloads["shop", "caller"]))


def told(world: World) -> str:
    """Return what the proxy is told, and what authors are."""
    builder = SnapshotBuilder()
    builder.begin()
    snapshot = built(builder, world)
    out = {
        type_url.rpartition(".")[2]: [json_format.MessageToDict(r.message) for r in resources.values()]
        for type_url, resources in snapshot.resources.items()
    }
    out["vital"] = sorted(snapshot.vital)
    out["problems"] = [f"{p.ref.kind} {p.ref.name}: {p.message}" for p in world.problems]
    # Through JSON, since a message inside a message comes as an OrderedDict.
    return yaml.safe_dump(json.loads(json.dumps(out)), sort_keys=True, width=120)


@pytest.mark.parametrize("case", CASES)
def test_resources_become_this_configuration(case):
    made = told(read((GOLDEN / f"{case}.in.yaml").read_text()))
    expected = GOLDEN / f"{case}.out.yaml"
    if os.environ.get("COALMINE_REGENERATE"):
        expected.write_text(made)
    assert made == expected.read_text(), f"{expected.name} differs; COALMINE_REGENERATE=1 writes it anew"


@pytest.mark.parametrize("case", CASES)
def test_the_same_resources_give_the_same_versions(case):
    text = (GOLDEN / f"{case}.in.yaml").read_text()
    versions = []
    for _ in range(2):
        snapshot = built(SnapshotBuilder(), read(text))
        versions.append({(t, n): r.version for t, found in snapshot.resources.items() for n, r in found.items()})
    assert versions[0] == versions[1]


def test_what_is_unchanged_is_the_same_object():
    text = (GOLDEN / "split.in.yaml").read_text()
    builder = SnapshotBuilder()
    snapshots = []
    for _ in range(2):
        builder.begin()
        world = read(text)
        snapshots.append(builder.build(world.view(world.workloads["shop", "caller"])))
    assert snapshots[0] is snapshots[1]


def test_there_are_cases():
    assert CASES


def test_a_split_is_held_when_all_that_it_names_is():
    world = read((GOLDEN / "splitroutes.in.yaml").read_text())
    builder = SnapshotBuilder()
    builder.begin()
    mark = built(builder, world).splits["u2"]
    names = {f"outbound|80||{name}.shop.svc.cluster.local" for name in ("catalog", "catalog-canary")}
    assert (mark.generation, mark.clusters, mark.routes) == (1, names, {"outbound"})
