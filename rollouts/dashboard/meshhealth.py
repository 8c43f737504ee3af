"""The mesh's health: proxies and what they hold, certificates, ejections, calls around it. Pure; from the mesh's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.dashboard.calls import around_edges
from rollouts.views.words import unix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["mesh_view"]

_MOST_ITEMS: Final = 2000
_STATUSES: Final = ("SYNCED", "NOT SENT", "STALE", "DISCONNECTED")


def mesh_view(
    proxies: Mapping[str, Any],
    certificates: Mapping[str, Any],
    ejections: Mapping[str, Any],
    graph: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """Return the view.

    Args:
        proxies: What ``GET /v1/proxies`` of the mesh said.
        certificates: ``GET /v1/certificates``.
        ejections: ``GET /v1/ejections``.
        graph: ``GET /v1/graph``.
        now: Unix seconds.
    """
    ejected = _ejected(ejections)
    items = [_proxy(p, ejected["by"]) for p in proxies.get("proxies") or ()]
    items.sort(key=lambda p: (-_STATUSES.index(p["status"]), -(p["ejected"] or 0), p["namespace"], p["pod"]))
    by_status = [p["status"] for p in items]
    return {
        "at": now,
        "problem": "",
        "proxies": {
            "total": len(items),
            "connected": sum(p["connected"] for p in items),
            "synced": by_status.count("SYNCED"),
            "stale": by_status.count("STALE"),
            "items": items[:_MOST_ITEMS],
        },
        "certificates": _certificates(certificates),
        "ejections": ejected["hosts"],
        "bypass": [{k: v for k, v in edge.items() if k != "sourceKind"} for edge in around_edges(graph)],
    }


def _proxy(raw: Mapping[str, Any], ejected: Mapping[str, int]) -> dict[str, Any]:
    types = raw.get("types") or {}
    connected = bool(raw.get("connected"))
    # A type that was never sent is one that this proxy does not use, as long as it has any.
    statuses = [t.get("status", "NOT SENT") for t in types.values()]
    worst = "STALE" if "STALE" in statuses else "SYNCED" if "SYNCED" in statuses else "NOT SENT"
    return {
        "namespace": raw.get("namespace", ""),
        "pod": raw.get("pod", ""),
        "connected": connected,
        "build": raw.get("build", ""),
        "status": worst if connected else "DISCONNECTED",
        "refused": [
            {"type": name, "name": r.get("name", ""), "message": r.get("message", "")}
            for name, one in types.items()
            for r in one.get("refused") or ()
        ],
        "ejected": ejected.get(f"{raw.get('namespace', '')}/{raw.get('pod', '')}", 0) if connected else None,
    }


def _ejected(raw: Mapping[str, Any]) -> dict[str, Any]:
    hosts: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    by: dict[str, int] = {}
    for row in raw.get("ejections") or ():
        key = (row["namespace"], row["service"], row.get("subset", ""), row.get("port", 0))
        found = hosts.setdefault(
            key,
            {
                **dict(zip(("namespace", "service", "subset", "port"), key, strict=True)),
                "ejected": 0,
                "proxies": 0,
                "total": row.get("total", 0),
            },
        )
        found["ejected"] = max(found["ejected"], row["ejected"])
        found["proxies"] += 1
        by[row["proxy"]] = by.get(row["proxy"], 0) + row["ejected"]
    return {"hosts": [hosts[key] for key in sorted(hosts)], "by": by}


def _certificates(raw: Mapping[str, Any]) -> dict[str, Any]:
    workloads = [
        {
            **_certificate(c),
            "namespace": c.get("namespace", ""),
            "pod": c.get("pod", ""),
            "status": c.get("status", ""),
        }
        for c in raw.get("workloads") or ()
    ]
    workloads.sort(key=lambda c: c["notAfter"] or 0.0)
    issuer, roots = raw.get("issuer"), [_certificate(c) for c in raw.get("roots") or ()]
    every = [*workloads, *roots, *([_certificate(issuer)] if issuer else [])]
    return {
        "source": raw.get("source", ""),
        "phase": raw.get("phase", ""),
        "problem": raw.get("problem", ""),
        "issuer": _certificate(issuer) if issuer else None,
        "roots": roots,
        "workloads": workloads[:_MOST_ITEMS],
        "soonest": _soonest(every),
    }


def _soonest(certificates: Iterable[Mapping[str, Any]]) -> float | None:
    return min((c["notAfter"] for c in certificates if c["notAfter"] is not None), default=None)


def _certificate(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "subject": raw.get("subject", ""),
        "issuer": raw.get("issuer", ""),
        "notAfter": unix(raw.get("notAfter")),
    }
