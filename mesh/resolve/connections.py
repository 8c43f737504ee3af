"""TCP and TLS rules of VirtualServices: where connections go that are not HTTP in the clear.

A TrafficSplit lies over the clusters that they lead to (``mesh.resolve.upstreams``), not over the rules: another listener
would end connections that are open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mesh.ir.traffic import Destination, TcpRoute
from mesh.resolve.clauses import applies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mesh.api import virtualservice as vs
    from mesh.ir.traffic import TcpHost, Upstream
    from mesh.resolve.clauses import Caller
    from mesh.resolve.routes import RouteResolver
    from mesh.resolve.virtualservices import Ruling

__all__ = ["ConnectionResolver", "idle_timeouts", "timed"]

_ENVOYS_HOUR: Final = 3600.0


@dataclass(frozen=True)
class ConnectionResolver:
    """Makes the routes of connections.

    Attributes:
        routes: Knows what destinations mean.
        caller: Whose connections.
    """

    routes: RouteResolver
    caller: Caller

    def ruled(self, ruling: Ruling, port: int) -> tuple[TcpRoute, ...]:
        """Return what VirtualServices say about connections to a host's port; TLS rules go first, as in Istio.

        What no rule matches goes to the host itself.
        """
        return (*self._tls(ruling, port), *self._tcp(ruling, port))

    def _tls(self, ruling: Ruling, port: int) -> Iterator[TcpRoute]:
        for ref, rule in ruling.tls:
            destinations = self._destinations(rule.route, ref.namespace, port)
            for match in rule.match:
                if destinations and applies(match, self.caller, ref.namespace, port):
                    names = tuple(dict.fromkeys(name.lower() for name in match.sni_hosts))
                    yield TcpRoute(destinations, match.destination_subnets, names)

    def _tcp(self, ruling: Ruling, port: int) -> Iterator[TcpRoute]:
        for ref, rule in ruling.tcp:
            destinations = self._destinations(rule.route, ref.namespace, port)
            if destinations and not rule.match:
                yield TcpRoute(destinations)
            for match in rule.match:
                if destinations and applies(match, self.caller, ref.namespace, port):
                    yield TcpRoute(destinations, match.destination_subnets)

    def _destinations(
        self, entries: Sequence[vs.WeightedDestination], namespace: str, port: int
    ) -> tuple[Destination, ...]:
        alone = len(entries) == 1
        found = [(self.routes.cluster(e.destination, namespace, port), 1 if alone else e.weight) for e in entries]
        divisor = math.gcd(*(weight for _, weight in found)) or 1
        return tuple(Destination(cluster, weight // divisor) for cluster, weight in found if weight)


def idle_timeouts(upstreams: Iterable[Upstream]) -> Callable[[Iterable[Destination]], float | None]:
    """Return what tells when idle connections to destinations end: seconds, 0 for never, None for Envoy's hour.

    A listener ends connections without knowing where they went, so of several destinations the longest time counts.

    Args:
        upstreams: Every destination.
    """
    known = {u.key: u.policy.tcp_idle_timeout for u in upstreams if u.policy.tcp_idle_timeout is not None}

    def longest(destinations: Iterable[Destination]) -> float | None:
        found = [known.get(d.cluster) for d in destinations]
        if all(seconds is None for seconds in found):
            return None
        return 0 if 0 in found else max(_ENVOYS_HOUR if s is None else s for s in found)

    return longest


def timed(hosts: Iterable[TcpHost], upstreams: Iterable[Upstream]) -> tuple[TcpHost, ...]:
    """Return hosts whose connections end as their destinations' DestinationRules say.

    Args:
        hosts: Hosts with their routes.
        upstreams: Every destination.
    """
    ends = idle_timeouts(upstreams)
    return tuple(
        replace(
            host,
            idle_timeout=ends([Destination(host.cluster, 1)]),
            routes=tuple(replace(r, idle_timeout=ends(r.destinations)) for r in host.routes),
        )
        for host in hosts
    )
