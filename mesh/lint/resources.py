"""What the checks look at: a world, and the manifests that it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mesh.api.gatewayapi import CONTROLLER
from mesh.api.httproute import GATEWAY_API_GROUP
from mesh.api.istio import ISTIO_GROUP
from mesh.api.istiotelemetry import TELEMETRY_GROUP
from mesh.api.names import MESH_GROUP
from mesh.api.security import SECURITY_GROUP
from mesh.ir.gateways import Credential
from mesh.ir.tracing import TracingSettings
from mesh.resolve.authz import read_authorization_policy
from mesh.resolve.edges import read_gateway_class, read_standard_gateway
from mesh.resolve.endpoints import PodIndex, from_pods
from mesh.resolve.gateways import read_gateway
from mesh.resolve.grants import read_reference_grant
from mesh.resolve.grpcroutes import read_grpc_route
from mesh.resolve.hosts import service_key
from mesh.resolve.httproutes import read_http_route
from mesh.resolve.objects import read_pod, read_service
from mesh.resolve.problems import ref_of
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.api.destinationrule import DestinationRuleSpec
    from mesh.api.plaintext import PlaintextReport
    from mesh.ir.services import ServiceKey
    from mesh.resolve.problems import Ref
    from mesh.resolve.rules import Rule

__all__ = ["Destination", "Manifest", "Resources", "Workloads", "dicts", "read_resources"]

Manifest = dict[str, Any]
Workloads: Final = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds that make pods for as long as they are there."""
_GROUPS: Final = {
    **dict.fromkeys(("Service", "Pod", "Namespace"), ""),
    **dict.fromkeys(Workloads, "apps"),
    **dict.fromkeys(("VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Sidecar"), ISTIO_GROUP),
    **dict.fromkeys(("PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"), SECURITY_GROUP),
    **dict.fromkeys(("HTTPRoute", "GRPCRoute", "GatewayClass", "ReferenceGrant"), GATEWAY_API_GROUP),
    "Telemetry": TELEMETRY_GROUP,
    "TrafficSplit": MESH_GROUP,
}


STANDARD_GATEWAY: Final = f"Gateway.{GATEWAY_API_GROUP}"
"""The Gateway API's Gateway, among manifests by kind."""
_CLASS: Final = {"kind": "GatewayClass", "metadata": {"name": "coalmine"}, "spec": {"controllerName": CONTROLLER}}


class _Presumed(dict["ServiceKey", Credential]):
    """Secrets of which nothing is known: each of them is there, and right."""

    def get(self, _key: object, _default: object = None) -> Credential:
        return Credential(b"?", b"?", b"?")


@dataclass(frozen=True, slots=True)
class Destination:
    """A place in a VirtualService that names a host.

    Attributes:
        ref: The VirtualService.
        path: Of the destination, such as ``spec.http[0].route[1].destination``.
        host: As written.
        key: What it means.
        subset: As written; empty for none.
        port: As written.
    """

    ref: Ref
    path: str
    host: str
    key: ServiceKey
    subset: str
    port: int | None


@dataclass(frozen=True)
class Resources:
    """All that is known.

    Attributes:
        world: The mesh's resources, parsed.
        manifests: By kind, as they are written.
        complete: It is all of a cluster, so what is not there does not exist; otherwise it is some files.
        plaintext: What was seen of callers in plaintext; None where nobody could be asked.
    """

    world: World
    manifests: Mapping[str, tuple[Manifest, ...]]
    complete: bool
    plaintext: PlaintextReport | None = None

    def of(self, kind: str) -> tuple[Manifest, ...]:
        """Return the manifests of a kind."""
        return self.manifests.get(kind, ())

    def knows(self, *kinds: str, namespace: str | None = None) -> bool:
        """Say whether an object that is missing is missing: all is known, or others of its kind are there.

        Args:
            kinds: Kinds of the object.
            namespace: Others count only in this namespace.
        """
        found = (m["metadata"].get("namespace") for kind in kinds for m in self.of(kind))
        return self.complete or any(namespace is None or other == namespace for other in found)

    def labels_of(self, namespace: str) -> Mapping[str, str]:
        """Return a namespace's labels."""
        found = (m for m in self.of("Namespace") if m["metadata"]["name"] == namespace)
        return next((m["metadata"].get("labels") or {} for m in found), {})

    def key(self, host: str, namespace: str) -> ServiceKey:
        """Return what a host name means in a namespace."""
        return service_key(host, namespace, self.world.services)

    def virtual_services(self) -> Iterator[tuple[Ref, Mapping[str, Any]]]:
        """Yield reference and spec, as written, of the valid ones."""
        valid = {r.ref for r in self.world.virtual_services if r.spec is not None}
        for manifest in self.of("VirtualService"):
            if (ref := ref_of(manifest)) in valid:
                yield ref, manifest.get("spec") or {}

    def destinations(self) -> Iterator[Destination]:
        """Yield every place of valid VirtualServices that names a host to send to."""
        for ref, spec in self.virtual_services():
            for path, entry in _destinations(spec):
                port = (entry.get("port") or {}).get("number")
                host = str(entry["host"])
                key = self.key(host, ref.namespace)
                yield Destination(ref, path, host, key, entry.get("subset") or "", port)

    def destination_rules(self) -> Iterator[tuple[Rule[DestinationRuleSpec], DestinationRuleSpec, ServiceKey]]:
        """Yield the valid ones with what their host means."""
        for rule in self.world.destination_rules:
            if rule.spec is not None:
                yield rule, rule.spec, self.key(rule.spec.host, rule.ref.namespace)

    def subsets(self, key: ServiceKey) -> dict[str, Mapping[str, str]]:
        """Return labels by name of every subset that some DestinationRule gives the host."""
        return {s.name: s.labels for _, spec, of in self.destination_rules() if _is_for(of, key) for s in spec.subsets}


