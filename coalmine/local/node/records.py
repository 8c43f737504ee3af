"""The state folder: what a next agent must know of the pods that this one runs.

Layout: ``pods/<uid>/pod.json`` (manifest, address, start), ``pods/<uid>/<container>/record.json`` (process and state),
``pods/<uid>/<container>/<n>.log`` (output of the n-th restart), ``pods/<uid>/<container>/work/`` (working folder).
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from coalmine.local.node.containers import Terminated

if TYPE_CHECKING:
    from pathlib import Path

_LOG: Final = logging.getLogger(__name__)

__all__ = ["ContainerRecord", "PodFolder", "PodRecord", "pod_folders"]


@dataclass(frozen=True, kw_only=True)
class ContainerRecord:
    """One container's current or last process.

    Attributes:
        container_id: Id without scheme.
        pid: Leader of its process group.
        identity: What tells this process from another with the same number later (``processes.identity``).
        started_at: When it was started.
        restart_count: How often the container had been started before.
        started: Whether its startup probe had succeeded.
        ended: How it ended, once it has.
        last: How the one before it ended.
    """

    container_id: str
    pid: int
    identity: str
    started_at: datetime
    restart_count: int
    started: bool = False
    ended: Terminated | None = None
    last: Terminated | None = None


@dataclass(frozen=True, kw_only=True)
class PodRecord:
    """One pod of this node: its manifest, its address, and when the node took it."""

    pod: dict[str, Any]
    address: str
    started_at: datetime


class PodFolder:
    """The folder of one pod."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def container(self, name: str) -> Path:
        """Return the folder of a container, which is made where it is missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load_pod(self) -> PodRecord | None:
        """Read the pod's record; None where there is none."""
        found = _load(self.path / "pod.json")
        if found is None:
            return None
        return PodRecord(pod=found["pod"], address=found["address"], started_at=_time(found["started_at"]))

    def save_pod(self, record: PodRecord) -> None:
        """Write the pod's record."""
        _save(self.path / "pod.json", asdict(record))

    def load(self, container: str) -> ContainerRecord | None:
        """Read a container's record; None where it was never started."""
        found = _load(self.path / container / "record.json")
        if found is None:
            return None
        known = found | {
            "started_at": _time(found["started_at"]),
            "ended": _terminated(found["ended"]),
            "last": _terminated(found["last"]),
        }
        return ContainerRecord(**known)

    def save(self, container: str, record: ContainerRecord) -> None:
        """Write a container's record."""
        _save(self.container(container) / "record.json", asdict(record))

    def records(self) -> list[ContainerRecord]:
        """Return the records of all containers."""
        found = [self.load(path.parent.name) for path in sorted(self.path.glob("*/record.json"))]
        return [record for record in found if record is not None]

    def log(self, container: str, restart_count: int) -> Path:
        """Return where a container's output goes."""
        return self.path / container / f"{restart_count}.log"

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def pod_folders(state_dir: Path) -> list[PodFolder]:
    """Return the folders of all pods that the node has."""
    return [PodFolder(path) for path in sorted((state_dir / "pods").glob("*/"))]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _terminated(found: dict[str, Any] | None) -> Terminated | None:
    if found is None:
        return None
    times = {"started_at": _time(found["started_at"]), "finished_at": _time(found["finished_at"])}
    return Terminated(**(found | times))


def _load(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        _LOG.warning("record %s is damaged (%s) and left out", path, error)
        return None
    return found


def _save(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    # Renaming is atomic: an agent that is killed here leaves the old record whole.
    fresh.write_text(json.dumps(content, default=datetime.isoformat))
    fresh.replace(path)
