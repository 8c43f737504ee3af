"""Settings of what runs as code of the user's own: a Kubernetes Job, or a plug-in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from crds.base import Resource

__all__ = ["Job", "JobMetadata", "Plugin"]


class JobMetadata(Resource):
    """Labels and annotations of the Job."""

    labels: Annotated[dict[str, str], Field(max_length=64, default_factory=dict, description="Labels of the Job.")]
    annotations: Annotated[
        dict[str, str], Field(max_length=64, default_factory=dict, description="Annotations of the Job.")
    ]


class Job(Resource):
    """A Kubernetes Job, run once for each measurement: 1 when it succeeds, 0 when it fails."""

    metadata: Annotated[JobMetadata, Field(description="Labels and annotations of the Job.")] = JobMetadata()
    spec: Annotated[
        dict[str, Any],
        Field(
            description="The Job's spec, as of batch/v1. Without them, backoffLimit is 0, the pod's restartPolicy Never "
            "and ttlSecondsAfterFinished an hour; activeDeadlineSeconds says how long it may take."
        ),
    ]

    @field_validator("spec")
    @classmethod
    def _has_pod(cls, spec: dict[str, Any]) -> dict[str, Any]:
        pod = spec.get("template") or {}
        if not (isinstance(pod, dict) and (pod.get("spec") or {}).get("containers")):
            msg = "template.spec.containers is missing: write what the Job runs"
            raise ValueError(msg)
        return spec


class Plugin(Resource):
    """A source of an installed plug-in (entry-point group ``coalmine.providers``)."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the plug-in's entry point.")]
    config: Annotated[
        dict[str, Any], Field(default_factory=dict, description="The plug-in's own settings; it checks them.")
    ]
