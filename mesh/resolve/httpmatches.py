"""Matches of a VirtualService's HTTP rules, and which of them cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mesh.api.istio import unimplemented
from mesh.ir.matching import Match, Named, StringMatch
from mesh.resolve.regexes import regex_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.api import httpmatch

__all__ = ["IGNORED_HEADERS", "match_problems", "to_match", "to_string"]

IGNORED_HEADERS: Final = frozenset({"uri", "scheme", "method", "authority"})
"""As header names in a match these mean nothing: Istio ignores them, too."""
_HARMLESS: Final = ("statPrefix",)
"""Parts that change no match."""


def match_problems(match: httpmatch.HttpMatch, path: str) -> Iterator[str]:
    """Return why a match cannot be used: to ignore a part would catch requests that the rule was not written for.

    Args:
        match: The match.
        path: Its path, for the sentences.
    """
    for field in unimplemented(match, path):
        if field.removeprefix(f"{path}.") not in _HARMLESS:
            yield f"{field} is not implemented"
    for name in ("uri", "scheme", "method", "authority"):
        yield from _regex(getattr(match, name), f"{path}.{name}")
    maps = (("headers", match.headers), ("withoutHeaders", match.without_headers), ("queryParams", match.query_params))
    for name, values in maps:
        for key, value in values.items():
            yield from _regex(value, f"{path}.{name}[{key}]")


def _regex(match: httpmatch.StringMatch | None, path: str) -> Iterator[str]:
    if match and match.regex is not None and (said := regex_problem(match.regex)):
        yield f"{path}.regex: {said}"


def to_match(match: httpmatch.HttpMatch) -> Match | None:
    """Return what a request must be; None when the match cannot be used."""
    if next(match_problems(match, ""), None):
        return None
    pseudo = [(f":{name}", to_string(getattr(match, name))) for name in ("authority", "scheme")]
    headers = {n.lower(): v for n, v in match.headers.items() if n.lower() not in IGNORED_HEADERS}
    without = {n.lower(): v for n, v in match.without_headers.items() if n.lower() not in IGNORED_HEADERS}
    uri = to_string(match.uri)
    return Match(
        uri=uri or Match().uri,
        headers=(*_named(headers), *((n, v) for n, v in pseudo if v)),
        method=to_string(match.method),
        without_headers=_named(without),
        query=_named(match.query_params),
        ignore_case=match.ignore_uri_case and uri is not None and uri.kind != "regex",
    )


def _named(values: Mapping[str, httpmatch.StringMatch]) -> Named:
    return tuple(sorted(((name, to_string(value)) for name, value in values.items()), key=lambda pair: pair[0]))


def to_string(match: httpmatch.StringMatch | None) -> StringMatch | None:
    """Return a comparison; None where nothing is compared."""
    if match is None:
        return None
    if match.exact is not None:
        return StringMatch("exact", match.exact)
    if match.prefix:  # every text begins with an empty prefix
        return StringMatch("prefix", match.prefix)
    return StringMatch("regex", match.regex) if match.regex is not None else None
