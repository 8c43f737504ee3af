"""From a VirtualService's rules to routes, with TrafficSplits laid over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.api.istio import unimplemented
from mesh.ir.traffic import ClusterKey, Destination, Match, Refusal, Retries, Route, StringMatch
from mesh.resolve.hosts import service_key
from mesh.resolve.splits import overlay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.api import virtualservice as vs
    from mesh.ir.services import Service, ServiceKey
    from mesh.ir.traffic import Split
    from mesh.resolve.rules import Rule

__all__ = ["RouteResolver"]

WHOLE = 100


@dataclass(frozen=True)
class RouteResolver:
    """Makes the routes of a host.

    Attributes:
        services: All Services.
        splits: The applied TrafficSplits by host.
    """

    services: Mapping[ServiceKey, Service]
    splits: Mapping[ServiceKey, Split]

    def plain(self, cluster: ClusterKey) -> tuple[Route, ...]:
        """Return the routes of a host that no VirtualService speaks of."""
        return (Route("default", Match(), overlay([Destination(cluster, WHOLE)], self.splits)),)

    def ruled(self, rule: Rule[vs.VirtualServiceSpec], host: ServiceKey, port: int) -> tuple[Route, ...]:
        """Return the routes that a VirtualService gives a host's port.

        What no rule matches is answered with 404, as Istio does it, with a body that says so.
        """
        if rule.spec is None or not rule.spec.http:
            return self.plain(ClusterKey(*host, port))
        routes = [r for i, http in enumerate(rule.spec.http) for r in self._rule(rule, i, http, port)]
        name = f"{rule.ref.namespace}/{rule.ref.name}"
        if not any(r.match == Match() for r in routes):
            refusal = Refusal(404, f"coalmine: no rule of VirtualService {name} matches this request\n")
            routes.append(Route("unmatched", Match(), refusal=refusal))
        return tuple(routes)

    def _rule(self, rule: Rule[vs.VirtualServiceSpec], index: int, http: vs.HttpRoute, port: int) -> list[Route]:
        """Return one route for each match of a rule.

        A match with a part that is not implemented is left out: to ignore the part would catch requests that the
        rule was not written for.
        """
        name = http.name or f"{rule.ref.name}.{index}"
        alone = rule.spec is None or len(rule.spec.http) == 1
        matches = [_match(m) for m in http.match if not unimplemented(m)] if http.match else [Match()]
        destinations = overlay([self._destination(rule, http, d, port) for d in http.route], self.splits)
        refusal = None
        if not destinations:
            what = (
                "has no destination with a weight" if http.route else "has no route, and what it has is not implemented"
            )
            where = f"VirtualService {rule.ref.namespace}/{rule.ref.name}: spec.http[{index}]"
            refusal = Refusal(501, f"coalmine: {where} {what}\n")
        return [
            Route(
                name=name,
                match=match,
                destinations=destinations,
                timeout=http.timeout,
                retries=_retries(http.retries),
                refusal=refusal,
                rule=name if http.name or not alone else "",
            )
            for match in matches
        ]

    def _destination(
        self, rule: Rule[vs.VirtualServiceSpec], http: vs.HttpRoute, entry: vs.HttpRouteDestination, port: int
    ) -> Destination:
        target = entry.destination
        key = service_key(target.host, rule.ref.namespace, self.services)
        service = self.services.get(key)
        number = target.port.number if target.port else port
        if service and not target.port and service.port(port) is None and (only := service.port(None)):
            number = only.port
        weight = entry.weight if len(http.route) > 1 else WHOLE
        return Destination(ClusterKey(*key, number, target.subset), weight)


def _match(match: vs.HttpMatch) -> Match:
    return Match(
        uri=_string(match.uri) or Match().uri,
        headers=tuple(sorted((name.lower(), _string(value)) for name, value in match.headers.items())),
        method=_string(match.method),
    )


def _string(match: vs.StringMatch | None) -> StringMatch | None:
    if match is None:
        return None
    if match.exact is not None:
        return StringMatch("exact", match.exact)
    if match.prefix is not None:
        return StringMatch("prefix", match.prefix)
    return StringMatch("regex", match.regex) if match.regex is not None else None


def _retries(retry: vs.HttpRetry | None) -> Retries:
    if retry is None:
        return Retries()
    conditions = tuple(c.strip() for c in retry.retry_on.split(",") if c.strip())
    return Retries(retry.attempts, retry.per_try_timeout, conditions or Retries().retry_on)
