"""The rules of one HTTPRoute or GRPCRoute, in the language of VirtualServices.

What a route asks for and cannot have refuses the route (Accepted: False) or the reference (ResolvedRefs: False), as the
Gateway API has it; it is never half carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from mesh.api.httproute import RouteMatch
from mesh.api.virtualservice import VirtualServiceSpec
from mesh.resolve import routeparts as parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.api.httproute import BackendObject, HttpRouteSpec, RequestMirror, RouteFilter, RouteRule
    from mesh.ir.services import Service, ServiceKey
    from mesh.resolve.grants import Grants
    from mesh.resolve.rules import Rule

__all__ = ["Ordered", "RouteReader"]

_CORE: Final = {"", "core"}
Ordered = tuple[tuple[Any, ...], dict[str, Any]]
"""A rule behind its precedence."""


class RouteReader:
    """Reads the rules of a route.

    Args:
        route: The route.
        services: All Services.
        grants: The references into other namespaces that are allowed.

    Attributes:
        unresolved: Reason and sentence of a reference that leads nowhere; None while all lead somewhere.
    """

    def __init__(self, route: Rule[HttpRouteSpec], services: Mapping[ServiceKey, Service], grants: Grants) -> None:
        self._route, self._services, self._grants = route, services, grants
        self._namespace = route.ref.namespace
        self.unresolved: tuple[str, str] | None = None

    def rules(self, port: int | None = None) -> tuple[tuple[Ordered, ...], tuple[str, str] | None]:
        """Return the rules with their precedence, or why there are none.

        Args:
            port: Of the Service that they are for; None for every one.
        """
        spec = self._route.spec
        found: list[Ordered] = []
        try:
            for index, rule in enumerate(spec.rules if spec else ()):
                found += list(self._rule(index, rule, port))
            VirtualServiceSpec.model_validate({"hosts": ["a"], "http": [made for _, made in found]})
        except parts.UnsupportedError as error:
            return (), ("UnsupportedValue", f"{error}; the route has no effect until then")
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            said = f"spec.rules: {first['msg'].removeprefix('Value error, ')}"
            return (), ("UnsupportedValue", f"{said}; the route has no effect until then")
        return tuple(found), None

    def _rule(self, index: int, rule: RouteRule, port: int | None) -> Iterator[Ordered]:
        path, grpc = f"spec.rules[{index}]", self._route.ref.kind == "GRPCRoute"
        for number, match in enumerate(rule.matches or (RouteMatch(),)):
            parts.check(f"{path}.matches[{number}]", match, "method" if grpc else "path.value")
            for uri, rewritten in parts.paths(match):
                order = parts.precedence(match, self._route, (index, number))
                yield order, self._made(path, rule, parts.match(match, uri, port), rewritten, index)

    def _made(self, path: str, rule: RouteRule, match: parts.Made, rewritten: str | None, index: int) -> parts.Made:
        made: parts.Made = {"name": rule.name or f"{self._route.ref.name}.{index}", "match": [match]}
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

    def _filter(self, made: parts.Made, path: str, found: RouteFilter, rewritten: str | None) -> None:
        if found.type == "RequestHeaderModifier" and found.request_header_modifier:
            made.setdefault("headers", {})["request"] = parts.headers(found.request_header_modifier)
        elif found.type == "ResponseHeaderModifier" and found.response_header_modifier:
            made.setdefault("headers", {})["response"] = parts.headers(found.response_header_modifier)
        elif found.type == "RequestRedirect" and found.request_redirect:
            made["redirect"] = parts.redirect(f"{path}.requestRedirect", found.request_redirect)
        elif found.type == "URLRewrite" and found.url_rewrite:
            changed = found.url_rewrite
            rewrite: parts.Made = {"authority": changed.hostname} if changed.hostname else {}
            if changed.path:
                rewrite |= parts.rewrite(f"{path}.urlRewrite.path", changed.path, rewritten)
            made["rewrite"] = rewrite
        elif found.type == "RequestMirror" and found.request_mirror:
            self._mirror(made, f"{path}.requestMirror.backendRef", found.request_mirror)
        else:
            raise parts.UnsupportedError(f"{path}.type {found.type!r} is not implemented, or its field is missing")

    def _mirror(self, made: parts.Made, path: str, mirror: RequestMirror) -> None:
        percent = 100.0 if mirror.percent is None else float(mirror.percent)
        if mirror.fraction:
            percent = 100.0 * mirror.fraction.numerator / mirror.fraction.denominator
        if place := self._place(path, mirror.backend_ref):
            made.setdefault("mirrors", []).append({"destination": place, "percentage": {"value": percent}})

    def _destinations(self, path: str, rule: RouteRule) -> parts.Made:
        route = []
        for number, ref in enumerate(rule.backend_refs):
            here = f"{path}.backendRefs[{number}]"
            changes: parts.Made = {}
            for count, found in enumerate(ref.filters):
                if found.type not in {"RequestHeaderModifier", "ResponseHeaderModifier"}:
                    raise parts.UnsupportedError(
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

    def _place(self, path: str, ref: BackendObject) -> parts.Made | None:
        """Return a destination; None for one that there is not, which is told."""
        namespace = ref.namespace or self._namespace
        service = self._services.get((namespace, ref.name))
        if ref.group not in _CORE or ref.kind != "Service":
            self.unresolved = ("InvalidKind", f"{path}: {ref.kind} is no Service: only Services can be backends")
        elif not self._grants.permit((self._route.ref.kind, self._namespace), "Service", (namespace, ref.name)):
            text = (
                f"{path}.namespace: namespace {namespace} has no ReferenceGrant for Service {ref.name}: add one there"
            )
            self.unresolved = ("RefNotPermitted", text)
        elif service is None:
            self.unresolved = ("BackendNotFound", f"{path}: there is no Service {namespace}/{ref.name}: create it")
        elif ref.port is None or service.port(ref.port) is None:
            self.unresolved = (
                "BackendNotFound",
                f"{path}.port: Service {ref.name} has no port {ref.port}: correct it",
            )
        else:
            return {"host": service.fqdn, "port": {"number": ref.port}}
        return None
