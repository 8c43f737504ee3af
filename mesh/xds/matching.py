"""What requests a route takes, in Envoy's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2

if TYPE_CHECKING:
    from mesh.ir.matching import Match, StringMatch

__all__ = ["route_match", "string_matcher"]


def route_match(match: Match) -> route_components_pb2.RouteMatch:
    """Return what requests a route takes."""
    built = route_components_pb2.RouteMatch()
    if match.uri.kind == "exact":
        built.path = match.uri.value
    elif match.uri.kind == "prefix":
        built.prefix = match.uri.value
    else:
        built.safe_regex.regex = match.uri.value
    if match.ignore_case:
        built.case_sensitive.value = False
    for name, value in match.headers:
        built.headers.append(_header(name, value))
    if match.method:
        built.headers.append(_header(":method", match.method))
    for method in match.excluded_methods:
        built.headers.add(name=":method", invert_match=True).string_match.exact = method
    for name, value in match.without_headers:
        entry = _header(name, value)
        entry.invert_match = True
        # A header that is not there is not so, either.
        entry.treat_missing_header_as_empty = value is not None
        built.headers.append(entry)
    for name, value in match.query:
        query = built.query_parameters.add(name=name)
        if value is None:
            query.present_match = True
        else:
            query.string_match.CopyFrom(string_matcher(value))
    return built


def _header(name: str, value: StringMatch | None) -> route_components_pb2.HeaderMatcher:
    if value is None:
        return route_components_pb2.HeaderMatcher(name=name, present_match=True)
    return route_components_pb2.HeaderMatcher(name=name, string_match=string_matcher(value))


def string_matcher(match: StringMatch) -> string_pb2.StringMatcher:
    """Return how a text is compared."""
    if match.kind == "exact":
        return string_pb2.StringMatcher(exact=match.value)
    if match.kind == "prefix":
        return string_pb2.StringMatcher(prefix=match.value)
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=match.value))
