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
    "HELD_UPDATES",
    "LABELS",
    "MANAGER",
    "WEBHOOK",
    "annotation",
    "annotations_of",
    "bound",
    "expect_update",
]

ADMISSION_GROUP: Final = "admissionregistration.k8s.io"
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
HELD_UPDATES: Final = {
    "matchPolicy": "Equivalent",
    "objectSelector": HELD_DEPLOYMENTS,
    "resourceRules": [DEPLOYMENT_UPDATES],
}
"""A policy's ``matchConstraints`` for updates of those Deployments."""
WEBHOOK: Final = {
    "admissionReviewVersions": ["v1"],
    "failurePolicy": "Fail",
    "matchPolicy": "Equivalent",
    "sideEffects": "None",
    "timeoutSeconds": 5,
}
"""What every webhook has that must not be got around."""


def annotation(of: str, key: str) -> str:
    """Return the CEL of an annotation's value; empty where there is none."""
    return f"{of}.metadata.?annotations[?'{key}'].orValue('')"


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """Return an object's annotations."""
    return dict(obj["metadata"].get("annotations") or {})


def expect_update(request: Mapping[str, Any], plural: str) -> None:
    """Check that a webhook is asked about updates of what it is for.

    Raises:
        ValueError: It is something else: the webhook configuration is not ours.
    """
    resource = (request.get("resource") or {}).get("resource")
    if request.get("operation") != "UPDATE" or resource != plural or request.get("subResource"):
        msg = (
            f"asked about {request.get('operation')} of {resource} where updates of {plural} are meant: correct the rules of "
            "the MutatingWebhookConfiguration"
        )
        raise ValueError(msg)


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
