"""What a TrafficSplit says besides weights, laid over a route.

A route becomes, in this order: one for each match of the split's own routes, one for each match of what is mirrored,
and itself. All keep what the route says of paths, timeouts, retries and headers.

Session affinity is a hash in the place of the random number by which Envoy chooses among weighted destinations. Those
have a fixed total and the canary comes first, so that the callers of a smaller canary are among those of a larger one. A
caller without the cookie is placed by the id of its request, which then is its cookie: Envoy hashes both alike. (Envoy's
own way to set a cookie gives all callers behind one connection the same.)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mesh.ir.policies import HashKey
from mesh.ir.traffic import Mirror
from mesh.resolve.splitparts import cookie_value
from mesh.resolve.splits import FULL, overlay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mesh.ir.matching import Match, Named
    from mesh.ir.services import ServiceKey
    from mesh.ir.splits import Split
    from mesh.ir.traffic import Destination, Route

__all__ = ["laid_over"]

_REQUEST_ID: Final = "x-request-id"
_COOKIES: Final = "cookie"


def laid_over(route: Route, written: Sequence[Destination], splits: Mapping[ServiceKey, Split]) -> Iterator[Route]:
    """Yield what takes a route's place.

    Args:
        route: The route, whose destinations are overlaid already.
        written: Its destinations as they were.
        splits: The TrafficSplits that lie over it.
    """
    if route.answered_by_proxy:
        yield route
        return
    hosts = dict.fromkeys(d.cluster.host for d in written if d.weight)
    over = [splits[host] for host in hosts if host in splits]
    for split in over:
        for rule in split.routes:
            whole = replace(split, weights=((rule.service, FULL),))
            to = overlay(written, {**splits, split.host: whole})
            for wanted in rule.matches:
                yield replace(
                    route, name=f"{route.name}.{rule.name}", match=_within(route.match, wanted), destinations=to
                )
    for part in _mirrored(route, written, over):
        yield from _sticky(part, written, splits, over)


def _mirrored(route: Route, written: Sequence[Destination], over: Sequence[Split]) -> Iterator[Route]:
    """Yield the routes whose requests are copied, and the rest.

    A rule that shares its requests between the host and others is not mirrored: those of the others would be copied too.
    """
    split = over[0] if len({d.cluster.host for d in written if d.weight}) == 1 and over else None
    if split is None or split.mirror is None:
        yield route
        return
    copies = split.mirror
    clusters = dict.fromkeys(replace(d.cluster, service=copies.service, subset="") for d in written if d.weight)
    mirrors = (*route.mirrors, *(Mirror(cluster, copies.percent / len(clusters), split.host) for cluster in clusters))
    for wanted in copies.matches:
        yield replace(route, match=_within(route.match, wanted), mirrors=mirrors)
    yield route if copies.matches else replace(route, mirrors=mirrors)


def _sticky(
    route: Route, written: Sequence[Destination], splits: Mapping[ServiceKey, Split], over: Sequence[Split]
) -> Iterator[Route]:
    """Yield a route for callers with the cookie of the first split that has one, and a route for those without."""
    affinity = next((split.affinity for split in over if split.affinity), None)
    if affinity is None or len(route.destinations) == 1:
        yield route
        return
    fixed = replace(route, destinations=overlay(written, splits, steady=True), sticky=True)
    there = cookie_value(affinity.cookie, None)
    known = (HashKey("cookie", affinity.cookie),)
    yield replace(fixed, match=_within(route.match, ((_COOKIES, there),)), hash_keys=known)
    given = f"{affinity.cookie}=%REQ({_REQUEST_ID})%; Path=/; Max-Age={affinity.max_age:.0f}; HttpOnly; SameSite=Lax"
    response = route.changes.response
    response = replace(response, add=(*response.add, ("set-cookie", given)))
    yield replace(fixed, hash_keys=(HashKey("header", _REQUEST_ID),), changes=replace(route.changes, response=response))


def _within(match: Match, wanted: Named) -> Match:
    return replace(match, headers=(*match.headers, *wanted))
