"""Envoy resources as they travel: serialised once, named, and versioned by their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, symbol_database

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

__all__ = ["CDS", "ECDS", "EDS", "LDS", "RDS", "SDS", "TYPES", "Resource", "Snapshot", "SplitMark", "pack"]

_PREFIX = "type.googleapis.com/"
CDS: Final = f"{_PREFIX}envoy.config.cluster.v3.Cluster"
ECDS: Final = f"{_PREFIX}envoy.config.core.v3.TypedExtensionConfig"
EDS: Final = f"{_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS: Final = f"{_PREFIX}envoy.config.listener.v3.Listener"
RDS: Final = f"{_PREFIX}envoy.config.route.v3.RouteConfiguration"
SDS: Final = f"{_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret"
TYPES: Final = (CDS, EDS, SDS, LDS, ECDS, RDS)
"""In the order in which additions are sent."""


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One resource. Compared by identity: the same content is made once.

    Attributes:
        name: The resource's name.
        version: Hash of its content.
        wire: A serialised ``envoy.service.discovery.v3.Resource``.
    """

    name: str
    version: str
    wire: bytes

    @property
    def message(self) -> Message:
        """What is inside, read anew: kept, it would take more memory than the bytes."""
        body = discovery_pb2.Resource.FromString(self.wire).resource
        found: Message = symbol_database.Default().GetSymbol(body.TypeName()).FromString(body.value)
        return found


@dataclass(frozen=True, slots=True)
class SplitMark:
    """That a snapshot carries a TrafficSplit.

    Attributes:
        generation: The generation that it carries.
        clusters: Names of the clusters of all its backends.
        routes: Names of the route configurations that have its host.
    """

    generation: int
    clusters: frozenset[str]
    routes: frozenset[str] = frozenset({"outbound"})


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that one proxy should hold.

    Attributes:
        resources: By type and name.
        vital: Names of clusters that must be held before routes that name them are sent.
        splits: The TrafficSplits, by uid, that the resources carry.
    """

    resources: Mapping[str, Mapping[str, Resource]]
    vital: frozenset[str] = frozenset()
    splits: Mapping[str, SplitMark] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, type_url: str) -> Mapping[str, Resource]:
        """Return the resources of a type by name."""
        return self.resources.get(type_url, {})


def pack(name: str, message: Message) -> Resource:
    """Return a message as a resource."""
    # Maps (metadata) have no order of their own; without this the version could change between two runs.
    value = message.SerializeToString(deterministic=True)
    version = hashlib.blake2b(value, digest_size=8).hexdigest()
    body = any_pb2.Any(type_url=_PREFIX + message.DESCRIPTOR.full_name, value=value)
    wire = discovery_pb2.Resource(name=name, version=version, resource=body).SerializeToString()
    return Resource(name, version, wire)