def read_resources(
    manifests: Iterable[Manifest],
    *,
    complete: bool,
    plaintext: PlaintextReport | None = None,
    credentials: Mapping[ServiceKey, Credential] | None = None,
) -> Resources:
    """Return resources from manifests.

    Args:
        manifests: Objects of any kind; each has ``kind`` and ``metadata.name``, and a namespace unless it needs none.
        complete: They are all that there is.
        plaintext: What was seen of callers in plaintext.
        credentials: The gateways' Secrets; None where they are not known, and taken to be right.
    """
    found: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        group = str(manifest.get("apiVersion", "")).rpartition("/")[0]
        if (group, manifest["kind"]) == (GATEWAY_API_GROUP, "Gateway"):
            found.setdefault(STANDARD_GATEWAY, []).append(manifest)
        # Others use our kinds' names too: Knative has a Service.
        elif _GROUPS.get(manifest["kind"], group) == group:
            found.setdefault(manifest["kind"], []).append(manifest)
    services = {s.key: s for s in map(read_service, found.get("Service", ()))}
    workloads = {w.key: w for w in map(read_pod, found.get("Pod", ()))}
    index = PodIndex(workloads.values())
    world = World(
        services=services,
        workloads=workloads,
        endpoints={key: from_pods(s, index) for key, s in services.items()},
        virtual_services=tuple(map(read_virtual_service, found.get("VirtualService", ()))),
        destination_rules=tuple(map(read_destination_rule, found.get("DestinationRule", ()))),
        traffic_splits=tuple(map(read_traffic_split, found.get("TrafficSplit", ()))),
        service_entries=tuple(map(read_service_entry, found.get("ServiceEntry", ()))),
        sidecar_resources=tuple(map(read_sidecar, found.get("Sidecar", ()))),
        peer_authentications=tuple(map(read_peer_authentication, found.get("PeerAuthentication", ()))),
        authorization_policies=tuple(map(read_authorization_policy, found.get("AuthorizationPolicy", ()))),
        request_authentications=tuple(map(read_request_authentication, found.get("RequestAuthentication", ()))),
        gateways=tuple(map(read_gateway, found.get("Gateway", ()))),
        http_routes=tuple(map(read_http_route, found.get("HTTPRoute", ()))),
        grpc_routes=tuple(map(read_grpc_route, found.get("GRPCRoute", ()))),
        standard_gateways=tuple(map(read_standard_gateway, found.get(STANDARD_GATEWAY, ()))),
        gateway_classes=tuple(map(read_gateway_class, found.get("GatewayClass") or (() if complete else (_CLASS,)))),
        reference_grants=tuple(map(read_reference_grant, found.get("ReferenceGrant", ()))),
        namespace_labels={n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in found.get("Namespace", ())},
        credentials=_Presumed() if credentials is None else credentials,
        telemetries=tuple(map(read_telemetry, found.get("Telemetry", ()))),
        tracing=TracingSettings(collector=None),
    )
    return Resources(world, {kind: tuple(items) for kind, items in found.items()}, complete, plaintext)


def dicts(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list; what is none is the models' business, not ours."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list | tuple) else []


def _destinations(spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and destination of each route and mirror: HTTP, TLS and TCP alike."""
    for protocol in ("http", "tls", "tcp"):
        for number, rule in enumerate(dicts(spec.get(protocol))):
            where = f"spec.{protocol}[{number}]"
            places = [(f"{where}.mirror", rule.get("mirror"))]
            for part in ("route", "mirrors"):
                entries = enumerate(dicts(rule.get(part)))
                places += [(f"{where}.{part}[{i}].destination", e.get("destination")) for i, e in entries]
            yield from ((path, place) for path, place in places if isinstance(place, dict) and place.get("host"))


def _is_for(rule: ServiceKey, host: ServiceKey) -> bool:
    """Say whether a rule's host, which may be a wildcard, means a host."""
    if rule == host:
        return True
    namespace, name = rule
    full = f"{host[1]}.{host[0]}.svc.cluster.local" if host[0] else host[1]
    return not namespace and name.startswith("*") and full.endswith(name[1:])
