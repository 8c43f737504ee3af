"""The clusters of a Service: each port, whole and by subset, and how each is treated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mesh.ir.policies import SAFE
from mesh.ir.traffic import ClusterKey, Share, Upstream
from mesh.resolve.policies import policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.ir.services import Endpoint, Service, ServiceKey
    from mesh.ir.splits import Split
    from mesh.ir.traffic import Route, VirtualHost
    from mesh.resolve.clauses import Caller
    from mesh.resolve.externals import External
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

    def of(self, caller: Caller, key: ServiceKey, external: External | None = None) -> Iterator[Upstream]:
        """Yield the clusters of a Service for callers.

        Args:
            caller: Who calls.
            key: The Service.
            external: What is known of it where it is the host of a ServiceEntry.
        """
        split = self.backends.get(key)
        default = split.outlier_detection if split else SAFE
        treatment = self.treatments.find(caller, key, external.home if external else key[0])
        # A canary is judged against its host, so it is treated like its host unless it has a rule of its own.
        general = treatment or (self.treatments.find(caller, split.host, split.host[0]) if split else None)
        whole = general.policy if general else None
        full = general.full_ejection if general else False
        ports = (external.service if external else self.services[key]).ports
        known = external.endpoints if external else self.endpoints.get(key, {})
        for port in ports:
            endpoints = known.get(port.port, ())
            treated = policy(default, port.port, whole, full_ejection=full)
            over = split if split and split.host == key and port.protocol == "tcp" else None
            yield _reached(self._shared(Upstream(ClusterKey(*key, port.port), treated, endpoints), over), external)
            for subset in treatment.subsets if treatment else ():
                labels = set(subset.labels.items())
                chosen = tuple(e for e in endpoints if labels.issubset(e.labels))
                treated = policy(default, port.port, whole, subset.traffic_policy, full_ejection=full)
                part = Upstream(ClusterKey(*key, port.port, subset.name), treated, chosen)
                yield _reached(self._shared(part, over), external)

    def _shared(self, upstream: Upstream, split: Split | None) -> Upstream:
        """Return a cluster of connections with the backends that share them.

        The host's own backend has the cluster's endpoints, those of its subset; others have all of their own.
        """
        if split is None:
            return upstream
        key, seen, shares = upstream.key, set[tuple[str, int]](), []
        for backend, weight in split.weights:
            own = backend == key.service
            found = upstream.endpoints if own else self.endpoints.get((key.namespace, backend), {}).get(key.port, ())
            # Envoy wants an address in one place only.
            once = tuple(e for e in found if (e.address, e.port) not in seen)
            seen.update((e.address, e.port) for e in once)
            shares.append(Share(backend, weight, once))
        return replace(upstream, endpoints=tuple(e for s in shares for e in s.endpoints), shares=tuple(shares))


def _reached(upstream: Upstream, external: External | None) -> Upstream:
    """Return a cluster with what a ServiceEntry says of its host."""
    if external is None:
        return upstream
    treated = upstream.policy
    if external.names and treated.tls and treated.tls.mode in {"SIMPLE", "MUTUAL"} and not treated.tls.names:
        treated = replace(treated, tls=replace(treated.tls, names=external.names))
    # Without an endpoint (a subset of none) there is nothing to look up, and Envoy wants exactly one to do so.
    discovery = external.discovery if upstream.endpoints or external.discovery == "request" else "eds"
    return replace(upstream, policy=treated, discovery=discovery)


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
        if route.sticky:
            return route  # Envoy has one hash for a request, and the caller's side must depend on nothing else
        found = dict.fromkeys(key for d in route.destinations if (key := keys.get(d.cluster)))
        return replace(route, hash_keys=tuple(found)) if found else route

    return tuple(replace(host, routes=tuple(map(keyed, host.routes))) for host in hosts)
