"""Whether two rules can match one request: several VirtualServices for a host are merged only where they cannot.

``disjoint`` answers yes only where it is certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.resolve.clauses import qualified
from mesh.resolve.httpmatches import to_match
from mesh.resolve.regexes import matches, regex_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.api.httpmatch import HttpMatch, StringMatch, TcpMatch
    from mesh.resolve.clauses import Clause

__all__ = ["clauses_overlap", "names_overlap", "sources_disjoint"]


def clauses_overlap(one: Clause, other: Clause) -> bool:
    """Say whether a request could match both rules."""
    if not one.http.match or not other.http.match:
        return True
    return any(not _disjoint(a, one.namespace, b, other.namespace) for a in _usable(one) for b in _usable(other))


def _usable(clause: Clause) -> list[HttpMatch]:
    """Return the matches that take any request at all."""
    return [m for m in clause.http.match if to_match(m)]


def _disjoint(one: HttpMatch, of: str, other: HttpMatch, of_other: str) -> bool:
    caseless = one.ignore_uri_case or other.ignore_uri_case
    pairs = [(one.scheme, other.scheme), (one.method, other.method), (one.authority, other.authority)]
    for mine, theirs in ((one.headers, other.headers), (one.query_params, other.query_params)):
        pairs += [(mine[name], theirs[name]) for name in mine.keys() & theirs.keys()]
    absent = any(other.headers.get(k) == v for k, v in one.without_headers.items()) or any(
        one.headers.get(k) == v for k, v in other.without_headers.items()
    )
    return (
        absent
        or _texts_disjoint(one.uri, other.uri, caseless=caseless)
        or any(_texts_disjoint(a, b) for a, b in pairs)
        or sources_disjoint(one, of, other, of_other)
    )


def sources_disjoint(one: HttpMatch | TcpMatch, of: str, other: HttpMatch | TcpMatch, of_other: str) -> bool:
    """Say whether no connection is to the port, of the caller and through the gateway that both are for."""
    if one.port and other.port and one.port != other.port:
        return True
    if one.source_namespace and other.source_namespace and one.source_namespace != other.source_namespace:
        return True
    if any(other.source_labels.get(key, value) != value for key, value in one.source_labels.items()):
        return True
    through = [{qualified(g, ns) for g in m.gateways} for m, ns in ((one, of), (other, of_other))]
    return all(through) and through[0].isdisjoint(through[1])


def _texts_disjoint(one: StringMatch | None, other: StringMatch | None, *, caseless: bool = False) -> bool:
    if one is None or other is None:
        return False
    pair = _words(one, caseless=caseless), _words(other, caseless=caseless)
    for (kind, value), (other_kind, other_value) in (pair, pair[::-1]):
        if kind == "exact" and not caseless and other_kind == "regex":
            return not regex_problem(other_value) and not matches(other_value, value)
        if kind == "exact" and other_kind in {"exact", "prefix"}:
            return value != other_value if other_kind == "exact" else not value.startswith(other_value)
    (kind, value), (other_kind, other_value) = pair
    if kind == other_kind == "prefix":
        return not value.startswith(other_value) and not other_value.startswith(value)
    return False


def _words(match: StringMatch, *, caseless: bool) -> tuple[str, str]:
    for kind, value in (("exact", match.exact), ("prefix", match.prefix), ("regex", match.regex)):
        if value is not None:
            return kind, value.lower() if caseless and kind != "regex" else value
    return "any", ""


def names_overlap(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Say whether a server name could be covered by one of each; ``*.example.com`` covers all below it."""
    return any(_name_within(a, b) or _name_within(b, a) for a in ours for b in theirs)


def _name_within(name: str, pattern: str) -> bool:
    name, pattern = name.lower(), pattern.lower()
    return name == pattern or (pattern.startswith("*") and name.endswith(pattern[1:]))
