"""Routes, mirror and affinity of a TrafficSplit as they are written, and what is wrong with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mesh.ir.matching import StringMatch
from mesh.ir.splits import Affinity, Copies, SplitRoute
from mesh.resolve.regexes import regex_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mesh.api import splitroutes as api
    from mesh.api.trafficsplit import TrafficSplitSpec
    from mesh.ir.matching import Named

__all__ = ["affinity", "cookie_value", "mirror", "named_services", "part_problems", "routes"]

_COOKIES: Final = "cookie"
_NO_MORE: Final = "[^;]*"


def routes(spec: TrafficSplitSpec) -> tuple[SplitRoute, ...]:
    """Return the routes."""
    return tuple(SplitRoute(r.name or str(i), _named(r.match), r.service) for i, r in enumerate(spec.routes))


def mirror(spec: TrafficSplitSpec) -> Copies | None:
    """Return what is copied."""
    found = spec.mirror
    return Copies(found.service, float(found.percent), _named(found.match)) if found else None


def affinity(spec: TrafficSplitSpec) -> Affinity | None:
    """Return how callers stay on their side."""
    found = spec.session_affinity
    return Affinity(found.cookie, found.max_age) if found else None


def named_services(spec: TrafficSplitSpec) -> Iterator[tuple[str, str]]:
    """Yield the path and the Service of each place besides the backends that names one."""
    for index, route in enumerate(spec.routes):
        yield f"spec.routes[{index}].service", route.service
    if spec.mirror:
        yield "spec.mirror.service", spec.mirror.service


def part_problems(spec: TrafficSplitSpec) -> Iterator[str]:
    """Yield what Envoy would refuse."""
    places = [(f"spec.routes[{index}].match", route.match) for index, route in enumerate(spec.routes)]
    places += [("spec.mirror.match", spec.mirror.match)] if spec.mirror else []
    for path, matches in places:
        for index, match in enumerate(matches):
            for part, values in (("headers", match.headers), ("cookies", match.cookies)):
                for name, value in values.items():
                    if value.regex is not None and (said := regex_problem(value.regex)):
                        yield f"{path}[{index}].{part}[{name}].regex: {said}"


def _named(matches: Iterable[api.RequestMatch]) -> tuple[Named, ...]:
    return tuple(
        (
            *((name.lower(), _text(value)) for name, value in sorted(match.headers.items())),
            *((_COOKIES, cookie_value(name, _text(value))) for name, value in sorted(match.cookies.items())),
        )
        for match in matches
    )


def _text(value: api.TextMatch) -> StringMatch | None:
    if value.exact is not None:
        return StringMatch("exact", value.exact)
    if value.prefix is not None:
        return StringMatch("prefix", value.prefix)
    return StringMatch("regex", value.regex) if value.regex is not None else None


def cookie_value(name: str, wanted: StringMatch | None) -> StringMatch:
    """Return what the Cookie header is where one of its cookies is so.

    Args:
        name: Of the cookie.
        wanted: What its value must be; None for any that is not empty.
    """
    if wanted is None:
        value = "[^;]+"
    elif wanted.kind == "regex":
        value = f'"?(?:{wanted.value})"?'
    else:
        value = f'"?{re.escape(wanted.value)}' + (_NO_MORE if wanted.kind == "prefix" else '"?')
    return StringMatch("regex", rf"(?:.*;\s*)?{re.escape(name)}={value}\s*(?:;.*)?")
