"""Whom callers may call, and how: from Services, ServiceEntries and the rules for them to what their proxies hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.ir.services import DEFAULT_HTTP_PORT
from mesh.ir.traffic import ClusterKey, TcpHost, VirtualHost
from mesh.ir.views import Outbound
from mesh.resolve.connections import ConnectionResolver, timed
from mesh.resolve.hosts import domains, external_domains, service_key
from mesh.resolve.kinds import read_kinds, told_apart
from mesh.resolve.reach import Reach
from mesh.resolve.routes import RouteResolver
from mesh.resolve.upstreams import hashed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.ir.services import Service, ServiceKey
    from mesh.ir.splits import Split
    from mesh.resolve.clauses import Caller
    from mesh.resolve.externals import Externals
    from mesh.resolve.sidecars import Sidecars
    from mesh.resolve.upstreams import UpstreamResolver
    from mesh.resolve.virtualservices import VirtualServices

__all__ = ["Outbounds"]


class Outbounds:
    """Makes what is behind the outbound side of proxies.

    Args:
        services: All Services.
        externals: The ServiceEntries by host.
        sidecars: The Sidecars by namespace.
        routing: The VirtualServices by host.
        splits: The TrafficSplits that are applied, by host.
        upstreams: Makes the clusters of a host.
    """

    def __init__(
        self,
        services: Mapping[ServiceKey, Service],
        externals: Externals,
        sidecars: Sidecars,
        *,
        routing: VirtualServices,
        splits: Mapping[ServiceKey, Split],
        upstreams: UpstreamResolver,
    ) -> None:
        self._services = services
        self._externals = externals
        self._sidecars = sidecars
        self._routing = routing
        self._splits = splits
        self._upstreams = upstreams

    def of(self, caller: Caller, egress: tuple[str, ...] | None) -> Outbound:
        """Return whom callers may call, and how.

        Args:
            caller: They.
            egress: The hosts that they say they call; None for nothing said.
        """
        reach = self._reach(caller, egress)
        hosts = [*self._service_hosts(caller, reach), *self._external_hosts(caller, reach)]
        called = {c for v in hosts for r in v.routes for c in r.clusters}
        services = {(c.namespace, c.service) for c in called}
        services |= reach.known
        splits = [s for key, s in sorted(self._splits.items()) if key in services]
        services |= {key for s in splits for key in s.services}
        tcp_hosts = self._tcp_hosts(caller, reach.services, services)
        called = {d.cluster for host in tcp_hosts for route in host.routes for d in route.destinations}
        services |= {(c.namespace, c.service) for c in called}
        keys = sorted(services & reach.services.keys())
        upstreams = [u for key in keys for u in self._upstreams.of(caller, key, reach.externals.get(key))]
        return Outbound(
            hashed(hosts, upstreams),
            tuple(upstreams),
            tuple(splits),
            timed(tcp_hosts, upstreams),
            unknown=reach.scope.unknown,
        )

    def behind(
        self, caller: Caller, clusters: set[ClusterKey], hosts: list[VirtualHost]
    ) -> tuple[Outbound, tuple[VirtualHost, ...]]:
        """Return what is behind a gateway's hosts, and the hosts as they must be told of it.

        Args:
            caller: The gateway's pods.
            clusters: Where its routes lead.
            hosts: Its hosts.
        """
        services = {(c.namespace, c.service) for c in clusters}
        splits = [s for _, s in sorted(self._splits.items()) if services & {s.host, *s.services}]
        services |= {key for s in splits for key in s.services}
        reach = self._reach(caller, None)
        keys = sorted(services & reach.services.keys())
        upstreams = [u for key in keys for u in self._upstreams.of(caller, key, reach.externals.get(key))]
        return Outbound((), tuple(upstreams), tuple(splits)), hashed(hosts, upstreams)

    def reachable(self, caller: Caller) -> Mapping[ServiceKey, Service]:
        """Return all that callers could call: Services, and the hosts of ServiceEntries."""
        return self._reach(caller, None).services

    def _reach(self, caller: Caller, egress: tuple[str, ...] | None) -> Reach:
        externals = self._externals.visible(caller.namespace)
        services = {**self._services, **{key: external.service for key, external in externals.items()}}
        said = None if egress is None else frozenset(service_key(h, caller.namespace, services) for h in egress)
        return Reach(services, externals, said, self._sidecars.scope(caller), caller.namespace)

    def _service_hosts(self, caller: Caller, reach: Reach) -> list[VirtualHost]:
        routes = RouteResolver(reach.services, self._splits)
        found = []
        for key, service in sorted(reach.services.items()):
            if not reach.knows(key):
                continue
            ruling = self._routing.find(caller, key, service.fqdn)
            # Nobody compares the versions of another host, and each further route costs every caller 7 KiB.
            kinds = read_kinds(service.kinds)[0] if key in self._splits else None
            for port in service.ports:
                if port.protocol == "http":
                    cluster = ClusterKey(*key, port.port)
                    made = routes.ruled(ruling, caller, key, port.port) if ruling else ()
                    made = made or routes.plain(cluster)
                    made = made if kinds is None else told_apart(made, kinds)
                    found.append(VirtualHost(key, port.port, domains(service, port, caller.namespace), made))
        return found

    def _external_hosts(self, caller: Caller, reach: Reach) -> list[VirtualHost]:
        routes = RouteResolver(reach.services, self._splits)
        found = []
        for host in self._routing.externals(caller):
            ruling = self._routing.named(caller, host)
            if ruling and ("", host) not in reach.services and reach.knows(("", host)):
                made = routes.ruled(ruling, caller, ("", host), DEFAULT_HTTP_PORT)
                if made:
                    found.append(VirtualHost(("", host), DEFAULT_HTTP_PORT, external_domains(host), made))
        return found

    def _tcp_hosts(
        self, caller: Caller, known: Mapping[ServiceKey, Service], keys: Iterable[ServiceKey]
    ) -> tuple[TcpHost, ...]:
        """Return what is told apart by address: a name or a range, which a ServiceEntry may have, cannot be."""
        resolver = ConnectionResolver(RouteResolver(known, self._splits), caller)
        found = []
        for key in sorted(set(keys) & known.keys()):
            service = known[key]
            addresses = tuple(a for a in service.addresses if a.replace(".", "").isdecimal())
            ports = [p.port for p in service.ports if p.protocol == "tcp"]
            ruling = self._routing.find(caller, key, service.fqdn) if addresses and ports else None
            for port in ports if addresses else ():
                routes = resolver.ruled(ruling, port) if ruling else ()
                found.append(TcpHost(ClusterKey(*key, port), addresses, routes))
        return tuple(found)
