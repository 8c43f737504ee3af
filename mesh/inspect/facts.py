"""What there is to say about a pod or a Service, as lines. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from mesh.api.plaintext import Bypass
from mesh.api.splitroutes import AFFINITY_COOKIE
from mesh.lint.pods import asks_for_sidecar
from mesh.lint.resources import dicts
from mesh.resolve.objects import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.api.debug import ProxyStatuses
    from mesh.ir.services import ServiceKey
    from mesh.lint.resources import Manifest, Resources

__all__ = ["Fact", "pod_facts", "service_facts"]

_SHOWN: Final = 3
Named = set[tuple[str, str, str]]
"""Kind, namespace and name of objects."""


class Fact(NamedTuple):
    """A label with its lines."""

    label: str
    lines: tuple[str, ...]
    style: str = ""


def pod_facts(resources: Resources, key: ServiceKey, statuses: ProxyStatuses | None) -> tuple[list[Fact], Named]:
    """Return what there is to say about a pod, and the objects that it depends on."""
    namespace, name = key
    world = resources.world
    pod = world.workloads[key]
    behind = sorted(
        service for service, ports in world.endpoints.items() if any(e.pod == name for p in ports.values() for e in p)
    )
    behind = [service for service in behind if service[0] == namespace]
    ports = ", ".join(f"{p.number} {p.name + ' ' if p.name else ''}({p.protocol})" for p in pod.ports)
    facts = [
        Fact("state", (f"{pod.phase}{', ready' if pod.ready else ', not ready'}, {pod.address or 'no address'}",)),
        Fact("version", (version_of(pod.labels) or "its labels tell none",)),
        Fact("ports", (ports or "declares none: requests to it do not go through its sidecar",)),
        _sidecar(resources, key, statuses),
        Fact("services", tuple(f"{s}.{n}" for n, s in behind) or ("no Service chooses it",)),
    ]
    related: Named = {("Pod", namespace, name)}
    for service in behind:
        more, objects = _rules(resources, service)
        facts += more
        related |= objects | {("Service", *service)}
    if pod.meshed:
        modes = ", ".join(f"{p.number} {world.peers.mode(pod, p.number)}" for p in pod.ports)
        facts.append(Fact("mTLS", (f"in force: {modes}" if modes else "no port is declared",)))
    facts += _security(resources, namespace, dict(pod.labels))
    return facts, related


def service_facts(resources: Resources, key: ServiceKey, statuses: ProxyStatuses | None) -> tuple[list[Fact], Named]:
    """Return what there is to say about a Service, and the objects that it depends on."""
    world = resources.world
    service = world.services[key]
    ports = tuple(f"{p.port} {p.name + ' ' if p.name else ''}to {p.target} ({p.protocol})" for p in service.ports)
    pods: dict[str, set[str]] = defaultdict(set)
    for endpoint in (e for found in world.endpoints.get(key, {}).values() for e in found):
        pods[endpoint.version or "no version"].add(endpoint.pod)
    lines = [f"{version}: {_listed(names)}" for version, names in sorted(pods.items())]
    rules, related = _rules(resources, key)
    facts = [Fact("ports", ports or ("none",)), Fact("pods", tuple(lines) or ("no ready pod",), "" if lines else "red")]
    without = sorted(
        e.pod
        for names in world.endpoints.get(key, {}).values()
        for e in names
        if e.pod and (w := world.workloads.get((key[0], e.pod))) and not w.meshed
    )
    if without:
        facts.append(Fact("sidecars", (f"{', '.join(dict.fromkeys(without))} have none",), "yellow"))
    if statuses is not None:
        stale = [s for s in statuses.proxies if any(t.status == "STALE" for t in s.types.values())]
        held = (
            f"{len(statuses.proxies) - len(stale)} of {len(statuses.proxies)} proxies of the mesh hold all they should"
        )
        facts.append(Fact("proxies", (held,), "red" if stale else ""))
    return [*facts, *rules, *_security(resources, key[0], dict(service.selector))], related | {("Service", *key)}


def _listed(names: Iterable[str]) -> str:
    """Return how many there are, and the first of them."""
    known = sorted(names)
    return f"{len(known)} ({', '.join(known[:_SHOWN])}{', …' if len(known) > _SHOWN else ''})"


def _sidecar(resources: Resources, key: ServiceKey, statuses: ProxyStatuses | None) -> Fact:
    if not resources.world.workloads[key].meshed:
        pod = next(m for m in resources.of("Pod") if (m["metadata"].get("namespace"), m["metadata"]["name"]) == key)
        asked = asks_for_sidecar(pod["metadata"], resources.labels_of(key[0]))
        return Fact(
            "sidecar", (f"none, though {asked} asks for one" if asked else "none, and nothing asks for one",), "yellow"
        )
    status = next((s for s in statuses.proxies if (s.namespace, s.pod) == key), None) if statuses else None
    if status is None:
        return Fact("sidecar", ("there; the control plane cannot be asked",))
    if not status.connected:
        return Fact("sidecar", ("there, not connected: it keeps what it held last",), "red")
    types = "  ".join(f"{name} {found.status}" for name, found in status.types.items())
    refused = [f"refused {n} {r.name}: {r.message}" for n, t in status.types.items() for r in t.refused]
    return Fact("sidecar", (f"Envoy {status.build}  {types}", *refused), "red" if refused else "")


def _rules(resources: Resources, key: ServiceKey) -> tuple[list[Fact], Named]:
    """Return VirtualServices, DestinationRules and TrafficSplits of a Service."""
    facts, related = [], set()
    for ref, spec in resources.virtual_services():
        if any(resources.key(str(h), ref.namespace) == key for h in spec.get("hosts") or ()):
            related.add(("VirtualService", ref.namespace, ref.name))
            lines = [line for n, rule in enumerate(dicts(spec.get("http"))) for line in _rule(n, rule)]
            facts.append(Fact("routes", (f"VirtualService {ref.namespace}/{ref.name}", *lines)))
    for rule, wanted, host in resources.destination_rules():
        if host == key:
            related.add(("DestinationRule", rule.ref.namespace, rule.ref.name))
            policy = wanted.traffic_policy.dump() if wanted.traffic_policy else {}
            lines = [f"{k}: {_flow(v)}" for k, v in policy.items()]
            lines += [
                f"subset {s.name}: {_labels(s.labels)}, {_count(resources, key, s.labels)}" for s in wanted.subsets
            ]
            facts.append(Fact("treatment", (f"DestinationRule {rule.ref.namespace}/{rule.ref.name}", *lines)))
    for split in resources.of("TrafficSplit"):
        meta, body = split["metadata"], split.get("spec") or {}
        backends = dicts(body.get("backends"))
        names = {(meta.get("namespace", ""), s) for s in (body.get("service"), *(b.get("service") for b in backends))}
        if key in names:
            related.add(("TrafficSplit", meta.get("namespace", ""), meta["name"]))
            facts.append(Fact("split", tuple(_split(split, backends))))
            if around := tuple(_around((split.get("status") or {}).get("bypass"))):
                facts.append(Fact("bypass", around, "yellow"))
    return facts, related


def _rule(number: int, rule: Mapping[str, Any]) -> Iterable[str]:
    matches = [_flow({k: v for k, v in m.items() if k != "name"}) for m in dicts(rule.get("match"))]
    entries = dicts(rule.get("route"))
    total = sum(e.get("weight", 0) for e in entries)
    to = ", ".join(
        _destination(e.get("destination") or {})
        + (f" {100 * e.get('weight', 0) / total:.3g} %" if total and len(entries) > 1 else "")
        for e in entries
    )
    if not to:
        to = next((f"{k} {_flow(rule[k])}" for k in ("redirect", "directResponse", "delegate") if k in rule), "nothing")
    extras = [f"{k} {_flow(rule[k])}" for k in ("timeout", "retries", "fault", "mirror", "rewrite") if k in rule]
    when = " or ".join(matches) or "everything else" if number or matches else "everything"
    yield f"{number + 1}. {when} → {to}{'; ' if extras else ''}{', '.join(extras)}"


def _destination(place: Mapping[str, Any]) -> str:
    port = (place.get("port") or {}).get("number")
    return f"{place.get('host', '')}{':' + str(port) if port else ''}{' subset ' + place['subset'] if place.get('subset') else ''}"


def _split(split: Manifest, backends: list[dict[str, Any]]) -> Iterable[str]:
    status = split.get("status") or {}
    weights = ", ".join(f"{b.get('service')} {b.get('weight')} %" for b in backends)
    meta = split["metadata"]
    yield f"TrafficSplit {meta.get('namespace', '')}/{meta['name']}: {weights}"
    yield from _besides(split.get("spec") or {})
    acknowledged, proxies = status.get("acknowledged") or {}, status.get("proxies") or {}
    if acknowledged.get("generation") == meta.get("generation"):
        yield f"in force on all {proxies.get('affected', 0)} proxies since {acknowledged.get('time', '')}"
        return
    old = ", ".join(f"{name} {weight} %" for name, weight in (acknowledged.get("weights") or {}).items())
    yield f"acknowledged by {proxies.get('acknowledged', 0)} of {proxies.get('affected', 0)} proxies; in force before: {old or 'none'}"
    for rejection in status.get("rejections") or ():
        yield f"{rejection.get('proxy')} refused it: {rejection.get('message')}"


def _besides(spec: Mapping[str, Any]) -> Iterable[str]:
    """Yield what a split says besides its weights."""
    for number, route in enumerate(dicts(spec.get("routes"))):
        when = " or ".join(_flow(match) for match in dicts(route.get("match")))
        yield f"before the weights, {route.get('name') or number}: {when} → {route.get('service')}"
    if isinstance(mirror := spec.get("mirror"), dict):
        when = " or ".join(_flow(match) for match in dicts(mirror.get("match")))
        yield f"copies of {mirror.get('percent', 100)} %{' of ' + when if when else ''} → {mirror.get('service')}"
    if isinstance(affinity := spec.get("sessionAffinity"), dict):
        yield f"callers stay on their side by cookie {affinity.get('cookie', AFFINITY_COOKIE)}"


def _around(status: object) -> Iterable[str]:
    """Yield what comes around a split, as its status says it."""
    if not isinstance(status, dict):
        return
    bypass = Bypass.model_validate(status)
    yield (
        f"{bypass.around} of {bypass.requests} requests in {bypass.seconds} s ({bypass.percent:.0f} %) come around the "
        f"split, as of {bypass.time}"
    )
    yield from (f"{source.source}: {source.requests}" for source in bypass.sources)
    yield "so the backends really get " + ", ".join(f"{name} {share:g} %" for name, share in bypass.shares.items())


def _security(resources: Resources, namespace: str, labels: Mapping[str, str]) -> list[Fact]:
    """Return the security resources that select a workload, as they are written."""
    facts = []
    for kind, label in (
        ("PeerAuthentication", "mTLS"),
        ("AuthorizationPolicy", "access"),
        ("RequestAuthentication", "tokens"),
    ):
        lines = []
        for manifest in resources.of(kind):
            meta, spec = manifest["metadata"], manifest.get("spec") or {}
            chosen = (spec.get("selector") or {}).get("matchLabels") or {}
            if meta.get("namespace") == namespace and chosen.items() <= labels.items():
                rest = {k: v for k, v in spec.items() if k != "selector"}
                lines.append(f"{kind} {namespace}/{meta['name']}: {_flow(rest) if rest else 'empty'}")
        if lines:
            facts.append(Fact(label, tuple(lines)))
    return facts


def _count(resources: Resources, key: ServiceKey, labels: Mapping[str, str]) -> str:
    found = {e.pod for p in resources.world.endpoints.get(key, {}).values() for e in p if labels.items() <= {*e.labels}}
    return "1 pod" if len(found) == 1 else f"{len(found)} pods"


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items())) or "all"


def _flow(value: object) -> str:
    """Return a value as one line of YAML without its outer braces."""
    if isinstance(value, str):
        return value
    text = (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
        .strip()
        .removesuffix("\n...")
        .strip()
    )
    return text.removeprefix("{").removesuffix("}") if text.startswith("{") and text.endswith("}") else text
