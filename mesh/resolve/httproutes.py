"""HTTPRoutes of Services, as VirtualServices: sidecars know one language of rules.

All routes of one Service in one namespace become one VirtualService, whose rules are in the Gateway API's order of
precedence: the more specific path first, then a method, more headers, more query parameters, the older route. Routes of
the Service's own namespace are for all callers, others for the callers in the route's namespace.

What a route asks for and cannot have refuses the route (Accepted: False) or the reference (ResolvedRefs: False), as the
Gateway API has it; it is never half carried out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from mesh.api.httproute import HttpRouteSpec, RouteMatch
from mesh.api.virtualservice import VirtualServiceSpec
from mesh.resolve.problems import Problem
from mesh.resolve.rules import Rule, read_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.api.httproute import (
        BackendObject,
        HeaderModifier,
        ParentRef,
        PathModifier,
        RequestMirror,
        RequestRedirect,
        RouteFilter,
        RouteRule,
        ValueMatch,
    )
    from mesh.ir.services import Service, ServiceKey

__all__ = ["ParentState", "Translated", "read_http_route", "translate"]

_CODES: Final = {301, 302, 303, 307, 308}
_KINDS: Final = {"", "core"}
_Made = dict[str, Any]


class _UnsupportedError(Exception):
    """The route asks for what there is not."""


@dataclass(frozen=True, slots=True)
class ParentState:
    """What is said about a route and one of its parents.

    Attributes:
        parent: The parent as the route names it.
        accepted: Reason and sentence of why it is not carried out; None where it is.
        resolved: Reason and sentence of a reference that leads nowhere; None where all lead somewhere.
    """

    parent: ParentRef
    accepted: tuple[str, str] | None = None
    resolved: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Translated:
    """What HTTPRoutes come to.

    Attributes:
        rules: As VirtualServices.
        states: By uid of the route, for each parent that is a Service.
        problems: What their authors should be told.
    """

    rules: tuple[Rule[VirtualServiceSpec], ...] = ()
    states: Mapping[str, tuple[ParentState, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_http_route(manifest: dict[str, Any]) -> Rule[HttpRouteSpec]:
    """Return a parsed HTTPRoute."""
    return read_rule(manifest, HttpRouteSpec)


def translate(routes: Iterable[Rule[HttpRouteSpec]], services: Mapping[ServiceKey, Service]) -> Translated:
    """Return what routes of Services come to.

    Args:
        routes: All HTTPRoutes.
        services: All Services.
    """
    groups: dict[tuple[ServiceKey, str], list[tuple[tuple[Any, ...], _Made, Rule[HttpRouteSpec]]]] = {}
    states: dict[str, tuple[ParentState, ...]] = {}
    problems: list[Problem] = []
    for route in sorted(routes, key=lambda r: (r.created, r.ref)):
        problems += route.problems
        found = []
        for parent in route.spec.parent_refs if route.spec else ():
            if parent.is_service:
                state, rules = _Reader(route, parent, services).read()
                found.append(state)
                problems += [Problem(route.ref, *told) for told in (state.accepted, state.resolved) if told]
                if route.spec and route.spec.hostnames:
                    text = "spec.hostnames has no effect on a Service parent, as the Gateway API has it: remove it"
                    problems.append(Problem(route.ref, "NoEffect", text))
                key = (parent.namespace or route.ref.namespace, parent.name)
                groups.setdefault((key, route.ref.namespace), []).extend((order, rule, route) for order, rule in rules)
        states[route.ref.uid] = tuple(found)
    made = [_together(key, namespace, rules) for (key, namespace), rules in sorted(groups.items()) if rules]
    return Translated(tuple(made), states, tuple(problems))


def _together(
    key: ServiceKey, namespace: str, rules: list[tuple[tuple[Any, ...], _Made, Rule[HttpRouteSpec]]]
) -> Rule[VirtualServiceSpec]:
    """Return the rules of a Service as one VirtualService, which stands for the oldest of the routes."""
    oldest = rules[0][2]
    host = f"{key[1]}.{key[0]}.svc.cluster.local"
    ordered = [rule for _, rule, _ in sorted(rules, key=lambda found: found[0])]
    spec = {"hosts": [host], "http": ordered, "exportTo": ["*"] if namespace == key[0] else ["."]}
    return Rule(oldest.ref, oldest.created, oldest.generation, VirtualServiceSpec.model_validate(spec))


class _Reader:
    """Reads a route for one of its parents."""

    def __init__(self, route: Rule[HttpRouteSpec], parent: ParentRef, services: Mapping[ServiceKey, Service]) -> None:
        self._route, self._parent, self._services = route, parent, services
        self._namespace = route.ref.namespace
        self._unresolved: tuple[str, str] | None = None

    def read(self) -> tuple[ParentState, list[tuple[tuple[Any, ...], _Made]]]:
        """Return what is said about the parent, and the rules with their precedence; none for a refused route."""
        parent, spec = self._parent, self._route.spec
        namespace = parent.namespace or self._namespace
        service = self._services.get((namespace, parent.name))
        if service is None or (parent.port and service.port(parent.port) is None):
            what = f"port {parent.port} of Service" if service else "Service"
            text = f"spec.parentRefs: there is no {what} {namespace}/{parent.name}: correct it"
            return ParentState(parent, ("NoMatchingParent", text)), []
        rules = []
        try:
            for index, rule in enumerate(spec.rules if spec else ()):
                rules += list(self._rule(index, rule))
            VirtualServiceSpec.model_validate({"hosts": ["a"], "http": [made for _, made in rules]})
        except _UnsupportedError as error:
            return ParentState(parent, ("UnsupportedValue", f"{error}; the route has no effect until then")), []
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            said = f"spec.rules: {first['msg'].removeprefix('Value error, ')}"
            return ParentState(parent, ("UnsupportedValue", f"{said}; the route has no effect until then")), []
        return ParentState(parent, None, self._unresolved), rules

    def _rule(self, index: int, rule: RouteRule) -> Iterator[tuple[tuple[Any, ...], _Made]]:
        path = f"spec.rules[{index}]"
        for number, match in enumerate(rule.matches or (RouteMatch(),)):
            for uri, rewritten in _paths(match):
                order = _precedence(match, self._route, (index, number))
                yield order, self._made(path, rule, _match(match, uri, self._parent.port), rewritten, index)

    def _made(self, path: str, rule: RouteRule, match: _Made, rewritten: str | None, index: int) -> _Made:
        made: _Made = {"name": rule.name or f"{self._route.ref.name}.{index}", "match": [match]}
        for number, found in enumerate(rule.filters):
            self._filter(made, f"{path}.filters[{number}]", found, rewritten)
        if "redirect" not in made:
            made |= self._destinations(path, rule)
        if rule.timeouts and "redirect" not in made:
            limits = rule.timeouts
            if limits.request:
                made["timeout"] = f"{limits.request}s"
            if limits.backend_request:
                made["retries"] = {"attempts": 2, "perTryTimeout": f"{limits.backend_request}s"}
        return made

    def _filter(self, made: _Made, path: str, found: RouteFilter, rewritten: str | None) -> None:
        if found.type == "RequestHeaderModifier" and found.request_header_modifier:
            made.setdefault("headers", {})["request"] = _headers(found.request_header_modifier)
        elif found.type == "ResponseHeaderModifier" and found.response_header_modifier:
            made.setdefault("headers", {})["response"] = _headers(found.response_header_modifier)
        elif found.type == "RequestRedirect" and found.request_redirect:
            made["redirect"] = _redirect(f"{path}.requestRedirect", found.request_redirect)
        elif found.type == "URLRewrite" and found.url_rewrite:
            changed = found.url_rewrite
            rewrite: _Made = {"authority": changed.hostname} if changed.hostname else {}
            if changed.path:
                rewrite |= _rewrite(f"{path}.urlRewrite.path", changed.path, rewritten)
            made["rewrite"] = rewrite
        elif found.type == "RequestMirror" and found.request_mirror:
            self._mirror(made, f"{path}.requestMirror.backendRef", found.request_mirror)
        else:
            raise _UnsupportedError(f"{path}.type {found.type!r} is not implemented, or its field is missing")

    def _mirror(self, made: _Made, path: str, mirror: RequestMirror) -> None:
        percent = 100.0 if mirror.percent is None else float(mirror.percent)
        if mirror.fraction:
            percent = 100.0 * mirror.fraction.numerator / mirror.fraction.denominator
        if place := self._place(path, mirror.backend_ref):
            made.setdefault("mirrors", []).append({"destination": place, "percentage": {"value": percent}})

    def _destinations(self, path: str, rule: RouteRule) -> _Made:
        route = []
        for number, ref in enumerate(rule.backend_refs):
            here = f"{path}.backendRefs[{number}]"
            changes: _Made = {}
            for count, found in enumerate(ref.filters):
                if found.type not in {"RequestHeaderModifier", "ResponseHeaderModifier"}:
                    raise _UnsupportedError(
                        f"{here}.filters[{count}].type {found.type!r} is not implemented for a backend"
                    )
                self._filter(changes, f"{here}.filters[{count}]", found, None)
            place = self._place(here, ref)
            if place is None:
                # Its share of the requests is refused, as the Gateway API has it, rather than given to the others.
                return {"directResponse": {"status": 500}}
            if ref.weight:
                route.append({"destination": place, "weight": ref.weight, **changes})
        return {"route": route} if route else {"directResponse": {"status": 500}}

    def _place(self, path: str, ref: BackendObject) -> _Made | None:
        """Return a destination; None for one that there is not, which is told."""
        namespace = ref.namespace or self._namespace
        service = self._services.get((namespace, ref.name))
        if ref.group not in _KINDS or ref.kind != "Service":
            self._unresolved = ("InvalidKind", f"{path}: {ref.kind} is no Service: only Services can be backends")
        elif namespace != self._namespace:
            text = f"{path}.namespace: a backend in another namespace needs a ReferenceGrant, which is not implemented"
            self._unresolved = ("RefNotPermitted", text)
        elif service is None:
            self._unresolved = ("BackendNotFound", f"{path}: there is no Service {namespace}/{ref.name}: create it")
        elif ref.port is None or service.port(ref.port) is None:
            self._unresolved = (
                "BackendNotFound",
                f"{path}.port: Service {ref.name} has no port {ref.port}: correct it",
            )
        else:
            return {"host": service.fqdn, "port": {"number": ref.port}}
        return None


def _precedence(match: RouteMatch, route: Rule[HttpRouteSpec], place: tuple[int, int]) -> tuple[Any, ...]:
    path = match.path
    rank = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}[path.type]
    more = (not match.method, -len(match.headers), -len(match.query_params))
    return (rank, -len(path.value), *more, route.created, route.ref.namespace, route.ref.name, *place)


def _paths(match: RouteMatch) -> Iterator[tuple[_Made, str | None]]:
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


def _match(match: RouteMatch, uri: _Made, port: int | None) -> _Made:
    found: _Made = {} if uri == {"prefix": "/"} else {"uri": uri}
    if match.headers:
        found["headers"] = _values(match.headers)
    if match.query_params:
        found["queryParams"] = _values(match.query_params)
    if match.method:
        found["method"] = {"exact": match.method}
    if port:
        found["port"] = port
    return found


def _values(values: Iterable[ValueMatch]) -> _Made:
    found: _Made = {}
    for value in values:  # of several for one name the first counts
        found.setdefault(value.name, {"exact" if value.type == "Exact" else "regex": value.value})
    return found


def _headers(modifier: HeaderModifier) -> _Made:
    made: _Made = {verb: {h.name: h.value for h in getattr(modifier, verb)} for verb in ("set", "add")}
    return {**made, "remove": list(modifier.remove)}


def _redirect(path: str, wanted: RequestRedirect) -> _Made:
    if wanted.path and wanted.path.type != "ReplaceFullPath":
        raise _UnsupportedError(f"{path}.path.type: write ReplaceFullPath, or leave the path out")
    if wanted.status_code not in _CODES:
        raise _UnsupportedError(f"{path}.statusCode: write one of {sorted(_CODES)}")
    redirect = {
        "scheme": wanted.scheme,
        "authority": wanted.hostname,
        "port": wanted.port,
        "uri": wanted.path.replace_full_path if wanted.path else "",
        "redirectCode": wanted.status_code,
    }
    return {k: v for k, v in redirect.items() if v}


def _rewrite(path: str, modifier: PathModifier, behind: str | None) -> _Made:
    if modifier.type == "ReplaceFullPath":
        text = re.sub(r"\\", r"\\\\", modifier.replace_full_path or "/")
        return {"uriRegexRewrite": {"match": "^/.*$", "rewrite": text}}
    if behind is None:
        raise _UnsupportedError(f"{path}.type: ReplacePrefixMatch needs a match of type PathPrefix")
    return {"uri": modifier.replace_prefix_match.rstrip("/") + behind or "/"}
