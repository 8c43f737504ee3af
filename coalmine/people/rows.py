"""Rollouts from the table that the API server prints for kubectl: all that lists of them show, at an eighth of their size.

No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["rollouts_of"]

_TEXTS: Final = {
    "STATUS": "phase",
    "STEP": "step",
    "VERDICT": "verdict",
    "STARTED": "startedAt",
    "MESSAGE": "message",
}
_WEIGHTS: Final = {"WEIGHT": "configured", "ACTUAL": "actual"}
_VERSIONS: Final = {"STABLE": "stable", "CANARY": "canary"}


def rollouts_of(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a table's rows in the form of Rollouts.

    Args:
        table: A ``meta.k8s.io/v1 Table``, its rows with the objects' metadata; or a plain list, which is what servers
            answer that print no tables.

    Returns:
        Of each its metadata and status, without a spec. The status has the phase, step, verdict, message, both weights, the
        start of the release, and of the versions the images; a version's revision is its first image, which tells that there
        is one. What an older definition has no column for is missing.
    """
    if "rows" not in table:
        return list(table.get("items") or ())
    names = [str(column["name"]) for column in table["columnDefinitions"]]
    return [
        {"metadata": row["object"]["metadata"], "status": _status(dict(zip(names, row["cells"], strict=True)))}
        for row in table["rows"]
    ]


def _status(cells: Mapping[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = {field: cells[name] for name, field in _TEXTS.items() if cells.get(name)}
    weight = {field: cells[name] for name, field in _WEIGHTS.items() if cells.get(name) is not None}
    versions = {field: _version(str(cells[name]).split()) for name, field in _VERSIONS.items() if cells.get(name)}
    return {**status, **versions, **({"weight": weight} if weight else {})}


def _version(images: Sequence[str]) -> dict[str, Any]:
    return {"revision": images[0], "images": list(images)}
