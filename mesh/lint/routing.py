"""Checks of VirtualServices."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from crds.base import format_duration, parse_duration
from mesh.lint.findings import Finding, Severity, finding
from mesh.lint.resources import dicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mesh.ir.services import ServiceKey
    from mesh.lint.resources import Resources
    from mesh.resolve.problems import Ref

__all__ = [
    "host_name",
    "odd_weights",
    "retries_beyond_the_timeout",
    "several_for_one_host",
    "unknown_gateways",
    "unknown_hosts",
    "unknown_subsets",
    "unreachable_rules",
    "wrong_ports",
]

_FULL: Final = 100
_MESH: Final = "mesh"
_RETRIES: Final = 2
"""How often the mesh tries again where ``attempts`` is not written."""


def host_name(key: ServiceKey) -> str:
    """Return a host as people say it: ``payment.shop``."""
    namespace, name = key
    return f"{name}.{namespace}" if namespace else name


def unknown_subsets(resources: Resources) -> Iterator[Finding]:
    """CM0101: requests to a subset that nobody defines are answered with 503."""
    for place in resources.destinations():
        known = resources.subsets(place.key)
        if not place.subset or place.subset in known:
            continue
        host = host_name(place.key)
        if known:
            text = f"{place.subset} is no subset of {host}: write one of {', '.join(sorted(known))}, or add it there"
        else:
            text = (
                f"no DestinationRule defines subsets of {host}, so requests to {place.subset} get 503: add a "
                f"DestinationRule with host {place.host} and a subset {place.subset} with the labels of its pods"
            )
        yield finding("CM0101", place.ref, f"{place.path}.subset", text)


def unknown_hosts(resources: Resources) -> Iterator[Finding]:
    """CM0102: requests to a host that is no Service and no ServiceEntry go nowhere."""
    for place in resources.destinations():
        if place.key in resources.world.services or is_external(resources, place.key[1]):
            continue
        namespace = place.key[0] or place.ref.namespace
        if place.key[0]:
            text = f"there is no Service {place.key[1]} in namespace {namespace}: correct the name or create it"
        else:
            text = f"{place.host} is no Service and no ServiceEntry: correct the name or add a ServiceEntry for it"
        severity = None
        if not resources.knows("Service", "ServiceEntry", namespace=namespace):
            text, severity = f"{text} (none is in these files)", Severity.INFO
        yield finding("CM0102", place.ref, f"{place.path}.host", text, severity)


def is_external(resources: Resources, host: str) -> bool:
    """Say whether a ServiceEntry makes the host known."""
    for entry in resources.of("ServiceEntry"):
        for known in (entry.get("spec") or {}).get("hosts") or ():
            if known == host or (str(known).startswith("*.") and host.endswith(str(known)[1:])):
                return True
    return False


def odd_weights(resources: Resources) -> Iterator[Finding]:
    """CM0103: weights are proportions, so others than percents are taken and mean something else than they read."""
    for ref, spec in resources.virtual_services():
        for path, rule in _rules(spec):
            weights = [_weight(entry) for entry in dicts(rule.get("route"))]
            if len(weights) < 2 or sum(weights) == _FULL:  # noqa: PLR2004 - a single destination gets all, whatever it says
                continue
            if not sum(weights):
                text = "all weights are 0, so no request is answered: write weights that add up to 100"
                yield finding("CM0103", ref, f"{path}.route", text, Severity.ERROR)
                continue
            shares = " / ".join(f"{100 * weight / sum(weights):.1f} %" for weight in weights)
            text = f"the weights add up to {sum(weights)}, so the shares are {shares}: make them add up to 100"
            yield finding("CM0103", ref, f"{path}.route", text)


def _weight(entry: Mapping[str, Any]) -> int:
    weight = entry.get("weight", 0)
    return weight if isinstance(weight, int) else 0


def several_for_one_host(resources: Resources) -> Iterator[Finding]:
    """CM0104: of several VirtualServices for a host people expect that one wins, or that all count."""
    named: dict[tuple[str, ServiceKey], list[Ref]] = defaultdict(list)
    for ref, spec in resources.virtual_services():
        for gateway in spec.get("gateways") or [_MESH]:
            for host in dict.fromkeys(spec.get("hosts") or ()):
                named[gateway, resources.key(str(host), ref.namespace)].append(ref)
    told = {p.ref for p in resources.world.problems if p.reason == "Shadowed"}
    for (_, key), refs in named.items():
        if len(refs) > 1 and not told.intersection(refs):
            yield _merged("CM0104", "VirtualServices", key, refs)


def _merged(code: str, kind: str, key: ServiceKey, refs: Sequence[Ref]) -> Finding:
    names = ", ".join(f"{r.namespace}/{r.name}" for r in refs)
    text = f"{host_name(key)} has {len(refs)} {kind} ({names}), which act together: one would be easier to read"
    return finding(code, refs[-1], "spec.hosts", text, Severity.INFO)


def retries_beyond_the_timeout(resources: Resources) -> Iterator[Finding]:
    """CM0106: the last tries never happen, or are cut off."""
    for ref, spec in resources.virtual_services():
        for path, rule in _rules(spec):
            retries = rule.get("retries") or {}
            limit, each = _seconds(rule.get("timeout")), _seconds(retries.get("perTryTimeout"))
            attempts = retries.get("attempts", _RETRIES)
            if limit is None or each is None or not attempts or (attempts + 1) * each <= limit:
                continue
            fit = int(limit // each)
            longest = f"{attempts + 1} tries of {format_duration(each)} take {format_duration((attempts + 1) * each)}"
            text = (
                f"{longest}, and the timeout ends the request after {format_duration(limit)}, during try {fit + 1}: "
                f"write timeout: {format_duration((attempts + 1) * each)}, or a perTryTimeout of "
                f"{format_duration(int(limit * 1000 / (attempts + 1)) / 1000)}"
            )
            yield finding("CM0106", ref, f"{path}.retries", text)


def _seconds(value: object) -> float | None:
    try:
        return parse_duration(value) or None
    except ValueError:
        return None


def unreachable_rules(resources: Resources) -> Iterator[Finding]:
    """CM0107: the first rule that matches is used, so nothing comes to those behind one that matches everything."""
    for ref, spec in resources.virtual_services():
        catching = ""
        for path, rule in _rules(spec):
            if catching:
                text = f"{catching} matches every request before it: put this rule in front, or give {catching} a match"
                yield finding("CM0107", ref, path, text)
            elif path.startswith("spec.http") and not rule.get("match"):
                catching = path


def unknown_gateways(resources: Resources) -> Iterator[Finding]:
    """CM0108: a VirtualService for a gateway that is not there has no effect on it."""
    known = {(g["metadata"].get("namespace", ""), g["metadata"]["name"]) for g in resources.of("Gateway")}
    for ref, spec in resources.virtual_services():
        for path, names in _gateways(spec):
            for number, name in enumerate(names):
                namespace, slash, short = str(name).partition("/")
                key = (namespace, short) if slash else (ref.namespace, str(name))
                if name == _MESH or key in known:
                    continue
                text = (
                    f"there is no Gateway {key[1]} in namespace {key[0]}: correct the name, or write mesh for sidecars"
                )
                severity = None
                if not resources.knows("Gateway"):
                    text, severity = f"{text} (none is in these files)", Severity.INFO
                yield finding("CM0108", ref, f"{path}[{number}]", text, severity)


def _gateways(spec: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    yield "spec.gateways", list(spec.get("gateways") or ())
    for path, rule in _rules(spec):
        for number, match in enumerate(dicts(rule.get("match"))):
            yield f"{path}.match[{number}].gateways", list(match.get("gateways") or ())


def wrong_ports(resources: Resources) -> Iterator[Finding]:
    """CM0109: a destination needs a port that its Service has; with several ports it has to say which."""
    for place in resources.destinations():
        service = resources.world.services.get(place.key)
        if service is None or not service.ports:
            continue
        ports = ", ".join(str(p.port) for p in service.ports)
        if place.port is not None and service.port(place.port) is None:
            text = f"Service {host_name(place.key)} has no port {place.port}: write one of {ports}"
            yield finding("CM0109", place.ref, f"{place.path}.port", text)
        elif place.port is None and len(service.ports) > 1:
            text = (
                f"Service {host_name(place.key)} has ports {ports}, and requests keep the port that the caller used: "
                "write port.number where that is not meant"
            )
            yield finding("CM0109", place.ref, f"{place.path}.port", text, Severity.INFO)


def _rules(spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for protocol in ("http", "tls", "tcp"):
        for number, rule in enumerate(dicts(spec.get(protocol))):
            yield f"spec.{protocol}[{number}]", rule
