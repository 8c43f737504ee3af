"""TCP and TLS rules of VirtualServices: where connections go that are not HTTP in the clear.

TrafficSplits do not lie over them: a change of weights would end connections that are open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.ir.traffic import Destination, TcpRoute
from mesh.resolve.clauses import applies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mesh.api import virtualservice as vs
    from mesh.resolve.clauses import Caller
    from mesh.resolve.routes import RouteResolver
    from mesh.resolve.virtualservices import Ruling

__all__ = ["ConnectionResolver"]


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
