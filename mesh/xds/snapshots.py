"""From a proxy's view to everything it should hold."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mesh.xds import capture
from mesh.xds.clusters import inbound_cluster, inbound_name, upstream_cluster
from mesh.xds.discovery import endpoints, forward_cluster
from mesh.xds.gateways import gateway_marks, gateway_resources
from mesh.xds.jwt import JWT_CONFIG, jwt_config
from mesh.xds.listeners import OUTBOUND_LISTENER, inbound_listener, outbound_listener
from mesh.xds.resources import CDS, ECDS, EDS, LDS, RDS, SDS, Resource, Snapshot, SplitMark, pack
from mesh.xds.routes import (
    OUTBOUND_ROUTES,
    PASSTHROUGH,
    captured_routes,
    captured_routes_name,
    inbound_routes,
    outbound_routes,
)
from mesh.xds.tracing import COLLECTOR, collector_cluster, sampled, traced

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from google.protobuf.message import Message

    from mesh.ir.gateways import GatewayView
    from mesh.ir.tracing import Sampling, Spans, Tracer
    from mesh.ir.traffic import Upstream
    from mesh.ir.views import Outbound, ProxyView

__all__ = ["SnapshotBuilder"]

_Shared = dict[str, dict[str, Resource]]


class SnapshotBuilder:
    """Makes snapshots, and each resource only once: what is equal is the same object, serialised already.

    Call ``begin`` before the snapshots of a new state of the world; what the state before last used is forgotten.

    Args:
        request_logs: Access logs that see each request once.
        attempt_logs: Access logs that see each attempt at a backend.
        observe: Adds to each message what it is to tell; see ``mesh.xds.observation``.
    """

    def __init__(
        self,
        *,
        request_logs: Sequence[Any] = (),
        attempt_logs: Sequence[Any] = (),
        observe: Callable[[Message], Message] = lambda message: message,
    ) -> None:
        self._observe = observe
        self._requests = tuple(request_logs)
        self._attempts = tuple(attempt_logs)
        self._old: dict[Hashable, Any] = {}
        self._new: dict[Hashable, Any] = {}
        self._seen: dict[tuple[int, bool, Spans | None], tuple[Outbound, _Shared]] = {}

    def begin(self) -> None:
        """Start a new state of the world."""
        self._old, self._new, self._seen = self._new, {}, {}

    def build(self, view: ProxyView, secrets: tuple[Resource, ...] = ()) -> Snapshot:
        """Return what the proxy should hold; the same object as before when nothing of it has changed.

        Args:
            view: What it is told.
            secrets: Its certificate and the roots that it trusts.
        """
        shared = self._outbound(view.outbound, view.tracing.outbound, captured=view.captured)
        own = (view.address, view.inbound, view.authorization, view.tokens, view.tracing)
        key = ("view", own, id(shared), secrets)
        # The shared part is in the value as well, so that its id cannot be another object's meanwhile.
        kept: tuple[_Shared, Snapshot] = self._once(key, lambda: (shared, self._snapshot(view, shared, secrets)))
        return kept[1]

    def build_gateway(self, view: GatewayView, secrets: tuple[Resource, ...] = ()) -> Snapshot:
        """Return what a gateway's proxy should hold; the same object as before when nothing of it has changed.

        Args:
            view: What it is told.
            secrets: Its certificate inside the mesh and the roots that it trusts.
        """
        snapshot: Snapshot = self._once(("gateway", view, secrets), lambda: self._gateway(view, secrets))
        return snapshot

    def _gateway(self, view: GatewayView, secrets: tuple[Resource, ...]) -> Snapshot:
        shared = self._make_outbound(view.outbound, view.tracing.outbound)
        own = gateway_resources(view, self._make, self._requests, self._attempts)
        held = {secret.name: secret for secret in secrets} | own[SDS]
        clusters = shared[CDS] | self._collector(view.tracing.collector)
        resources = {CDS: clusters, EDS: shared[EDS], **own, SDS: held}
        return Snapshot(
            resources=MappingProxyType(resources),
            vital=frozenset(key.name for key in view.outbound.vital),
            splits=MappingProxyType(gateway_marks(view)),
        )

    def _collector(self, address: str) -> dict[str, Resource]:
        build = partial(collector_cluster, address)
        return {COLLECTOR: self._make(("cds", COLLECTOR, address), COLLECTOR, build)} if address else {}

    def _outbound(self, outbound: Outbound, spans: Spans | None, *, captured: bool) -> _Shared:
        """Return the part that pods with the same scope share; compared by value once for each state of the world."""
        seen = (id(outbound), captured, spans)
        known = self._seen.get(seen)
        if known is None:
            make = self._make_captured if captured else self._make_outbound
            made: _Shared = self._once(("outbound", captured, outbound, spans), partial(make, outbound, spans))
            known = self._seen[seen] = (outbound, made)
        return known[1]

    def _make_captured(self, outbound: Outbound, spans: Spans | None) -> _Shared:
        """Return the same for pods whose packets are redirected: a listener for each HTTP port and for each TCP host."""
        shared = self._make_outbound(outbound, spans)
        tracer, sampling = _parts(spans)
        clusters, listeners, routes = dict(shared[CDS]), {}, {}
        refuse = outbound.unknown == "REGISTRY_ONLY"
        for cluster in capture.fixed_clusters(refuse=refuse):
            clusters[cluster.name] = self._make(("cds", cluster.name, refuse), cluster.name, partial(_itself, cluster))
        listeners[OUTBOUND_LISTENER] = self._make(("lds", "captured"), OUTBOUND_LISTENER, capture.captured_outbound)
        for port in sorted({host.port for host in outbound.virtual_hosts}):
            name = capture.http_listener_name(port)
            listen = partial(capture.http_listener, port, self._requests, self._attempts)
            listeners[name] = self._make(("lds", name, tracer), name, traced(listen, tracer))
            hosts = tuple(host for host in outbound.virtual_hosts if host.port == port)
            name = captured_routes_name(port)
            lead = partial(captured_routes, hosts, port)
            routes[name] = self._make(("rds", name, hosts, sampling), name, sampled(lead, sampling))
        for host in outbound.tcp_hosts:
            for address in host.addresses:
                name = capture.tcp_listener_name(address, host.cluster.port)
                build = partial(capture.tcp_listener, host, address)
                listeners[name] = self._make(("lds", host, address), name, build)
        return {CDS: clusters, EDS: shared[EDS], LDS: listeners, RDS: routes}

    def _make_outbound(self, outbound: Outbound, spans: Spans | None) -> _Shared:
        ups = outbound.upstreams
        sampling = _parts(spans)[1]
        lead = sampled(partial(outbound_routes, outbound), sampling)
        hosts = ("rds", outbound.virtual_hosts, outbound.unknown, sampling)
        clusters = {
            u.key.name: self._make(("cds", *_cluster_key(u)), u.key.name, partial(upstream_cluster, u)) for u in ups
        }
        if outbound.unknown == "ALLOW_ANY":
            clusters[PASSTHROUGH] = self._make(("cds", "forward"), PASSTHROUGH, partial(forward_cluster, PASSTHROUGH))
        return {
            CDS: clusters,
            EDS: {
                u.key.name: self._make(("eds", u.key, u.endpoints, u.shares), u.key.name, partial(endpoints, u))
                for u in ups
                if u.discovery == "eds"
            },
            LDS: {},
            RDS: {OUTBOUND_ROUTES: self._make(hosts, OUTBOUND_ROUTES, lead)},
        }

    def _snapshot(self, view: ProxyView, shared: _Shared, secrets: tuple[Resource, ...]) -> Snapshot:
        parts = (view.address, view.inbound, view.authorization, view.tokens, view.captured, view.tracing)
        # After a change of weights every pod has this as it was: looking up each resource would take most of the time.
        own: _Shared = self._once(("own", *parts), lambda: self._own(view))
        key = ("told", id(shared))
        _, vital, splits = self._once(key, lambda: (shared, *_told(view.outbound, captured=view.captured)))
        resources = {
            CDS: {**shared[CDS], **own[CDS]},
            EDS: shared[EDS],
            SDS: {secret.name: secret for secret in secrets},
            LDS: {**shared[LDS], **own[LDS]},
            ECDS: own[ECDS],
            RDS: {**shared[RDS], **own[RDS]},
        }
        return Snapshot(resources=MappingProxyType(resources), vital=vital, splits=splits)

    def _own(self, view: ProxyView) -> _Shared:
        """Return the part that is a pod's alone."""
        address = view.address
        clusters, listeners, routes = self._collector(view.tracing.collector), {}, {}
        tracer, sampling = _parts(view.tracing.inbound)
        to_app = capture.captured_cluster if view.captured else inbound_cluster
        for port in view.inbound:
            name = inbound_name(port)
            clusters[name] = self._make(("cds", port, address, view.captured), name, partial(to_app, port, address))
            http, rules = port.target.protocol == "http", view.authorization
            if not view.captured:
                listen = traced(partial(inbound_listener, port, address, rules), tracer)
                listeners[name] = self._make(("lds", port, address, None if http else rules, tracer), name, listen)
            if http:
                lead = sampled(partial(inbound_routes, port, address, rules), sampling)
                routes[name] = self._make(("rds", port, address, rules, sampling), name, lead)
        if view.captured:
            listen = traced(partial(capture.captured_inbound, view.inbound, address, view.authorization), tracer)
            key = ("lds", view.inbound, address, view.authorization, tracer)
            listeners[capture.INBOUND_LISTENER] = self._make(key, capture.INBOUND_LISTENER, listen)
        else:
            spans = _parts(view.tracing.outbound)[0]
            listen = traced(partial(outbound_listener, address, self._requests, self._attempts), spans)
            listeners[OUTBOUND_LISTENER] = self._make(("lds", address, spans), OUTBOUND_LISTENER, listen)
        tokens = self._make(("ecds", view.tokens), JWT_CONFIG, partial(jwt_config, view.tokens))
        return {CDS: clusters, LDS: listeners, ECDS: {JWT_CONFIG: tokens}, RDS: routes}

    def _make(self, key: Hashable, name: str, build: Callable[[], Message]) -> Resource:
        resource: Resource = self._once(key, lambda: pack(name, self._observe(build())))
        return resource

    def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._new:
            self._new[key] = self._old[key] if key in self._old else make()
        return self._new[key]


