"""VirtualServices by host: who sees which, delegation, wildcards, and several for one host.

Precedence for callers in a namespace: the VirtualServices of their own namespace, then those of the host's, then those
that others export. Of the hosts that they name, the most specific goes first. Several of one of these for one host are
merged where no request could match rules of both (and one at most takes all that is left, which then goes last);
otherwise the older is used and the others are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mesh.api.httpmatch import TlsMatch
from mesh.api.virtualservice import MESH_GATEWAY
from mesh.resolve.clauses import Clause, qualified
from mesh.resolve.delegates import Delegates, is_delegate
from mesh.resolve.hosts import service_key
from mesh.resolve.overlap import clauses_overlap, names_overlap, sources_disjoint
from mesh.resolve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from mesh.api import virtualservice as vs
    from mesh.api.httpmatch import HttpMatch, TcpMatch
    from mesh.ir.services import ServiceKey
    from mesh.resolve.clauses import Caller
    from mesh.resolve.problems import Ref
    from mesh.resolve.rules import Rule

__all__ = ["Ruling", "VirtualServices"]


@dataclass(frozen=True)
class Ruling:
    """What is said about a host, by one VirtualService or by several that were merged.

    Attributes:
        refs: The VirtualServices, the oldest first.
        clauses: Their HTTP rules.
        tls: Their TLS rules, each with its VirtualService.
        tcp: Their TCP rules, likewise.
    """

    refs: tuple[Ref, ...]
    clauses: tuple[Clause, ...]
    tls: tuple[tuple[Ref, vs.TlsRoute], ...] = ()
    tcp: tuple[tuple[Ref, vs.TcpRoute], ...] = ()

    @property
    def name(self) -> str:
        """As people call it."""
        return " and ".join(f"{r.namespace}/{r.name}" for r in self.refs)


@dataclass(frozen=True)
class _Entry:
    """A VirtualService under one of its hosts."""

    rule: Rule[vs.VirtualServiceSpec]
    spec: vs.VirtualServiceSpec
    host: str
    gateways: frozenset[str]
    ruling: Ruling

    @property
    def namespace(self) -> str:
        return self.rule.ref.namespace


class VirtualServices:
    """An index of all VirtualServices.

    Args:
        rules: All of them; those that are not valid are passed over.
        known: All Services.
    """

    def __init__(self, rules: Iterable[Rule[vs.VirtualServiceSpec]], known: Container[ServiceKey]) -> None:
        valid = sorted((r for r in rules if r.spec is not None), key=lambda r: (r.created, r.ref))
        self._delegates = Delegates({(r.ref.namespace, r.ref.name): r for r in valid if is_delegate(r)})
        self._exact: dict[ServiceKey, list[_Entry]] = {}
        self._wildcards: dict[str, list[_Entry]] = {}
        for rule in valid:
            if rule.spec is not None and not is_delegate(rule):
                self._add(rule, rule.spec, known)

    def _add(
        self, rule: Rule[vs.VirtualServiceSpec], spec: vs.VirtualServiceSpec, known: Container[ServiceKey]
    ) -> None:
        ref = rule.ref
        alone = len(spec.http) == 1
        clauses = (Clause(ref, i, http, alone=alone) for i, http in enumerate(spec.http))
        expanded = tuple(e for c in clauses for e in self._delegates.expand(c))
        ruling = Ruling((ref,), expanded, tuple((ref, t) for t in spec.tls), tuple((ref, t) for t in spec.tcp))
        gateways = frozenset(qualified(g, ref.namespace) for g in spec.gateways or (MESH_GATEWAY,))
        if ref.kind == "VirtualService":
            # "~" stands in the names of the Gateway API's listeners, which take routes only as they allow.
            gateways = frozenset(g.replace("~", "?") for g in gateways)
        for host in dict.fromkeys(h.lower().rstrip(".") for h in spec.hosts):
            entry = _Entry(rule, spec, host, gateways, ruling)
            if host.startswith("*"):
                self._wildcards.setdefault(host, []).append(entry)
            else:
                self._exact.setdefault(service_key(host, ref.namespace, known), []).append(entry)

    @property
    def gateways(self) -> frozenset[str]:
        """The gateways that some rule is for, as ``namespace/name``; ``mesh`` is none."""
        entries = [e for group in (*self._exact.values(), *self._wildcards.values()) for e in group]
        return frozenset(g for e in entries for g in e.gateways) - {MESH_GATEWAY}

    @cached_property
    def asked_labels(self) -> frozenset[tuple[str, str]]:
        """Labels of callers that some rule asks for: only by those are callers of one namespace told apart."""
        found: set[tuple[str, str]] = set()
        for group in (*self._exact.values(), *self._wildcards.values()):
            for entry in group:
                ruling = entry.ruling
                matches: list[HttpMatch | TcpMatch] = [m for c in ruling.clauses for m in c.http.match]
                matches += [m for _, rule in ruling.tls for m in rule.match]
                matches += [m for _, rule in ruling.tcp for m in rule.match]
                found.update(label for m in matches for label in m.source_labels.items())
        return frozenset(found)

    def find(self, caller: Caller, host: ServiceKey, fqdn: str) -> Ruling | None:
        """Return what is said about a host.

        Args:
            caller: Whose requests.
            host: The Service, or ``("", name)`` for a host that is none.
            fqdn: The host's full name, which wildcards are compared with.
        """
        if found := self._choose(self._exact.get(host, ()), caller, host[0]):
            return found
        fitting = (w for w in self._wildcards if fqdn.endswith(w[1:]) and fqdn != w[1:])
        for wildcard in sorted(fitting, key=lambda w: (-len(w), w)):
            if found := self._choose(self._wildcards[wildcard], caller, host[0]):
                return found
        return None

    def externals(self, caller: Caller) -> list[str]:
        """Return the hosts that are no Services and that something is said about, sorted; wildcards among them."""
        hosts = [h for h, group in self._wildcards.items() if self._choose(group, caller, "")]
        hosts += [host for (of, host), group in self._exact.items() if not of and self._choose(group, caller, "")]
        return sorted(hosts)

    def named(self, caller: Caller, host: str) -> Ruling | None:
        """Return what is said about one of ``externals``."""
        entries = self._wildcards.get(host, ()) if host.startswith("*") else self._exact.get(("", host), ())
        return self._choose(entries, caller, "")

    @cached_property
    def bindings(self) -> tuple[tuple[Ref, tuple[str, ...], str], ...]:
        """Each VirtualService that is bound to a gateway, with its hosts by full name and the gateway."""
        hosts: dict[tuple[Ref, str], list[str]] = {}
        for host, group in self._by_name():
            for entry in group:
                for gateway in entry.gateways - {MESH_GATEWAY}:
                    hosts.setdefault((entry.rule.ref, gateway), []).append(host)
        return tuple((ref, tuple(found), gateway) for (ref, gateway), found in sorted(hosts.items()))

    def bound(self, caller: Caller, taken: Callable[[str, str], bool]) -> Iterator[tuple[str, Ruling]]:
        """Yield what is said about hosts at a gateway: full names and wildcards, the most specific first.

        Args:
            caller: Whose ``gateway`` is the one that rules must be bound to.
            taken: Says whether the gateway serves a host for VirtualServices of a namespace.
        """
        for host, group in sorted(
            self._by_name(), key=lambda found: (found[0].startswith("*"), -len(found[0]), found[0])
        ):
            if ruling := self._choose([e for e in group if taken(e.namespace, host)], caller, ""):
                yield host, ruling

    def _by_name(self) -> Iterator[tuple[str, list[_Entry]]]:
        for (namespace, name), group in self._exact.items():
            yield f"{name}.{namespace}.svc.cluster.local" if namespace else name, group
        yield from self._wildcards.items()

    def _choose(self, entries: Sequence[_Entry], caller: Caller, home: str) -> Ruling | None:
        seen = [e for e in entries if caller.gateway in e.gateways and e.spec.visible(e.namespace, caller.namespace)]
        if not seen:
            return None
        if caller.gateway != MESH_GATEWAY:
            return _merge(seen)[0]  # a gateway is nobody's namespace: all that are bound to it count alike
        for namespace in (caller.namespace, home):
            if own := [e for e in seen if e.namespace == namespace]:
                return _merge(own)[0]
        return _merge(seen)[0]

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors should be told."""
        found = [*self._delegates.problems, *self._delegates.unused()]
        for group in (*self._exact.values(), *self._wildcards.values()):
            found += _shadowed(group)
        return tuple(found)


