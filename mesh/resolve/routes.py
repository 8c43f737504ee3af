"""From a VirtualService's rules to routes, with TrafficSplits laid over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.ir.traffic import ClusterKey, Destination, Match, Mirror, Refusal, Route
from mesh.resolve import httpactions as actions
from mesh.resolve.clauses import applies
from mesh.resolve.hosts import service_key
from mesh.resolve.httpmatches import to_match
from mesh.resolve.splitroutes import laid_over
from mesh.resolve.splits import overlay, overlay_mirrors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.api import virtualservice as vs
    from mesh.ir.services import Service, ServiceKey
    from mesh.ir.splits import Split
    from mesh.resolve.clauses import Caller, Clause
    from mesh.resolve.virtualservices import Ruling

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
        written = [Destination(cluster, WHOLE)]
        route = Route("default", Match(), overlay(written, self.splits))
        return tuple(laid_over(route, written, self.splits))

    def ruled(self, ruling: Ruling, caller: Caller, host: ServiceKey, port: int) -> tuple[Route, ...]:
        """Return the routes that VirtualServices give a host's port.

        What no rule matches is answered with 404, as Istio does it, with a body that says so. Where no rule is for
        these callers and this port at all, the host is as if nobody spoke of it, as in Istio.
        """
        routes = [r for clause in ruling.clauses for r in self._rule(clause, caller, port)]
        if not any(_for_some(clause, caller, port) for clause in ruling.clauses):
            return self.plain(ClusterKey(*host, port)) if host[0] else ()
        if not any(r.match.everything for r in routes):
            what = (ruling.refs[0].kind or "VirtualService") + ("" if len(ruling.refs) == 1 else "s")
            refusal = Refusal(404, f"coalmine: no rule of {what} {ruling.name} matches this request\n")
            routes.append(Route("unmatched", Match(), refusal=refusal))
        return tuple(routes)

    def _rule(self, clause: Clause, caller: Caller, port: int) -> list[Route]:
        """Return one route for each match of a rule.

        A match with a part that is not implemented, or that Envoy would refuse, is left out: to ignore the part would
        catch requests that the rule was not written for.
        """
        http = clause.http
        wanted = [m for m in http.match if applies(m, caller, clause.namespace, port)]
        matches = [(m.name, found) for m in wanted if (found := to_match(m))] if http.match else [("", Match())]
        name = clause.name
        answer = actions.answer(http.direct_response) if http.direct_response else None
        redirect = actions.redirect(http.redirect, port) if http.redirect else None
        goes_on = not answer and not redirect
        written = self._written(clause, port) if goes_on else []
        splits = self._over(written)
        destinations = overlay(written, splits)
        refusal = _refusal(clause) if goes_on and (not destinations or _bad_rewrite(http)) else None
        authority = http.rewrite.authority if http.rewrite else ""
        routes = [
            Route(
                name=f"{name}.{label}" if label else name,
                match=match,
                destinations=() if refusal else destinations,
                timeout=http.timeout or None,
                retries=actions.retries(http.retries),
                refusal=refusal,
                rule=name if http.name or not clause.alone else "",
                redirect=redirect,
                answer=answer,
                rewrite=actions.rewrite(http.rewrite),
                changes=actions.changes(http.headers, authority),
                mirrors=self._mirrors(clause, port) if goes_on and not refusal else (),
                fault=actions.fault(http.fault),
                cors=actions.cors(http.cors_policy),
            )
            for label, match in matches
        ]
        return [laid for route in routes for laid in laid_over(route, written, splits)]

    def _written(self, clause: Clause, port: int) -> list[Destination]:
        alone = len(clause.http.route) == 1
        return [
            Destination(
                self.cluster(entry.destination, clause.namespace, port),
                WHOLE if alone else entry.weight,
                actions.changes(entry.headers),
            )
            for entry in clause.http.route
        ]

    def _over(self, destinations: list[Destination]) -> Mapping[ServiceKey, Split]:
        """Return the TrafficSplits that lie over destinations: none over ports whose clusters have their own."""
        own = {d.cluster.host for d in destinations if self._is_tcp(d.cluster)}
        return {k: s for k, s in self.splits.items() if k not in own} if own else self.splits

    def _is_tcp(self, cluster: ClusterKey) -> bool:
        service = self.services.get(cluster.host)
        port = service.port(cluster.port) if service else None
        return port is not None and port.protocol == "tcp"

    def _mirrors(self, clause: Clause, port: int) -> tuple[Mirror, ...]:
        http = clause.http
        found = [(m.destination, m.percentage.value if m.percentage else 100.0) for m in http.mirrors]
        if http.mirror:
            percent = http.mirror_percentage.value if http.mirror_percentage else http.mirror_percent
            found.append((http.mirror, 100.0 if percent is None else float(percent)))
        mirrors = [Mirror(self.cluster(d, clause.namespace, port), percent) for d, percent in found]
        return overlay_mirrors(mirrors, self.splits)

    def cluster(self, target: vs.RouteDestination, namespace: str, port: int) -> ClusterKey:
        """Return what a destination means.

        Args:
            target: As written.
            namespace: The namespace that short names are of.
            port: The port that was called, for a destination without one.
        """
        key = service_key(target.host, namespace, self.services)
        service = self.services.get(key)
        number = target.port.number if target.port else port
        if service and not target.port and service.port(port) is None and (only := service.port(None)):
            number = only.port
        return ClusterKey(*key, number, target.subset)


def _for_some(clause: Clause, caller: Caller, port: int) -> bool:
    return not clause.http.match or any(applies(m, caller, clause.namespace, port) for m in clause.http.match)


def _bad_rewrite(http: vs.HttpRoute) -> bool:
    """Say whether the path shall change and cannot: the application would get one that it was not meant to get."""
    return bool(http.rewrite and http.rewrite.uri_regex_rewrite and not actions.rewrite(http.rewrite))


def _refusal(clause: Clause) -> Refusal:
    http = clause.http
    if http.route and _bad_rewrite(http):
        what = "has a rewrite that Envoy refuses"
    else:
        what = "has no destination with a weight" if http.route else "says nothing that the mesh can do"
    where = f"VirtualService {clause.ref.namespace}/{clause.ref.name}: {clause.path}"
    return Refusal(501, f"coalmine: {where} {what}\n")
