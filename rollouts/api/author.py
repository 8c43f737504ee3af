"""Who changed a pod template: what makes the API server note it on the Deployment, for gates that exclude the author.

As ``rollouts.api.stamps``: by a MutatingAdmissionPolicy where the API server has them, else by our webhook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import CHANGED_BY_ANNOTATION, FIELD_MANAGER, GROUP, ROLLOUT_LABEL
from rollouts.api.policies import (
    DEPLOYMENT_UPDATES,
    HELD_DEPLOYMENTS,
    HELD_UPDATES,
    MANAGER,
    WEBHOOK,
    annotation,
    annotations_of,
    bound,
    expect_update,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AUTHOR_NAME", "AUTHOR_PATH", "author_policy_objects", "author_webhook", "stamp_author"]

AUTHOR_NAME: Final = f"author.{GROUP}"
"""Name of the policy, its binding, and the webhook."""
AUTHOR_PATH: Final = "/author"
_BY: Final = annotation("object", CHANGED_BY_ANNOTATION)
_BY_BEFORE: Final = annotation("oldObject", CHANGED_BY_ANNOTATION)
_CHANGES: Final = "object.spec.template != oldObject.spec.template"
# A Deployment that the controller lets go keeps nothing of ours. Whoever else drops the label has replaced the manifest,
# and the hold, which may run after this, puts the label back.
_LABELLED: Final = f"('{ROLLOUT_LABEL}' in object.metadata.?labels.orValue({{}}) || ({MANAGER}) != '{FIELD_MANAGER}')"
_AUTHOR_CONDITION: Final = {
    "name": "template-or-author-changes",
    "expression": f"{_CHANGES} || ({_LABELLED} && {_BY} != {_BY_BEFORE})",
}
_BY_PATH: Final = f"'/metadata/annotations/' + jsonpatch.escapeKey('{CHANGED_BY_ANNOTATION}')"
_RIGHTFUL: Final = f"({_CHANGES} ? request.userInfo.username : {_BY_BEFORE})"
_AUTHOR: Final = f"""\
{_RIGHTFUL} == ''
? ('{CHANGED_BY_ANNOTATION}' in object.metadata.?annotations.orValue({{}}) ? [JSONPatch{{op: 'remove', path: {_BY_PATH}}}] : [])
: has(object.metadata.annotations)
  ? [JSONPatch{{op: 'add', path: {_BY_PATH}, value: {_RIGHTFUL}}}]
  : [JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{'{CHANGED_BY_ANNOTATION}': {_RIGHTFUL}}}}}]
"""


def author_policy_objects(version: str = "v1") -> list[dict[str, Any]]:
    """Return the MutatingAdmissionPolicy that says who changed a template, with its binding.

    Args:
        version: Of admissionregistration.k8s.io; see ``rollouts.api.admission.policy_version``.
    """
    author = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": HELD_UPDATES,
        "matchConditions": [_AUTHOR_CONDITION],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _AUTHOR}}],
    }
    return bound("Mutating", version, AUTHOR_NAME, author)


def author_webhook(client_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the webhook that does what the MutatingAdmissionPolicy does, for the hold's configuration.

    Args:
        client_config: Where it is: ``url`` or ``service``, and ``caBundle`` in base64.
    """
    return {
        **WEBHOOK,
        "name": AUTHOR_NAME,
        "clientConfig": dict(client_config),
        "reinvocationPolicy": "IfNeeded",
        "objectSelector": HELD_DEPLOYMENTS,
        "rules": [DEPLOYMENT_UPDATES],
        "matchConditions": [_AUTHOR_CONDITION],
    }


def stamp_author(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patch that writes down who changed a pod template; empty when it is so already.

    Args:
        request: ``AdmissionReview.request`` of an update of a labelled Deployment.

    Raises:
        ValueError: It is something else: the webhook configuration is not ours.
    """
    expect_update(request, "deployments")
    old, new = request["oldObject"], request["object"]
    before, annotations = annotations_of(old).get(CHANGED_BY_ANNOTATION, ""), annotations_of(new)
    changes = old["spec"]["template"] != new["spec"]["template"]
    manager = (request.get("options") or {}).get("fieldManager")
    if not changes and ROLLOUT_LABEL not in (new["metadata"].get("labels") or {}) and manager == FIELD_MANAGER:
        return []
    wanted = request["userInfo"]["username"] if changes else before
    if annotations.get(CHANGED_BY_ANNOTATION, "") == wanted:
        return []
    kept = {k: v for k, v in annotations.items() if k != CHANGED_BY_ANNOTATION}
    value = {**kept, CHANGED_BY_ANNOTATION: wanted} if wanted else kept
    return [{"op": "add", "path": "/metadata/annotations", "value": value}]
