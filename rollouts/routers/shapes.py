"""Header routes, the mirror and session affinity, to and from a TrafficSplit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.api import splitroutes as mesh
from rollouts.api.matching import RequestMatch, ValueMatch
from rollouts.api.strategies import SessionAffinity
from rollouts.core.shape import Mirror, Route, Shape

if TYPE_CHECKING:
    from mesh.api.trafficsplit import TrafficSplitSpec

__all__ = ["read_shape", "written_shape"]


def written_shape(shape: Shape) -> dict[str, Any]:
    """Return the fields of a TrafficSplit's spec that say it."""
    mirror, affinity = shape.mirror, shape.affinity
    return {
        "routes": tuple(
            mesh.SplitRoute(name=route.name, match=tuple(_written(m) for m in route.match), service=route.service)
            for route in shape.routes
        ),
        "mirror": mesh.Mirror(
            service=mirror.service, percent=mirror.percent, match=tuple(_written(m) for m in mirror.match)
        )
        if mirror
        else None,
        "session_affinity": mesh.SessionAffinity(cookie=affinity.cookie, max_age=affinity.max_age)
        if affinity
        else None,
    }


def read_shape(spec: TrafficSplitSpec) -> Shape:
    """Return what a TrafficSplit's spec says besides the weights.

    A match that we never write (several headers at once) is read as none: the split then differs from what is wanted,
    and is written anew.
    """
    mirror, affinity = spec.mirror, spec.session_affinity
    return Shape(
        tuple(Route(route.name, _read_all(route.match), route.service) for route in spec.routes),
        Mirror(mirror.percent, _read_all(mirror.match), mirror.service) if mirror else None,
        SessionAffinity(cookie=affinity.cookie, max_age=affinity.max_age) if affinity else None,
    )


def _written(match: RequestMatch) -> mesh.RequestMatch:
    if match.header_name is not None and match.header_value is not None:
        return mesh.RequestMatch(headers={match.header_name: _text(match.header_value)})
    if match.cookie_name is None or match.cookie_value is None:
        raise ValueError(f"{match!r} matches neither a header nor a cookie")
    return mesh.RequestMatch(cookies={match.cookie_name: _text(match.cookie_value)})


def _text(value: ValueMatch) -> mesh.TextMatch:
    return mesh.TextMatch(exact=value.exact, prefix=value.prefix, regex=value.regex)


def _read_all(matches: tuple[mesh.RequestMatch, ...]) -> tuple[RequestMatch, ...]:
    found = tuple(_read(match) for match in matches)
    return tuple(match for match in found if match is not None)


def _read(match: mesh.RequestMatch) -> RequestMatch | None:
    said = [(name, value, True) for name, value in match.headers.items()]
    said += [(name, value, False) for name, value in match.cookies.items()]
    if len(said) != 1:
        return None
    ((name, value, header),) = said
    if value.exact is None and value.prefix is None and value.regex is None:
        return None
    wanted = ValueMatch(exact=value.exact, prefix=value.prefix, regex=value.regex)
    if header:
        return RequestMatch(header_name=name, header_value=wanted)
    return RequestMatch(cookie_name=name, cookie_value=wanted)
