"""What our admission policies and webhooks share: whom they look at, and how a policy is bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import ROLE_LABEL, ROLLOUT_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ADMISSION_GROUP",
    "DEPLOYMENT_UPDATES",
    "HELD_DEPLOYMENTS",
    "LABELS",
    "MANAGER",
    "WEBHOOK_TIMEOUT_SECONDS",
    "bound",
]

ADMISSION_GROUP: Final = "admissionregistration.k8s.io"
WEBHOOK_TIMEOUT_SECONDS: Final = 5
LABELS: Final = {"app.kubernetes.io/part-of": "coalmine"}
MANAGER: Final = "has(request.options) && has(request.options.fieldManager) ? request.options.fieldManager : ''"
"""CEL: the request's field manager. Put it in brackets."""
# It matches when either the old or the new object does: dropping the label does not get around the hold.
HELD_DEPLOYMENTS: Final = {
    "matchExpressions": [
        {"key": ROLLOUT_LABEL, "operator": "Exists"},
        {"key": ROLE_LABEL, "operator": "NotIn", "values": ["canary"]},
    ]
}
DEPLOYMENT_UPDATES: Final = {
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "resources": ["deployments"],
    "operations": ["UPDATE"],
    "scope": "Namespaced",
}


def bound(
    kind: str, version: str, name: str, spec: Mapping[str, Any], binding: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return an admission policy and its binding.

    Args:
        kind: ``Mutating`` or ``Validating``.
        version: Of admissionregistration.k8s.io.
        name: Of both.
        spec: The policy's.
        binding: The binding's, besides the policy's name.
    """
    api_version = f"{ADMISSION_GROUP}/{version}"
    metadata = {"name": name, "labels": LABELS}
    return [
        {"apiVersion": api_version, "kind": f"{kind}AdmissionPolicy", "metadata": metadata, "spec": spec},
        {
            "apiVersion": api_version,
            "kind": f"{kind}AdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": name, **(binding or {})},
        },
    ]
