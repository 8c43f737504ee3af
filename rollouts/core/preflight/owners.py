"""Whether anybody else moves this Service's requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.core.preflight.facts import Kind, fails, warns
from rollouts.core.preflight.mesh import names_service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollouts.core.context import Context
    from rollouts.core.preflight.facts import Facts, Finding

__all__ = ["route"]

_CONTROLLERS: Final = {"flagger.app": "Flagger's", "argoproj.io": "Argo's"}


def route(c: Context, f: Facts) -> Finding | None:
    """Is this Rollout the only one that splits the requests?"""
    return _flagger(c, f) or _argo(c, f) or _splits(c, f) or _routes(c, f)


def _flagger(c: Context, f: Facts) -> Finding | None:
    for canary in f.of(Kind.FLAGGER):
        spec, name = canary.get("spec") or {}, canary["metadata"]["name"]
        target = spec.get("targetRef") or {}
        same = target.get("kind") == "Deployment" and target.get("name") == c.names.workload
        service = (spec.get("service") or {}).get("name") or target.get("name")
        if same or service == c.names.host:
            what = f"Deployment {c.names.workload}" if same else f"Service {c.names.host}"
            return fails(
                f"Flagger's Canary {name} releases {what} too: two controllers would move the same requests. Delete the "
                f"Canary (kubectl delete canary.flagger.app {name}), or this Rollout"
            )
    return None


def _argo(c: Context, f: Facts) -> Finding | None:
    for rollout in f.of(Kind.ARGO):
        spec, name = rollout.get("spec") or {}, rollout["metadata"]["name"]
        workload = spec.get("workloadRef") or {}
        same = workload.get("kind") == "Deployment" and workload.get("name") == c.names.workload
        if same or c.names.host in _argo_services(spec):
            what = f"Deployment {c.names.workload}" if same else f"Service {c.names.host}"
            return fails(
                f"Argo's Rollout {name} releases {what} too: two controllers would move the same requests. Delete it "
                f"(kubectl delete rollout.argoproj.io {name}), or this Rollout"
            )
    return None


def _argo_services(spec: Mapping[str, Any]) -> set[str]:
    strategy = spec.get("strategy") or {}
    canary, blue_green = strategy.get("canary") or {}, strategy.get("blueGreen") or {}
    named = (canary.get("stableService"), canary.get("canaryService"), blue_green.get("activeService"))
    return {str(n) for n in named if n}


def _splits(c: Context, f: Facts) -> Finding | None:
    for split in f.splits:
        if (split.get("spec") or {}).get("service") == c.names.host:
            name = split["metadata"]["name"]
            return fails(
                f"TrafficSplit {name} splits the requests of Service {c.names.host} too: one of the two would not be obeyed. Delete it "
                f"(kubectl delete trafficsplit {name})"
            )
    return None


def _routes(c: Context, f: Facts) -> Finding | None:
    """What another controller made is a rival; weights that people wrote are only told."""
    warning = None
    for what, resource, names in (*_http_routes(f), *_virtual_services(c, f)):
        own = c.names.host in names or c.names.canary_service in names
        if not own:
            continue
        named = f"{what} {resource['metadata']['name']}"
        if owner := _owner(resource):
            return fails(
                f"{named} belongs to {owner} and routes requests of Service {c.names.host}: delete its owner, or this Rollout"
            )
        if c.names.canary_service in names:
            return fails(
                f"{named} sends requests to Service {c.names.canary_service} by itself, whatever weight a step has: name only Service "
                f"{c.names.host} in it"
            )
        if len(names) > 1:
            warning = warning or warns(
                f"{named} splits requests between {', '.join(sorted(names))} by weight: a step's weight is a share of what Service "
                f"{c.names.host} gets of them"
            )
    return warning


def _owner(resource: Mapping[str, Any]) -> str:
    for owner in resource["metadata"].get("ownerReferences") or ():
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        if group in _CONTROLLERS:
            return f"{_CONTROLLERS[group]} {owner.get('kind')} {owner.get('name')}"
    return ""


def _http_routes(f: Facts) -> Iterator[tuple[str, Mapping[str, Any], set[str]]]:
    for found in f.of(Kind.HTTP_ROUTES):
        for rule in (found.get("spec") or {}).get("rules") or ():
            backends = [b for b in rule.get("backendRefs") or () if b.get("kind", "Service") == "Service"]
            yield "HTTPRoute", found, {str(b.get("name")) for b in backends if b.get("weight", 1)}


def _virtual_services(c: Context, f: Facts) -> Iterator[tuple[str, Mapping[str, Any], set[str]]]:
    namespace = c.o.subject.namespace
    ours = (c.names.host, c.names.canary_service)
    for found in f.of(Kind.VIRTUAL_SERVICES):
        for rule in (found.get("spec") or {}).get("http") or ():
            routes = rule.get("route") or ()
            destinations = [r.get("destination") or {} for r in routes if len(routes) == 1 or r.get("weight")]
            yield (
                "VirtualService",
                found,
                {
                    next((name for name in ours if names_service(d, name, namespace)), str(d.get("host")))
                    for d in destinations
                },
            )
