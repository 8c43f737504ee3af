"""The hold: what makes the API server pause a labelled Deployment whose pod template changes.

Either a MutatingAdmissionPolicy, which the API server evaluates itself (v1 from Kubernetes 1.36), or for older servers
a webhook that the controller serves. Both fail closed: while the hold cannot be evaluated, a labelled Deployment's
template cannot change, and everything else about it can.

A held Deployment stays held until somebody resumes it in so many words: whoever replaces it, or applies a manifest that
says ``paused: false``, says nothing about the release that is under way.

The hold also keeps the label on a Deployment that is replaced without it: the next change is held as well.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import FIELD_MANAGER, GROUP, ROLLOUT_LABEL
from rollouts.api.policies import (
    ADMISSION_GROUP,
    DEPLOYMENT_UPDATES,
    HELD_DEPLOYMENTS,
    HELD_UPDATES,
    LABELS,
    MANAGER,
    WEBHOOK,
    bound,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HOLD_NAME",
    "HOLD_PATH",
    "RESUMERS",
    "Hold",
    "hold_patch",
    "policy_objects",
    "policy_version",
    "review",
    "webhook_objects",
]

HOLD_NAME: Final = f"hold.{GROUP}"
"""Name of the policy, its binding and the webhook configuration."""
HOLD_PATH: Final = "/hold"
_POLICY_VERSIONS: Final = ("v1", "v1beta1")
RESUMERS: Final = ("kubectl-rollout", "kubectl-patch", "kubectl-edit", FIELD_MANAGER)
"""Field managers that mean what they write when they end a pause: people with kubectl, and the controller."""
_HELD: Final = {
    "name": "template-changes-or-pause-is-dropped",
    "expression": "object.spec.template != oldObject.spec.template || "
    "(has(oldObject.spec.paused) && oldObject.spec.paused && !(has(object.spec.paused) && object.spec.paused) && "
    f"!(({MANAGER}) in {list(RESUMERS)}))",
}
_KEEP_LABEL: Final = f"""\
"{ROLLOUT_LABEL}" in object.metadata.?labels.orValue({{}}) ? [] :
[has(object.metadata.labels)
  ? JSONPatch{{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("{ROLLOUT_LABEL}"),
      value: oldObject.metadata.labels["{ROLLOUT_LABEL}"]}}
  : JSONPatch{{op: "add", path: "/metadata/labels",
      value: {{"{ROLLOUT_LABEL}": oldObject.metadata.labels["{ROLLOUT_LABEL}"]}}}}]
"""


class Hold(StrEnum):
    """How changed templates are held."""

    POLICY = "policy"
    WEBHOOK = "webhook"


def policy_version(resources_by_version: Mapping[str, list[str]]) -> str | None:
    """Return the newest version of admissionregistration.k8s.io that serves MutatingAdmissionPolicies.

    Args:
        resources_by_version: Names of the resources that the API server serves, by version of that group.

    Returns:
        ``v1`` or ``v1beta1``; None when there is neither, and the webhook is needed.
    """
    for version in _POLICY_VERSIONS:
        served = resources_by_version.get(version, ())
        if "mutatingadmissionpolicies" in served and "mutatingadmissionpolicybindings" in served:
            return version
    return None


def policy_objects(version: str = "v1") -> list[dict[str, Any]]:
    """Return the MutatingAdmissionPolicy and its binding.

    Args:
        version: What ``policy_version`` returned.
    """
    policy = {
        "failurePolicy": "Fail",
        # A webhook that changes the template later in the chain must not get around the hold.
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": HELD_UPDATES,
        "matchConditions": [_HELD],
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": "Object{spec: Object.spec{paused: true}}"},
            },
            {"patchType": "JSONPatch", "jsonPatch": {"expression": _KEEP_LABEL}},
        ],
    }
    return bound("Mutating", version, HOLD_NAME, policy)


def webhook_objects(client_config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the MutatingWebhookConfiguration.

    Args:
        client_config: Where the webhook is: ``url`` (it ends in ``HOLD_PATH``) or ``service``, and ``caBundle`` in base64.
    """
    webhook = {
        **WEBHOOK,
        "name": HOLD_NAME,
        "clientConfig": dict(client_config),
        "objectSelector": HELD_DEPLOYMENTS,
        "reinvocationPolicy": "IfNeeded",
        "rules": [DEPLOYMENT_UPDATES],
        # The API server asks the webhook only about what it may have to hold: scaling works while the controller is down.
        # Servers before 1.27 ignore this, and the webhook answers the same.
        "matchConditions": [_HELD],
    }
    return [
        {
            "apiVersion": f"{ADMISSION_GROUP}/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": HOLD_NAME, "labels": LABELS},
            "webhooks": [webhook],
        }
    ]


def hold_patch(old: Mapping[str, Any], new: Mapping[str, Any], manager: str = "") -> list[dict[str, Any]]:
    """Return the JSON patch that holds an update of a labelled Deployment; empty when there is nothing to hold.

    Args:
        old: The Deployment as it is.
        new: What it shall become.
        manager: The request's field manager; empty where it names none.
    """
    resumed = old["spec"].get("paused") and not new["spec"].get("paused")
    if old["spec"]["template"] == new["spec"]["template"] and (not resumed or manager in RESUMERS):
        return []
    patch: list[dict[str, Any]] = [{"op": "add", "path": "/spec/paused", "value": True}]
    name = (old["metadata"].get("labels") or {}).get(ROLLOUT_LABEL)
    labels = new["metadata"].get("labels") or {}
    if name is not None and ROLLOUT_LABEL not in labels:
        patch.append({"op": "add", "path": "/metadata/labels", "value": {**labels, ROLLOUT_LABEL: name}})
    return patch


def review(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patch for an AdmissionReview's ``request``.

    Args:
        request: ``AdmissionReview.request``.

    Raises:
        ValueError: It is not an update of a Deployment: the webhook configuration is not ours.
    """
    resource = (request.get("resource") or {}).get("resource")
    if request.get("operation") != "UPDATE" or resource != "deployments" or request.get("subResource"):
        msg = (
            f"{HOLD_NAME} is asked about {request.get('operation')} of {resource}: it only holds updates of deployments; "
            f"correct the rules of MutatingWebhookConfiguration {HOLD_NAME}"
        )
        raise ValueError(msg)
    manager = (request.get("options") or {}).get("fieldManager") or ""
    return hold_patch(request["oldObject"], request["object"], manager)
