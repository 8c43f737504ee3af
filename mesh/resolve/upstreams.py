"""The clusters of a Service: each port, whole and by subset, and how each is treated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mesh.ir.policies import SAFE
from mesh.ir.traffic import ClusterKey, Upstream
from mesh.resolve.policies import policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.ir.services import Endpoint, Service, ServiceKey
    from mesh.ir.traffic import Route, Split, VirtualHost
    from mesh.resolve.clauses import Caller
    from mesh.resolve.treatments import Treatments

__all__ = ["UpstreamResolver", "hashed"]


@dataclass(frozen=True)
class UpstreamResolver:
    """Makes the clusters of a Service.

    Attributes:
        services: All Services.
        endpoints: By Service, by port.
        treatments: The DestinationRules.
        backends: The TrafficSplit that each backend belongs to.
    """

    services: Mapping[ServiceKey, Service]
    endpoints: Mapping[ServiceKey, Mapping[int, tuple[Endpoint, ...]]]
    treatments: Treatments
    backends: Mapping[ServiceKey, Split]

    def of(self, caller: Caller, key: ServiceKey) -> Iterator[Upstream]:
        """Yield the clusters of a Service for callers."""
        split = self.backends.get(key)
        default = split.outlier_detection if split else SAFE
        treatment = self.treatments.find(caller, key, key[0])
        # A canary is judged against its host, so it is treated like its host unless it has a rule of its own.
        general = treatment or (self.treatments.find(caller, split.host, split.host[0]) if split else None)
        whole = general.policy if general else None
        full = general.full_ejection if general else False
        for port in self.services[key].ports:
            endpoints = self.endpoints.get(key, {}).get(port.port, ())
            treated = policy(default, port.port, whole, full_ejection=full)
            yield Upstream(ClusterKey(*key, port.port), treated, endpoints)
            for subset in treatment.subsets if treatment else ():
                labels = set(subset.labels.items())
                chosen = tuple(e for e in endpoints if labels.issubset(e.labels))
                treated = policy(default, port.port, whole, subset.traffic_policy, full_ejection=full)
                yield Upstream(ClusterKey(*key, port.port, subset.name), treated, chosen)


def hashed(hosts: Iterable[VirtualHost], upstreams: Iterable[Upstream]) -> tuple[VirtualHost, ...]:
    """Return hosts whose routes know what their destinations choose an endpoint by.

    Args:
        hosts: Hosts with their routes.
        upstreams: Every destination.
    """
    keys = {u.key: u.policy.hash_key for u in upstreams if u.policy.hash_key}
    if not keys:
        return tuple(hosts)

    def keyed(route: Route) -> Route:
        found = dict.fromkeys(key for d in route.destinations if (key := keys.get(d.cluster)))
        return replace(route, hash_keys=tuple(found)) if found else route

    return tuple(replace(host, routes=tuple(map(keyed, host.routes))) for host in hosts)
