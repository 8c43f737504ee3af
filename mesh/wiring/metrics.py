"""The control plane's own metrics, beside Istio's standard ones on ``/metrics``: who holds what, until when, and what goes wrong."""

from __future__ import annotations

import importlib.metadata
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily

from mesh.ads.sync import short_name
from mesh.resolve.ejection import capacity
from mesh.xds.resources import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from mesh.ads.session import Session
    from mesh.api.plaintext import Bypass
    from mesh.ca.authority import Authority
    from mesh.ir.services import Workload
    from mesh.resolve.problems import Problem
    from mesh.resolve.world import World

__all__ = ["Facts", "families"]

Proxies = list[tuple["Workload", "Session | None"]]
_HUNDRED: Final = 100.0


@dataclass(frozen=True)
class Facts:
    """What the control plane knows at a scrape.

    Attributes:
        world: The present world; None before everything was observed once.
        proxies: The pods that have a sidecar and run, with their streams.
        authority: Signs the certificates.
        problems: What the authors of resources are told.
        bypass: Returns what comes around a TrafficSplit, by its uid; None where it is nothing worth a word.
        ejections: By proxy (``namespace/pod``): how many endpoints it has ejected now, by the Envoy cluster's name.
    """

    world: World | None
    proxies: Proxies
    authority: Authority
    problems: tuple[Problem, ...]
    bypass: Callable[[str], Bypass | None]
    ejections: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def families(facts: Facts, clock: Callable[[], float] = time.monotonic) -> list[Metric]:
    """Return all of them.

    Args:
        facts: What is known.
        clock: That of the streams.
    """
    info = GaugeMetricFamily("coalmine_mesh_info", "Always 1.", labels=["version"])
    info.add_metric([importlib.metadata.version("coalmine")], 1)
    return [
        info,
        *_proxies(facts.proxies, clock()),
        *_certificates(facts.authority),
        _problems(facts.problems),
        *(_bypasses(facts.world, facts.bypass) if facts.world else ()),
        *(_ejections(facts.world, facts.ejections) if facts.world else ()),
    ]


def _proxies(proxies: Proxies, now: float) -> Iterator[Metric]:
    states: Counter[str] = Counter({"synced": 0, "stale": 0, "disconnected": 0})
    lags = dict.fromkeys(TYPES, 0.0)
    refused = dict.fromkeys(TYPES, 0)
    for _, session in proxies:
        if session is None:
            states["disconnected"] += 1
            continue
        stale = False
        for url, ledger in session.ledgers.items():
            wanted = ledger.desired.keys() if ledger.wildcard else ledger.names
            if ledger.pending and not ledger.pending.isdisjoint(wanted):
                lags[url] = max(lags[url], now - ledger.waiting_since)
                stale = True
            bad = sum(
                1
                for name, r in ledger.refused.items()
                if name in wanted and _is_desired(ledger.desired, name, r.version)
            )
            refused[url] += bad
            stale = stale or bad > 0
        states["stale" if stale else "synced"] += 1
    yield _family(
        "coalmine_mesh_proxies",
        "Running pods with a sidecar: it holds what it should, does not (yet), or has no stream.",
        "state",
        states,
    )
    text = "How long the proxy that waits longest has not answered for what it was to get; 0 where none waits."
    yield _family("coalmine_mesh_sync_lag_seconds", text, "type", {short_name(url): lag for url, lag in lags.items()})
    text = "Resources that proxies refuse now; each proxy's refusal counts."
    yield _family("coalmine_mesh_refused_resources", text, "type", {short_name(u): n for u, n in refused.items()})


def _is_desired(desired: Mapping[str, object], name: str, version: str) -> bool:
    resource = desired.get(name)
    return resource is not None and getattr(resource, "version", "") == version


def _certificates(authority: Authority) -> Iterator[Metric]:
    ends = {
        "root": min(c.not_valid_after_utc.timestamp() for c in authority.roots.certificates),
        "issuer": authority.issuer.expires.timestamp(),
    }
    leaves = [leaf.expires.timestamp() for leaf in authority.issued.values()]
    if leaves:
        ends["workload"] = min(leaves)
    text = "When the first certificate of a kind ends: a trusted root, the issuer, a workload's."
    yield _family("coalmine_mesh_certificate_expiry_timestamp_seconds", text, "kind", ends)
    life = GaugeMetricFamily("coalmine_mesh_certificate_life_seconds", "How long a workload's certificate lives.")
    life.add_metric([], authority.leaf_life.total_seconds())
    yield life


def _problems(problems: Iterable[Problem]) -> Metric:
    text = "What the authors of resources are told by Events at present."
    return _family("coalmine_mesh_problems", text, "reason", Counter(problem.reason for problem in problems))


def _bypasses(world: World, bypass: Callable[[str], Bypass | None]) -> Iterator[Metric]:
    text = "Share of the last two minutes' requests that came around a TrafficSplit; 0 for little or nothing."
    family = GaugeMetricFamily("coalmine_mesh_bypass_ratio", text, labels=["namespace", "split"])
    for rule in world.traffic_splits:
        found = bypass(rule.ref.uid)
        family.add_metric([rule.ref.namespace, rule.ref.name], found.percent / _HUNDRED if found else 0.0)
    yield family


def _ejections(world: World, ejections: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    """Ejection is each caller's own view: of all callers the one counts that has come nearest to the most it may eject."""
    worst: dict[tuple[str, str], tuple[int, int]] = {}
    for proxy, found in ejections.items():
        namespace, _, pod = proxy.partition("/")
        workload = world.workloads.get((namespace, pod))
        if workload is None or workload.gateway or not any(found.values()):
            continue
        for upstream in world.outbound(*world.scope(workload)).upstreams:
            if count := found.get(upstream.key.name, 0):
                most = capacity(len(upstream.endpoints), upstream.policy.outlier_detection.max_ejection_percent).most
                host = upstream.key.host
                worst[host] = max(worst.get(host, (0, most)), (count, most), key=lambda pair: pair[0] / max(pair[1], 1))
    labels = ["namespace", "service"]
    now = GaugeMetricFamily(
        "coalmine_mesh_ejected_endpoints",
        "Endpoints that a caller has ejected, by the caller nearest its cap.",
        labels=labels,
    )
    cap = GaugeMetricFamily(
        "coalmine_mesh_ejectable_endpoints", "How many that caller may eject at a time.", labels=labels
    )
    for host, (count, most) in worst.items():
        now.add_metric(list(host), count)
        cap.add_metric(list(host), most)
    yield now
    yield cap


def _family(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
