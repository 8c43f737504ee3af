"""Delegation: a root VirtualService's rule gives way to the rules of a VirtualService without hosts, as in Istio.

A delegate's rule keeps its own actions and takes over those of the root's rule that it does not have. Its matches must
lie within the root's; one that does not is left out, and so is the whole rule when none does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mesh.api.virtualservice import MESH_GATEWAY, HttpMatch
from mesh.resolve.clauses import Clause
from mesh.resolve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.api import virtualservice as vs
    from mesh.resolve.rules import Rule

__all__ = ["Delegates", "is_delegate"]

_INHERITED = ("rewrite", "timeout", "retries", "fault", "cors_policy", "headers")
_MIRRORS = ("mirror", "mirror_percentage", "mirror_percent", "mirrors")
_TEXTS = ("uri", "scheme", "method", "authority")
_MAPS = ("headers", "without_headers", "query_params")


def is_delegate(rule: Rule[vs.VirtualServiceSpec]) -> bool:
    """Say whether the VirtualService takes effect only through others."""
    return rule.spec is not None and not rule.spec.hosts


class Delegates:
    """All delegates by namespace and name, and what is wrong with their use."""

    def __init__(self, rules: Mapping[tuple[str, str], Rule[vs.VirtualServiceSpec]]) -> None:
        self._rules = rules
        self.used: set[tuple[str, str]] = set()
        self.problems: list[Problem] = []

    def expand(self, clause: Clause) -> Iterator[Clause]:
        """Return the clause, or what its delegate puts in its place."""
        wanted = clause.http.delegate
        if wanted is None:
            yield clause
            return
        key = (wanted.namespace or clause.namespace, wanted.name)
        where = f"{clause.path}.delegate"
        rule = self._rules.get(key)
        if rule is None or rule.spec is None:
            self._tell(clause, f"{where}: there is no VirtualService without hosts called {key[0]}/{key[1]}: create it")
            return
        if not rule.spec.visible(key[0], clause.namespace):
            text = f"{where}: {key[0]}/{key[1]} is not exported to namespace {clause.namespace}: add it to its exportTo"
            self._tell(clause, text)
            return
        self.used.add(key)
        for index, http in enumerate(rule.spec.http):
            own = Clause(rule.ref, index, http, alone=len(rule.spec.http) == 1)
            if http.delegate:
                self._tell(own, f"{own.path}.delegate: a delegate cannot delegate further: write the rules here")
            elif (merged := self._merged(clause, own)) is not None:
                yield merged

    def _merged(self, root: Clause, own: Clause) -> Clause | None:
        matches = self._matches(root, own)
        if matches is None:
            return None
        changes: dict[str, object] = {"match": matches}
        for name in _INHERITED:
            if getattr(own.http, name) is None:
                changes[name] = getattr(root.http, name)
        if not own.http.mirror and not own.http.mirrors:
            changes |= {name: getattr(root.http, name) for name in _MIRRORS}
        changes["name"] = "-".join(filter(None, (root.http.name, own.http.name)))
        http = own.http.model_copy(update=changes)
        # A mirror that comes from the root has names of the root's namespace; full names mean the same in both.
        return replace(own, http=http, root=root.ref, alone=False)

    def _matches(self, root: Clause, own: Clause) -> tuple[HttpMatch, ...] | None:
        if not root.http.match or not own.http.match:
            return own.http.match or root.http.match
        found = []
        for index, inner in enumerate(own.http.match):
            pairs = [_within(outer, inner) for outer in root.http.match if not _conflict(outer, inner)]
            if not pairs:
                text = f"{own.path}.match[{index}]: is not within what {root.path} of VirtualService {root.ref.name} "
                self._tell(own, text + "matches, so the rule is left out: match less here, or more there")
                return None
            found += pairs
        return tuple(found)

    def _tell(self, clause: Clause, text: str) -> None:
        self.problems.append(Problem(clause.ref, "Delegate", text))

    def unused(self) -> Iterator[Problem]:
        """Return what the authors of delegates that no root names should be told."""
        for key, rule in self._rules.items():
            if key not in self.used:
                yield Problem(
                    rule.ref, "Unused", "spec.hosts is missing, and no VirtualService delegates to this: add hosts"
                )
            elif rule.spec and (rule.spec.tcp or rule.spec.tls):
                yield Problem(rule.ref, "Delegate", "spec.tcp and spec.tls have no effect in a delegate: remove them")
            elif rule.spec and set(rule.spec.gateways) != {MESH_GATEWAY}:
                yield Problem(rule.ref, "Delegate", "spec.gateways has no effect in a delegate: remove it")


def _within(outer: HttpMatch, inner: HttpMatch) -> HttpMatch:
    """Return the inner match with what only the outer one says."""
    changes: dict[str, object] = {
        name: getattr(outer, name)
        for name in (*_TEXTS, "port", "source_namespace", "source_labels", "gateways")
        if not getattr(inner, name)
    }
    changes |= {name: getattr(outer, name) | getattr(inner, name) for name in _MAPS}
    changes["name"] = "-".join(filter(None, (outer.name, inner.name)))
    return inner.model_copy(update=changes)


def _conflict(outer: HttpMatch, inner: HttpMatch) -> bool:
    pairs = [(getattr(outer, name), getattr(inner, name)) for name in _TEXTS]
    for name in _MAPS:
        theirs = getattr(outer, name)
        pairs += [(theirs.get(key), value) for key, value in getattr(inner, name).items()]
    if any(not _covers(theirs, ours) for theirs, ours in pairs if theirs and ours):
        return True
    if any(outer.headers.get(key) == value for key, value in inner.without_headers.items() if key in outer.headers):
        return True
    if outer.ignore_uri_case != inner.ignore_uri_case and outer.uri and inner.uri:
        return True
    return bool(outer.port and inner.port and outer.port != inner.port)


def _covers(outer: vs.StringMatch, inner: vs.StringMatch) -> bool:
    """Say whether everything that the inner comparison takes is surely taken by the outer one."""
    if outer == inner:
        return True
    if outer.exact is not None or outer.regex or inner.regex:
        return False
    value = inner.exact if inner.exact is not None else inner.prefix
    return outer.prefix is None or (value or "").startswith(outer.prefix)