def _merge(entries: Sequence[_Entry]) -> tuple[Ruling, list[tuple[_Entry, str]]]:
    """Return one ruling for all, and those that are left out with the reason."""
    merged = entries[0].ruling
    left_out: list[tuple[_Entry, str]] = []
    for entry in entries[1:]:
        if reason := _ambiguous(merged, entry.ruling):
            left_out.append((entry, reason))
        else:
            merged = _joined(merged, entry.ruling)
    return merged, left_out


def _shadowed(group: Sequence[_Entry]) -> Iterator[Problem]:
    seen: dict[tuple[str, str], list[_Entry]] = {}
    for entry in group:
        for gateway in entry.gateways:
            # Sidecars look in one namespace at a time, gateways in all.
            seen.setdefault((gateway, entry.namespace if gateway == MESH_GATEWAY else ""), []).append(entry)
    for entries in seen.values():
        for entry, reason in _merge(entries)[1]:
            text = f"host {entry.host} has an older VirtualService, which is used instead of this one: {reason}"
            yield Problem(entry.rule.ref, "Shadowed", text)


def _ambiguous(old: Ruling, young: Ruling) -> str:
    """Return why two cannot be merged; empty when they can."""
    name = old.name
    ours, rest = _parts(old)
    theirs, their_rest = _parts(young)
    if rest and their_rest:
        return f"{their_rest[0].path} and a rule of {name} both take all requests: merge the two"
    for clause in theirs:
        for other in ours:
            if clauses_overlap(other, clause):
                where = f"{other.path} of {other.ref.namespace}/{other.ref.name}"
                return f"{clause.path} and {where} may match the same requests: merge the two, or match apart"
    for what, a, b in (("tls", old.tls, young.tls), ("tcp", old.tcp, young.tcp)):
        if any(_connections_overlap(x, y) for x in a for y in b):
            return f"spec.{what} of both may match the same connections: merge the two, or match apart"
    return ""


def _parts(ruling: Ruling) -> tuple[list[Clause], list[Clause]]:
    """Return the rules before the first one that takes all, and that one; what follows it is never reached."""
    for index, clause in enumerate(ruling.clauses):
        if clause.takes_all:
            return list(ruling.clauses[:index]), [clause]
    return list(ruling.clauses), []


def _joined(old: Ruling, young: Ruling) -> Ruling:
    (ours, rest), (theirs, their_rest) = _parts(old), _parts(young)
    clauses = (*ours, *theirs, *rest, *their_rest)
    return Ruling((*old.refs, *young.refs), clauses, (*old.tls, *young.tls), (*old.tcp, *young.tcp))


_Connection = tuple["Ref", "vs.TcpRoute | vs.TlsRoute"]


def _connections_overlap(one: _Connection, other: _Connection) -> bool:
    (ref, a), (other_ref, b) = one, other
    if not a.match or not b.match:
        return True
    return any(
        not sources_disjoint(x, ref.namespace, y, other_ref.namespace)
        and not (isinstance(x, TlsMatch) and isinstance(y, TlsMatch) and not names_overlap(x.sni_hosts, y.sni_hosts))
        for x in a.match
        for y in b.match
    )
