"""What the author of a VirtualService is told beyond fields that the mesh does not know: nothing is silently ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.api import httpactions as actions
from mesh.api.virtualservice import MESH_GATEWAY
from mesh.resolve.formats import literal_parts
from mesh.resolve.httpactions import retry_words
from mesh.resolve.httpmatches import IGNORED_HEADERS, match_problems
from mesh.resolve.regexes import regex_problem, rewrite_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.api import virtualservice as vs

__all__ = ["check_virtual_service"]

_ONLY_ON_THE_WAY = ("rewrite", "timeout", "retries", "mirror", "mirrors", "mirrorPercentage", "mirrorPercent")


def check_virtual_service(spec: vs.VirtualServiceSpec) -> Iterator[tuple[str, str]]:
    """Return reason and sentence of everything that has not the effect it may seem to have.

    Fields that the models do not know are told elsewhere (``mesh.api.istio.unimplemented``).
    """
    for index, http in enumerate(spec.http):
        path = f"spec.http[{index}]"
        yield from _matches(http, path)
        yield from _destinations(http, path)
        if http.redirect or http.direct_response:
            yield from _no_effect_beside(http, path)
        if http.rewrite and http.rewrite.uri_regex_rewrite:
            yield from _regex_rewrite(http.rewrite.uri_regex_rewrite, f"{path}.rewrite.uriRegexRewrite")
        yield from _retries(http, path)
        yield from _faults(http, path)
        yield from _cors(http, path)
        yield from _headers(http.headers, f"{path}.headers")
        for number, entry in enumerate(http.route):
            yield from _headers(entry.headers, f"{path}.route[{number}].headers")
    yield from _connections(spec)


def _regex_rewrite(wanted: actions.RegexRewrite, path: str) -> Iterator[tuple[str, str]]:
    if said := regex_problem(wanted.match):
        yield "Invalid", f"{path}.match: {said}; until then the rule answers 501"
    elif said := rewrite_problem(wanted.match, wanted.rewrite):
        yield "Invalid", f"{path}.rewrite: {said}; until then the rule answers 501"


def _matches(http: vs.HttpRoute, path: str) -> Iterator[tuple[str, str]]:
    for index, match in enumerate(http.match):
        here = f"{path}.match[{index}]"
        for said in match_problems(match, here):
            if not said.endswith("is not implemented"):  # told with all others of that kind
                yield "Invalid", f"{said}; until then this match takes no request"
        for name in ("headers", "without_headers"):
            for key in sorted({k.lower() for k in getattr(match, name)} & IGNORED_HEADERS):
                text = f"{here}.{name.replace('_h', 'H')}[{key}] has no effect, as in Istio: use {here}.{key}"
                yield "NoEffect", text
        if match.ignore_uri_case and match.uri and match.uri.regex:
            yield "NoEffect", f"{here}.ignoreUriCase has no effect on a regex: begin the regex with (?i)"


def _destinations(http: vs.HttpRoute, path: str) -> Iterator[tuple[str, str]]:
    if not (http.route or http.redirect or http.direct_response or http.delegate):
        yield "Invalid", f"{path}: has no route, redirect, directResponse or delegate, so it answers 501: add one"
    if len(http.route) > 1 and not any(d.weight for d in http.route):
        yield "Invalid", f"{path}.route: no destination has a weight, so the rule answers 501: give one a weight"
    if (http.mirror_percentage or http.mirror_percent is not None) and not http.mirror:
        yield "NoEffect", f"{path}.mirrorPercentage has no effect without mirror: write mirrors[].percentage"


def _no_effect_beside(http: vs.HttpRoute, path: str) -> Iterator[tuple[str, str]]:
    answer = "redirect" if http.redirect else "directResponse"
    written = http.model_dump(by_alias=True, exclude_unset=True)
    for name in _ONLY_ON_THE_WAY:
        if written.get(name):
            yield "NoEffect", f"{path}.{name} has no effect beside {answer}: remove it"


def _retries(http: vs.HttpRoute, path: str) -> Iterator[tuple[str, str]]:
    if http.retries:
        for word in retry_words(http.retries.retry_on)[2]:
            yield "NoEffect", f"{path}.retries.retryOn: {word[:50]!r} is not a condition that Envoy knows: correct it"


def _older(fault: actions.FaultDelay | actions.FaultAbort) -> bool:
    return isinstance(fault, actions.FaultDelay) and fault.percent is not None


def _faults(http: vs.HttpRoute, path: str) -> Iterator[tuple[str, str]]:
    faults = {"delay": http.fault.delay, "abort": http.fault.abort} if http.fault else {}
    for name, fault in faults.items():
        if fault and fault.percentage is None and not _older(fault):
            what = "delayed" if name == "delay" else "aborted"
            text = f"{path}.fault.{name}.percentage is missing, so no request is {what}, as in Istio: write it"
            yield "NoEffect", text


def _cors(http: vs.HttpRoute, path: str) -> Iterator[tuple[str, str]]:
    policy: actions.CorsPolicy | None = http.cors_policy
    if policy is None:
        return
    here = f"{path}.corsPolicy"
    for index, origin in enumerate(policy.allow_origins):
        where = f"{here}.allowOrigins[{index}]"
        if origin.regex is not None and (said := regex_problem(origin.regex)):
            yield "Invalid", f"{where}.regex: {said}; until then this origin is not allowed"
        if not (origin.exact is not None or origin.prefix or origin.regex is not None):
            yield "NoEffect", f"{where} compares with nothing and allows no origin: write exact, prefix or regex"
    if policy.allow_origins and policy.allow_origin:
        yield "NoEffect", f"{here}.allowOrigin has no effect beside allowOrigins: remove it"


def _headers(headers: actions.Headers | None, path: str) -> Iterator[tuple[str, str]]:
    both = {"request": headers.request, "response": headers.response} if headers else {}
    for side, operations in both.items():
        if operations is None:
            continue
        here = f"{path}.{side}"
        for verb, values in (("set", operations.set), ("add", operations.add)):
            for name, value in values.items():
                if name.lower() in {"host", ":authority"} and (side, verb) != ("request", "set"):
                    yield "NoEffect", f"{here}.{verb}[{name}] has no effect: only request.set can change the host"
                for part in literal_parts(value):
                    text = f"{here}.{verb}[{name}]: {part[:50]!r} is not a value that Envoy can fill in; it is sent as it is"
                    yield "NoEffect", text
        for name in operations.remove:
            if name.lower() in {"host", ":authority"}:
                yield "NoEffect", f"{here}.remove[{name}] has no effect: a request always has a host"


def _connections(spec: vs.VirtualServiceSpec) -> Iterator[tuple[str, str]]:
    routes = [(f"spec.tls[{i}]", rule.route) for i, rule in enumerate(spec.tls)]
    routes += [(f"spec.tcp[{i}]", rule.route) for i, rule in enumerate(spec.tcp)]
    for path, route in routes:
        if len(route) > 1 and not any(d.weight for d in route):
            yield "Invalid", f"{path}.route: no destination has a weight, so no connection is taken: give one a weight"
    named = {g for rule in spec.http for m in rule.match for g in m.gateways} - set(spec.gateways)
    for gateway in sorted(named - ({MESH_GATEWAY} if not spec.gateways else set())):
        if spec.hosts:
            yield "NoEffect", f"spec.http: a match names gateway {gateway}, which spec.gateways does not: add it there"
