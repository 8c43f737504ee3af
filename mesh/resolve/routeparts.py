"""What matches and filters of the Gateway API are in a VirtualService."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mesh.resolve.regexes import regex_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mesh.api.httproute import HeaderModifier, HttpRouteSpec, PathModifier, RequestRedirect, RouteMatch, ValueMatch
    from mesh.resolve.rules import Rule

__all__ = ["Made", "UnsupportedError", "check", "headers", "match", "paths", "precedence", "redirect", "rewrite"]

Made = dict[str, Any]
_CODES: Final = {301, 302, 303, 307, 308}


class UnsupportedError(Exception):
    """The route asks for what there is not."""


def check(path: str, wanted: RouteMatch, compared: str = "path.value") -> None:
    """Refuse expressions that Envoy would refuse.

    Args:
        path: Of the match.
        wanted: The match.
        compared: What of the match is compared with a request's path.

    Raises:
        UnsupportedError: There is one.
    """
    found = [(f"{path}.{compared}", wanted.path.value)] if wanted.path.type == "RegularExpression" else []
    for name, values in (("headers", wanted.headers), ("queryParams", wanted.query_params)):
        found += [(f"{path}.{name}[{i}].value", v.value) for i, v in enumerate(values) if v.type != "Exact"]
    for where, pattern in found:
        if said := regex_problem(pattern):
            raise UnsupportedError(f"{where}: {said}")


def precedence(match: RouteMatch, route: Rule[HttpRouteSpec], place: tuple[int, int]) -> tuple[Any, ...]:
    """Return what rules are sorted by, the more specific match first.

    Args:
        match: The match.
        route: Its route.
        place: Of its rule and of the match itself.
    """
    path = match.path
    rank = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}[path.type]
    more = (not match.method, -len(match.headers), -len(match.query_params))
    return (rank, -len(path.value), *more, route.created, route.ref.namespace, route.ref.name, *place)


def paths(match: RouteMatch) -> Iterator[tuple[Made, str | None]]:
    """Yield how a path is compared, with what comes behind a prefix that is replaced; None where there is no prefix."""
    path = match.path
    if path.type == "Exact":
        yield {"exact": path.value}, None
    elif path.type == "RegularExpression":
        yield {"regex": path.value}, None
    elif path.value == "/":
        yield {"prefix": "/"}, "/"
    else:
        prefix = path.value.rstrip("/")
        yield {"exact": prefix}, ""
        yield {"prefix": f"{prefix}/"}, "/"


def match(wanted: RouteMatch, uri: Made, port: int | None) -> Made:
    """Return a match; its path is one of ``paths``."""
    found: Made = {} if uri == {"prefix": "/"} else {"uri": uri}
    if wanted.headers:
        found["headers"] = _values(wanted.headers)
    if wanted.query_params:
        found["queryParams"] = _values(wanted.query_params)
    if wanted.method:
        found["method"] = {"exact": wanted.method}
    if port:
        found["port"] = port
    return found


def _values(values: Iterable[ValueMatch]) -> Made:
    found: Made = {}
    for value in values:  # of several for one name the first counts
        found.setdefault(value.name, {"exact" if value.type == "Exact" else "regex": value.value})
    return found


def headers(modifier: HeaderModifier) -> Made:
    """Return changes of headers."""
    made: Made = {verb: {h.name: h.value for h in getattr(modifier, verb)} for verb in ("set", "add")}
    return {**made, "remove": list(modifier.remove)}


def redirect(path: str, wanted: RequestRedirect) -> Made:
    """Return an answer that sends the caller elsewhere.

    Raises:
        UnsupportedError: It has what there is not.
    """
    if wanted.path and wanted.path.type != "ReplaceFullPath":
        raise UnsupportedError(f"{path}.path.type: write ReplaceFullPath, or leave the path out")
    if wanted.status_code not in _CODES:
        raise UnsupportedError(f"{path}.statusCode: write one of {sorted(_CODES)}")
    made = {
        "scheme": wanted.scheme,
        "authority": wanted.hostname,
        "port": wanted.port,
        "uri": wanted.path.replace_full_path if wanted.path else "",
        "redirectCode": wanted.status_code,
    }
    return {k: v for k, v in made.items() if v}


def rewrite(path: str, modifier: PathModifier, behind: str | None) -> Made:
    """Return what a path becomes.

    Args:
        path: Of the modifier.
        modifier: The modifier.
        behind: What comes behind a prefix that is replaced; None where the match has none.

    Raises:
        UnsupportedError: There is no prefix to replace.
    """
    if modifier.type == "ReplaceFullPath":
        text = re.sub(r"\\", r"\\\\", modifier.replace_full_path or "/")
        return {"uriRegexRewrite": {"match": "^/.*$", "rewrite": text}}
    if behind is None:
        raise UnsupportedError(f"{path}.type: ReplacePrefixMatch needs a match of type PathPrefix")
    return {"uri": modifier.replace_prefix_match.rstrip("/") + behind or "/"}
