"""The floor: what keeps an autoscaler from shrinking a Deployment while a release needs its pods.

Nothing of the autoscaler's is written. Its request to scale down (HorizontalPodAutoscaler and KEDA write the Deployment's
``scale``) is granted down to the floor, which admission reads from the Rollout's status: the policy's parameters are the
namespace's Rollouts. (ConfigMaps would not do: the API server stops to follow them for good once any policy that takes
its parameters from ConfigMaps was deleted.) Requests of anybody else are left alone: people's own scaling is obeyed.

It fails open: where the floor cannot be evaluated, autoscalers work as they do without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import GROUP, VERSION
from rollouts.api.policies import WEBHOOK, bound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "AUTOSCALERS",
    "FLOOR_NAME",
    "FLOOR_PATH",
    "floor_patch",
    "floor_policy_objects",
    "floor_webhook",
]

FLOOR_NAME: Final = f"floor.{GROUP}"
"""Name of the policy, its binding, and the webhook."""
FLOOR_PATH: Final = "/floor"
AUTOSCALERS: Final = (
    "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
    # Where the controller manager's controllers share one identity.
    "system:kube-controller-manager",
    "system:serviceaccount:keda:keda-operator",
)
"""Users whose scaling down is held."""
_TIMEOUT_SECONDS: Final = 2
_SCALE_UPDATES: Final = {
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "resources": ["deployments/scale"],
    "operations": ["UPDATE"],
    "scope": "Namespaced",
}
_ASKED: Final = "object.spec.?replicas.orValue(0)"
_PRESENT: Final = "oldObject.spec.?replicas.orValue(0)"
_FLOOR: Final = """\
params.?status.?internal.?workload.orValue("") == request.name ? params.status.internal.?scaling.?floor.orValue(0) : 0
"""
# Where people went below the floor, an autoscaler is held where they went.
_PATCH: Final = f"""\
{_ASKED} >= variables.floor ? [] :
[JSONPatch{{op: "add", path: "/spec/replicas", value: variables.floor < {_PRESENT} ? variables.floor : {_PRESENT}}}]
"""


def _conditions(autoscalers: Sequence[str]) -> list[dict[str, str]]:
    users = ", ".join(f'"{user}"' for user in autoscalers)
    return [
        {"name": "autoscaler", "expression": f"request.userInfo.username in [{users}]"},
        {"name": "scales-down", "expression": f"{_ASKED} < {_PRESENT}"},
    ]


def floor_policy_objects(version: str, autoscalers: Sequence[str] = AUTOSCALERS) -> list[dict[str, Any]]:
    """Return the MutatingAdmissionPolicy and its binding.

    Args:
        version: Of admissionregistration.k8s.io; see ``rollouts.api.admission.policy_version``.
        autoscalers: Users whose scaling down is held.
    """
    policy = {
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "paramKind": {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Rollout"},
        "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [_SCALE_UPDATES]},
        "matchConditions": _conditions(autoscalers),
        "variables": [{"name": "floor", "expression": _FLOOR}],
        # An ApplyConfiguration needs a schema, which Scale has not.
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _PATCH}}],
    }
    binding = {"paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}}
    return bound("Mutating", version, FLOOR_NAME, policy, binding)


def floor_webhook(client_config: Mapping[str, Any], autoscalers: Sequence[str] = AUTOSCALERS) -> dict[str, Any]:
    """Return the webhook that does the same, for the hold's MutatingWebhookConfiguration.

    Args:
        client_config: Where it is: ``url`` (it ends in ``FLOOR_PATH``) or ``service``, and ``caBundle`` in base64.
        autoscalers: Users whose scaling down is held.
    """
    return {
        **WEBHOOK,
        "name": FLOOR_NAME,
        "clientConfig": dict(client_config),
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "rules": [_SCALE_UPDATES],
        "timeoutSeconds": _TIMEOUT_SECONDS,
        "matchConditions": _conditions(autoscalers),
    }


def floor_patch(request: Mapping[str, Any], floor: int) -> list[dict[str, Any]]:
    """Return the JSON patch for an AdmissionReview's ``request`` to scale down; empty when it may go that far.

    Args:
        request: ``AdmissionReview.request``, of ``deployments/scale``.
        floor: Below which the Deployment must not go; 0 for none.

    Raises:
        ValueError: It is not an update of a Deployment's scale: the webhook configuration is not ours.
    """
    resource = (request.get("resource") or {}).get("resource")
    if request.get("operation") != "UPDATE" or resource != "deployments" or request.get("subResource") != "scale":
        msg = (
            f"{FLOOR_NAME} is asked about {request.get('operation')} of {resource}: it only holds updates of "
            "deployments/scale; correct the rules of the MutatingWebhookConfiguration"
        )
        raise ValueError(msg)
    asked = int(request["object"]["spec"].get("replicas") or 0)
    present = int(request["oldObject"]["spec"].get("replicas") or 0)
    held = min(floor, present)
    return [{"op": "add", "path": "/spec/replicas", "value": held}] if asked < held else []
