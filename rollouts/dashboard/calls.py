"""Who calls whom, as a graph of Services with their versions. Pure; from the mesh's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["around_edges", "graph_view", "health_of"]

MOST_EDGES: Final = 1500
_BAD_ERRORS: Final = 0.05
_SOME_ERRORS: Final = 0.001
_SLOWER: Final = 1.5
_SLOWER_MS: Final = 10.0
_WORST: Final = ("idle", "good", "warn", "bad")
_CLUSTER_KINDS: Final = {"Address": "address", "Node": "node"}


def health_of(requests: float, error_rate: float | None) -> str:
    """Return the colour of some requests: ``idle``, ``good``, ``warn`` or ``bad``."""
    if not requests:
        return "idle"
    if error_rate is None or error_rate < _SOME_ERRORS:
        return "good"
    return "bad" if error_rate >= _BAD_ERRORS else "warn"


def graph_view(answer: Mapping[str, Any], hosts: Mapping[str, str], now: float) -> dict[str, Any]:
    """Return the graph.

    Args:
        answer: What ``GET /v1/graph`` of the mesh said.
        hosts: Rollouts (``namespace/name``) by the Service that they split (``namespace/name``).
        now: Unix seconds.
    """
    seconds = float(answer.get("seconds") or 0.0)
    mesh = sorted(answer.get("edges") or (), key=lambda e: -e.get("requests", 0))
    shown, left_out = mesh[:MOST_EDGES], max(0, len(mesh) - MOST_EDGES)
    around = around_edges(answer)
    services: dict[str, list[Mapping[str, Any]]] = {}
    for row in answer.get("services") or ():
        services.setdefault(_id(row["destination"]), []).append(row)
    nodes = {name: _node(name, services.get(name, ()), hosts.get(name)) for name in _names(shown)}
    for edge in around:
        for name, kind in ((edge["source"], edge["sourceKind"]), (edge["target"], "service")):
            nodes.setdefault(name, {**_node(name, services.get(name, ()), hosts.get(name)), "kind": kind})
    return {
        "at": now,
        "seconds": seconds,
        "problem": f"{left_out} edges with the fewest requests are left out" if left_out else "",
        "nodes": [nodes[name] for name in sorted(nodes)],
        "edges": [*_edges(shown), *({k: v for k, v in e.items() if k != "sourceKind"} for e in around)],
    }


def around_edges(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that came around the mesh as edges; ``sourceKind`` says what calls."""
    edges: dict[str, dict[str, Any]] = {}
    for row in answer.get("around") or ():
        source, target = row["source"], _id(row["destination"])
        name = "/".join(part for part in (source.get("namespace", ""), source["name"]) if part)
        kind = _CLUSTER_KINDS.get(source.get("kind", ""), "workload")
        requests, refused = row.get("requests", 0), row.get("refused", 0)
        edge = edges.setdefault(
            f"{name}>{target}>bypass",
            {
                **_edge(name, target, "bypass"),
                "sourceKind": kind,
                "health": "warn",
                "mtls": 0.0,
                "words": row.get("words", ""),
            },
        )
        edge["requests"] += requests
        edge["rate"] = _rounded(edge["rate"] + row.get("rate", 0.0))
        edge["refused"] += refused
    return list(edges.values())


def _edges(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((_id(row["source"]), _id(row["destination"])), []).append(row)
    edges = []
    for (source, target), parts in sorted(found.items()):
        versions = _versions(parts)
        known = [(p["mutual"], p["requests"]) for p in parts if p.get("mutual") is not None]
        weight = sum(requests for _, requests in known)
        share = sum(mutual * requests for mutual, requests in known) / weight if weight else None
        if share is None and known:
            share = sum(mutual for mutual, _ in known) / len(known)
        edges.append(
            {
                **_edge(source, target, "mesh"),
                **_sums(parts),
                "health": _worst(v["health"] for v in versions),
                "mtls": None if share is None else _rounded(share),
                "versions": versions,
            }
        )
    return edges


def _edge(source: str, target: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"{source}>{target}>{kind}",
        "source": source,
        "target": target,
        "kind": kind,
        "rate": 0.0,
        "requests": 0,
        "errorRate": None,
        "p50Ms": None,
        "p99Ms": None,
        "health": "idle",
        "mtls": None,
        "refused": 0,
        "words": "",
        "versions": [],
    }


def _node(name: str, rows: Iterable[Mapping[str, Any]], rollout: str | None) -> dict[str, Any]:
    namespace, _, short = name.rpartition("/")
    parts = list(rows)
    versions, sums = _versions(parts), _sums(parts)
    return {
        "id": name,
        "namespace": namespace,
        "name": short,
        "kind": "service",
        "rollout": rollout,
        "rate": sums["rate"],
        "errorRate": sums["errorRate"],
        "p99Ms": sums["p99Ms"],
        "health": _worst(v["health"] for v in versions),
        "versions": versions,
    }


def _versions(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    parts = list(rows)
    total = sum(p.get("requests", 0) for p in parts)
    split = len({p.get("backend") for p in parts}) > 1
    versions = []
    for part in parts:
        requests, slower = part.get("requests", 0), _slower(part, parts)
        error_rate = part.get("requestErrors", 0) / requests if requests else None
        health = health_of(requests, error_rate)
        versions.append(
            {
                "backend": part.get("backend", ""),
                "version": part.get("version", ""),
                "role": _role(part) if split else "",
                "pods": part.get("pods", 0),
                "rate": _rounded(part.get("rate", 0.0)),
                "share": _rounded(requests / total) if total else None,
                "errorRate": None if error_rate is None else _rounded(error_rate),
                "p50Ms": part.get("p50Ms"),
                "p99Ms": part.get("p99Ms"),
                "health": "warn" if slower and health == "good" else health,
            }
        )
    return versions


def _role(part: Mapping[str, Any]) -> str:
    return "stable" if part.get("backend") == part["destination"]["name"] else "canary"


def _slower(part: Mapping[str, Any], parts: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a version's p99 is well above that of another one of the same host."""
    own = part.get("p99Ms")
    others = [p["p99Ms"] for p in parts if p is not part and p.get("p99Ms") is not None]
    return bool(own and others and own > _SLOWER * min(others) and own > min(others) + _SLOWER_MS)


def _sums(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = list(parts)
    requests = sum(p.get("requests", 0) for p in rows)
    errors = sum(p.get("requestErrors", 0) for p in rows)
    return {
        "rate": _rounded(sum(p.get("rate", 0.0) for p in rows)),
        "requests": requests,
        "errorRate": _rounded(errors / requests) if requests else None,
        "p50Ms": _highest(rows, "p50Ms"),
        "p99Ms": _highest(rows, "p99Ms"),
    }


def _highest(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """Return the slowest version's latency: percentiles cannot be added up, and the worst is what people look for."""
    return max((r[name] for r in rows if r.get(name) is not None), default=None)


def _worst(healths: Iterable[str]) -> str:
    return max(healths, key=_WORST.index, default="idle")


def _names(edges: Iterable[Mapping[str, Any]]) -> set[str]:
    return {_id(end) for edge in edges for end in (edge["source"], edge["destination"])}


def _id(node: Mapping[str, Any]) -> str:
    return f"{node['namespace']}/{node['name']}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
