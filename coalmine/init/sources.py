"""Where Deployment and Services come from: manifests, or the cluster."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coalmine.kubectl import AbsentError, Kubectl, KubectlError
from coalmine.lint.documents import read_documents
from coalmine.lint.shapes import misshapen

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Found", "from_cluster", "from_files"]

_ROLLOUTS: Final = "rollouts.coalmine.dev"


@dataclass
class Found:
    """What there is.

    Attributes:
        deployment: The one that is to be released.
        services: Those of its namespace.
        rollout: A Rollout that it has already, in words; empty for none.
        namespace: To be written into the Rollout; empty for none.
        labels: The namespace's; None where they are not known.
        folder: Where its manifest is.
    """

    deployment: dict[str, Any]
    services: list[dict[str, Any]] = field(default_factory=list)
    rollout: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    folder: Path = field(default_factory=Path)


def from_files(paths: Iterable[Path], name: str | None, namespace: str | None) -> Found:
    """Return what manifests hold.

    Raises:
        ClickException: They have no such Deployment, or several.
    """
    documents = [d for path in _files(paths) for d in read_documents(path.read_text(encoding="utf-8"), str(path))[0]]
    sound = [d for d in documents if not any(True for _ in misshapen(d.value["kind"], d.value))]
    deployments = [d for d in sound if d.value["kind"] == "Deployment" and _in(d.value, namespace)]
    names = sorted({d.value["metadata"]["name"] for d in deployments})
    chosen = _choose(names, name, "these files")
    document = next(d for d in deployments if d.value["metadata"]["name"] == chosen)
    space = str(document.value["metadata"].get("namespace") or "")
    beside = [d for d in sound if str(d.value["metadata"].get("namespace") or "") == space]
    rollout = ""
    for other in documents:
        spec = other.value.get("spec")
        ref = spec.get("workloadRef") if isinstance(spec, dict) else None
        if (
            other.value["apiVersion"].startswith("coalmine.dev/")
            and isinstance(ref, dict)
            and ref.get("name") == chosen
        ):
            rollout = f"{other.subject} in {other.file}"
    return Found(
        document.value,
        [d.value for d in beside if d.value["kind"] == "Service"],
        rollout,
        space or namespace or "",
        folder=Path(document.file).parent,
    )


def from_cluster(kubectl: Kubectl, name: str | None, namespace: str | None) -> Found:
    """Return what the cluster has.

    Raises:
        ClickException: It cannot be reached, or has no such Deployment, or several.
    """
    space = namespace or kubectl.namespace()
    listed = kubectl.object("get", "deployments.apps", "-n", space)["items"]
    people = [d for d in listed if (d["metadata"].get("labels") or {}).get("coalmine.dev/role") != "canary"]
    chosen = _choose(sorted(d["metadata"]["name"] for d in people), name, f"namespace {space}")
    deployment = next(d for d in people if d["metadata"]["name"] == chosen)
    return Found(
        deployment,
        kubectl.object("get", "services", "-n", space)["items"],
        _rollout(kubectl, space, chosen),
        space,
        _labels(kubectl, space),
    )


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += (
            [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in {".yaml", ".yml", ".json"})
        )
    return found


def _in(value: dict[str, Any], namespace: str | None) -> bool:
    own = value["metadata"].get("namespace")
    return namespace is None or own is None or own == namespace


def _choose(names: list[str], wanted: str | None, where: str) -> str:
    if wanted in names:
        return str(wanted)
    if not names:
        raise click.ClickException(f"{where} has no Deployment" if where[0] == "n" else f"{where} have no Deployment")
    listed = ", ".join(names)
    if wanted:
        near = difflib.get_close_matches(wanted, names, n=1)
        raise click.ClickException(
            f"there is no Deployment {wanted} in {where}: {f'did you mean {near[0]}? ' if near else ''}there is {listed}"
        )
    if len(names) > 1:
        raise click.ClickException(f"say which Deployment: coalmine init NAME, where NAME is one of {listed}")
    return names[0]


def _rollout(kubectl: Kubectl, namespace: str, workload: str) -> str:
    try:
        items = kubectl.object("get", _ROLLOUTS, "-n", namespace)["items"]
    except KubectlError:
        return ""
    mine = (r for r in items if ((r.get("spec") or {}).get("workloadRef") or {}).get("name") == workload)
    return next((f"Rollout {r['metadata']['name']} in namespace {namespace}" for r in mine), "")


def _labels(kubectl: Kubectl, namespace: str) -> dict[str, str] | None:
    try:
        return dict(kubectl.object("get", "namespace", namespace)["metadata"].get("labels") or {})
    except (AbsentError, KubectlError):
        return None
