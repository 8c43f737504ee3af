"""CronJobs that have not run while calls were observed: what they call cannot be known. Pure."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

from mesh.lint.pods import asks_for_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh.lint.resources import Manifest, Resources

__all__ = ["Unseen", "unseen"]


class Unseen(NamedTuple):
    """A CronJob without a sidecar that has not run."""

    namespace: str
    name: str
    schedule: str


def unseen(cron_jobs: Iterable[Manifest], resources: Resources, since: float) -> list[Unseen]:
    """Return the CronJobs whose pods get no sidecar and that have not been started since a time.

    Args:
        cron_jobs: As the API serves them.
        resources: Knows the namespaces' labels.
        since: Unix seconds.
    """
    found = []
    for job in cron_jobs:
        meta, spec = job["metadata"], job.get("spec") or {}
        template = (((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}).get("metadata") or {}
        if spec.get("suspend") or asks_for_sidecar(template, resources.labels_of(meta["namespace"])):
            continue
        last = (job.get("status") or {}).get("lastScheduleTime")
        if last is None or dt.datetime.fromisoformat(last).timestamp() < since:
            found.append(Unseen(meta["namespace"], meta["name"], spec.get("schedule", "")))
    return sorted(found)
