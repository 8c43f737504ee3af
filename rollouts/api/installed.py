"""Everything that is put before the API server's storage where it has MutatingAdmissionPolicy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollouts.api.admission import policy_objects
from rollouts.api.author import author_policy_objects
from rollouts.api.floors import AUTOSCALERS, floor_policy_objects
from rollouts.api.stamps import guard_objects, stamp_policy_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["every_policy"]


def every_policy(version: str, autoscalers: Sequence[str] = AUTOSCALERS) -> list[dict[str, Any]]:
    """Return the policies of hold, autoscalers' floor, approvals and authors, each with its binding.

    Args:
        version: Of admissionregistration.k8s.io; see ``rollouts.api.admission.policy_version``.
        autoscalers: Users who may not shrink what a release needs.
    """
    return [
        *policy_objects(version),
        *floor_policy_objects(version, autoscalers),
        *guard_objects(),
        *stamp_policy_objects(version),
        *author_policy_objects(version),
    ]
