"""A Kubernetes Job: 1 when it succeeds, 0 when it fails. One Job for each measurement, also across restarts."""

from __future__ import annotations

import copy
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from analysis.providers.base import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.api.services import Job
    from analysis.providers.base import Context, Jobs, ValueSource

__all__ = ["job_of", "open_values"]

SUBJECT_ANNOTATION: Final = "coalmine.dev/measures"
"""On a Job: which metric of which release it measures."""
LABELS: Final = {"app.kubernetes.io/component": "analysis"}
"""On a Job and its pods."""
_MANAGED: Final = {"app.kubernetes.io/managed-by": "coalmine"}
_KEPT_SECONDS: Final = 3600
# A Job's name is a label of its pods, and those get a suffix.
_LONGEST_NAME: Final = 52


def open_values(settings: Job, context: Context) -> ValueSource:
    """Return the source that runs a Job for each measurement.

    Raises:
        ConfigurationError: There is no cluster to run it in.
    """
    if context.jobs is None:
        msg = "the job provider needs a cluster to run Jobs in: use another provider where there is none"
        raise ConfigurationError(msg)
    return _Source(settings, context, context.jobs)


class _Source:
    def __init__(self, settings: Job, context: Context, jobs: Jobs) -> None:
        self._settings = settings
        self._context = context
        self._jobs = jobs

    async def measure(self, at: float) -> float | None:
        job = await self._jobs.run(self._job(at))
        ended = {
            condition["type"]: condition
            for condition in (job.get("status") or {}).get("conditions") or ()
            if condition.get("status") == "True"
        }
        if "Complete" in ended:
            return 1.0
        if "Failed" in ended:
            return 0.0
        msg = f"Job {_name(self._context.subject, at)} has not ended: it is read again at the next measurement"
        raise UnavailableError(msg)

    async def close(self) -> None:
        """Leave the Jobs alone: one that still runs is found again by its name."""

    def _job(self, at: float) -> Mapping[str, Any]:
        subject = self._context.subject
        return job_of(self._settings, _name(subject, at), labels=LABELS, annotations={SUBJECT_ANNOTATION: subject})


def job_of(settings: Job, name: str, *, labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    """Return a Job as it is created, with the defaults of what runs once and is not asked again.

    Args:
        settings: What people wrote.
        name: Its name.
        labels: More labels, of the Job and its pods.
        annotations: More annotations of the Job.
    """
    ours = {**_MANAGED, **labels}
    spec = {"backoffLimit": 0, "ttlSecondsAfterFinished": _KEPT_SECONDS, **copy.deepcopy(settings.spec)}
    template = spec["template"]
    template["spec"] = {"restartPolicy": "Never", **template["spec"]}
    metadata = {**(template.get("metadata") or {})}
    template["metadata"] = {**metadata, "labels": {**(metadata.get("labels") or {}), **ours}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {**settings.metadata.labels, **ours},
            "annotations": {**settings.metadata.annotations, **annotations},
        },
        "spec": spec,
    }


def _name(subject: str, at: float) -> str:
    """Return the one name of one measurement: readable as far as it fits, and a hash that tells it from all others."""
    digest = hashlib.sha256(f"{subject}@{at:.3f}".encode()).hexdigest()[:10]
    words = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[: _LONGEST_NAME - len(digest) - 1].strip("-")
    return f"{words or 'analysis'}-{digest}"
