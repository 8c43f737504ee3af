"""Hooks that are Jobs: what is created, and what its end means."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Final

from analysis.providers.job import job_of
from rollouts.api.names import ROLLOUT_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.api.hooks import JobHook
    from rollouts.core.hook_runs import HookOrder

__all__ = ["KEY_ANNOTATION", "hook_job", "outcome"]

KEY_ANNOTATION: Final = "coalmine.dev/hook-key"
"""On a Job: the run that it is for."""
HOOK_LABEL: Final = "coalmine.dev/hook"
_DEADLINE_SECONDS: Final = 3600
_LONGEST_LABEL: Final = 63


def hook_job(order: HookOrder, job: JobHook) -> dict[str, Any]:
    """Return the Job of a run, without namespace and owner."""
    run, event = order.run, order.event
    labels = {"app.kubernetes.io/component": "hook", HOOK_LABEL: run.name}
    if len(str(event["name"])) <= _LONGEST_LABEL:
        labels[ROLLOUT_LABEL] = str(event["name"])
    made = job_of(job.template, run.job, labels=labels, annotations={KEY_ANNOTATION: run.key})
    spec = made["spec"]
    if job.timeout is not None:
        spec["activeDeadlineSeconds"] = math.ceil(job.timeout)
    spec.setdefault("activeDeadlineSeconds", _DEADLINE_SECONDS)
    pod = spec["template"]["spec"]
    for kind in ("initContainers", "containers"):
        if kind in pod:
            pod[kind] = [_told(container, _variables(event)) for container in pod[kind]]
    return made


def _variables(event: Mapping[str, Any]) -> dict[str, str]:
    return {
        "COALMINE_HOOK": str(event["hook"]),
        "COALMINE_POINT": str(event["type"]),
        "COALMINE_ROLLOUT": str(event["name"]),
        "COALMINE_NAMESPACE": str(event["namespace"]),
        "COALMINE_REVISION": str(event["revision"]),
        "COALMINE_STABLE_REVISION": str((event["stable"] or {}).get("revision", "")),
        "COALMINE_CANARY_HOST": str(event["canaryService"]),
        "COALMINE_STABLE_HOST": str(event["service"]),
        "COALMINE_STEP": str(event["step"]),
        "COALMINE_WEIGHT": str(event["weight"]),
    }


def _told(container: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return a container with the variables before its own: its own may refer to them, and win."""
    own = copy.deepcopy(list(container.get("env") or ()))
    taken = {variable.get("name") for variable in own}
    told = [{"name": name, "value": value} for name, value in variables.items() if name not in taken]
    return {**container, "env": [*told, *own]}


def outcome(job: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a Job that has ended succeeded, and that in words."""
    name = (job.get("metadata") or {}).get("name", "")
    held = [c for c in (job.get("status") or {}).get("conditions") or () if c.get("status") == "True"]
    if any(c["type"] == "Complete" for c in held):
        return True, f"Job {name} succeeded"
    failed: Mapping[str, Any] = next((c for c in held if c["type"] == "Failed"), {})
    why = ": ".join(filter(None, (failed.get("reason"), failed.get("message"))))
    return False, f"Job {name} failed: {why or 'it does not say why'} (kubectl logs job/{name})"