def _cluster_key(upstream: Upstream) -> tuple[Hashable, ...]:
    """Return what a cluster is made of; endpoints are a part of it only where EDS does not bring them."""
    own = () if upstream.discovery == "eds" else upstream.endpoints
    split = bool(upstream.shares)
    return (upstream.key, upstream.policy, upstream.identities, upstream.discovery, own, split)


def _parts(spans: Spans | None) -> tuple[Tracer | None, Sampling | None]:
    """Return what of spans is a part of listeners, and what of routes."""
    return (spans.tracer, spans.sampling) if spans else (None, None)


def _itself(message: Message) -> Message:
    return message


def _told(outbound: Outbound, *, captured: bool) -> tuple[frozenset[str], Mapping[str, SplitMark]]:
    """Return the clusters that must be there before routes are, and the marks of splits."""
    marks = MappingProxyType(_marks(outbound, captured=captured))
    return frozenset(key.name for key in outbound.vital), marks


def _marks(outbound: Outbound, *, captured: bool) -> dict[str, SplitMark]:
    found = {}
    for split in outbound.splits:
        services = set(split.services)
        names = (u.key.name for u in outbound.upstreams if u.key.host in services)
        ports = {host.port for host in outbound.virtual_hosts if host.host == split.host}
        routes = {captured_routes_name(port) for port in ports} if captured else {OUTBOUND_ROUTES}
        found[split.uid] = SplitMark(split.generation, frozenset(names), frozenset(routes))
    return found
