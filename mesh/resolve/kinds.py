"""Kinds of requests: what telemetry tells apart, so that a canary is compared on the same kind of work.

Two versions that get different mixes of cheap and dear requests differ without either being worse. So each route of a
host that is split becomes several, alike in all they do, that differ in the kind they are counted as:

- what the host's Service names in ``ROUTES_ANNOTATION``, such as ``GET /api/orders``;
- otherwise ``read`` (GET, HEAD, OPTIONS, and gRPC methods called Get…, List… and the like) or ``write``, behind the
  VirtualService's rule where there are several: they may send requests to different versions.

A kind follows from configuration, never from what a caller sends, so there are ``MOST`` of a host at most.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mesh.ir.traffic import Match, Route, StringMatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MOST", "OTHER", "READ", "ROUTES_ANNOTATION", "WRITE", "Kind", "read_kinds", "told_apart"]

ROUTES_ANNOTATION: Final = "mesh.coalmine.dev/routes"
"""On a Service: kinds of requests, with commas; each a prefix of the path, with a method before it or not."""
READ: Final = "read"
WRITE: Final = "write"
OTHER: Final = "other"
"""What goes beyond ``MOST``."""
MOST: Final = 16
"""Kinds of one host, ``OTHER`` included. Each costs stats in every caller for every pod that it calls."""
_NAMED: Final = MOST - 2
"""Kinds that an annotation may name: ``READ`` and ``WRITE`` are for the rest."""
_LONGEST: Final = 100
"""Characters of a kind's name."""

_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_READING: Final = _METHODS[:3]
_ENTRY: Final = re.compile(rf"(?:(?P<method>{'|'.join(_METHODS)}) +)?(?P<path>/[!-~]*)")
_GRPC_READING: Final = (
    ("content-type", StringMatch("prefix", "application/grpc")),
    (
        ":path",
        StringMatch(
            "regex",
            "/[^/?]+/(BatchGet|Check|Count|Describe|Fetch|Find|Get|List|Lookup|Query|Read|Search|Subscribe|Watch)"
            "([^a-z].*)?",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of requests that a Service names.

    Attributes:
        path: What their path begins with.
        method: Their method; empty for any.
    """

    path: str
    method: str = ""

    @property
    def name(self) -> str:
        """As telemetry calls it."""
        return f"{self.method} {self.path}".lstrip()

    def meets(self, match: Match) -> bool:
        """Say whether a request could be both of this kind and matched."""
        method, uri = match.method, match.uri
        if self.method and method and method.kind == "exact" and method.value != self.method:
            return False
        value, path = uri.value, self.path
        if match.ignore_case:
            value, path = value.lower(), path.lower()
        if uri.kind == "prefix":
            return value.startswith(path) or path.startswith(value)
        return uri.kind == "regex" or value.startswith(path)

    def covers(self, match: Match) -> bool:
        """Say whether every request that is matched is of this kind."""
        if self.method and match.method != StringMatch("exact", self.method):
            return False
        if match.ignore_case or match.uri.kind == "regex":
            return False  # a kind's path is compared with its case
        return match.uri.value.startswith(self.path)

    def within(self, match: Match) -> Match:
        """Return what matches the requests of this kind among those that are matched."""
        headers = [(":path", StringMatch("prefix", self.path))]
        if self.method:
            headers.append((":method", StringMatch("exact", self.method)))
        return replace(match, headers=(*match.headers, *headers))


def read_kinds(annotation: str) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
    """Return the kinds that a Service's annotation names, the longest path first, and what is wrong with the others.

    Args:
        annotation: The value of ``ROUTES_ANNOTATION``.
    """
    kinds: dict[Kind, None] = {}
    problems = []
    for entry in filter(None, (e.strip() for e in annotation.split(","))):
        found = _ENTRY.fullmatch(entry)
        if found is None or "?" in entry or "#" in entry:
            problems.append(
                f"{entry[:_LONGEST]!r} is left out: write what the path begins with, such as /api/orders, and before it "
                f"one of {', '.join(_METHODS)} or nothing"
            )
        elif len(entry) > _LONGEST:
            problems.append(f"{entry[:_LONGEST]!r}… is left out: it is longer than {_LONGEST} characters; shorten it")
        else:
            kinds[Kind(found["path"], found["method"] or "")] = None
    if len(kinds) > _NAMED:
        problems.append(
            f"names {len(kinds)} kinds of requests: the first {_NAMED} are told apart, the others count as {READ} or "
            f"{WRITE}; name fewer"
        )
    chosen = sorted(list(kinds)[:_NAMED], key=lambda kind: (-len(kind.path), not kind.method))
    return tuple(chosen), tuple(problems)


def told_apart(routes: Iterable[Route], kinds: Sequence[Kind]) -> tuple[Route, ...]:
    """Return routes that treat every request as the given ones do, and tell its kind.

    Args:
        routes: A host's routes.
        kinds: What the host's Service names, as ``read_kinds`` orders it.
    """
    found = [apart for route in routes for apart in _apart(route, kinds)]
    names = dict.fromkeys([*(k.name for k in kinds), READ, WRITE, *(r.kind for r in found)])
    used = [name for name in names if name and any(r.kind == name for r in found)]
    rest = set(used[MOST - 1 :]) if len(used) > MOST else set()
    return tuple(replace(route, kind=OTHER) if route.kind in rest else route for route in found)


def _apart(route: Route, kinds: Sequence[Kind]) -> Iterator[Route]:
    if route.answered_by_proxy:
        yield route  # no version answers it
        return
    for kind in kinds:
        if kind.covers(route.match):
            yield replace(route, kind=kind.name)
            return
        if kind.meets(route.match):
            yield replace(route, match=kind.within(route.match), kind=kind.name)
    yield from _by_effect(route)


def _by_effect(route: Route) -> Iterator[Route]:
    """Tell what only reads from what may change something."""
    name = route.rule[: _LONGEST - len(WRITE) - 1]
    read, write = f"{name} {READ}".lstrip(), f"{name} {WRITE}".lstrip()
    match, method = route.match, route.match.method
    only = method.value if method and method.kind == "exact" else ""
    if only in _READING:
        yield replace(route, kind=read)
        return
    if only in {"", "POST"}:
        yield replace(route, match=replace(match, headers=(*match.headers, *_GRPC_READING)), kind=read)
    if only:
        yield replace(route, kind=write)
        return
    yield replace(route, match=replace(match, excluded_methods=_READING), kind=write)
    yield replace(route, kind=read)
