"""Putting the hold in force: which one the API server can have, installing it, and waiting until it works."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.admission import HOLD_NAME, HOLD_PATH, Hold, policy_version, webhook_objects
from rollouts.api.author import AUTHOR_NAME, AUTHOR_PATH, author_webhook
from rollouts.api.floors import AUTOSCALERS, FLOOR_NAME, FLOOR_PATH, floor_webhook
from rollouts.api.installed import every_policy
from rollouts.api.names import FIELD_MANAGER, ROLLOUT_LABEL
from rollouts.api.policies import ADMISSION_GROUP
from rollouts.api.stamps import APPROVALS_NAME, APPROVALS_PATH, guard_objects, stamp_webhook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rollouts.core.apiserver import Api

__all__ = [
    "choose_hold",
    "hold_is_active",
    "install_policy",
    "install_webhook",
    "served_policy_version",
    "wait_for_hold",
]

_PLURALS: Final = {
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
PROBE_ANNOTATION: Final = "coalmine.dev/probe"


async def served_policy_version(api: Api) -> str | None:
    """Return the version of MutatingAdmissionPolicy that the API server has; None when it has none."""
    group = await api.request("GET", f"/apis/{ADMISSION_GROUP}") or {}
    found: dict[str, list[str]] = {}
    for version in [entry["version"] for entry in group.get("versions", ())]:
        resources = await api.request("GET", f"/apis/{ADMISSION_GROUP}/{version}") or {}
        found[version] = [resource["name"] for resource in resources.get("resources", ())]
    return policy_version(found)


async def choose_hold(api: Api, wanted: str) -> Hold:
    """Return the hold to be used.

    Args:
        api: The API server.
        wanted: ``policy``, ``webhook`` or ``auto``: the policy where there is one.

    Raises:
        ValueError: A policy is wanted and the API server has none.
    """
    if wanted == Hold.WEBHOOK:
        return Hold.WEBHOOK
    if await served_policy_version(api):
        return Hold.POLICY
    if wanted == Hold.POLICY:
        msg = (
            "--hold policy: this API server has no MutatingAdmissionPolicy (v1 from Kubernetes 1.36): "
            "use --hold webhook or --hold auto with --webhook-address, --tls-cert, --tls-key and --ca-file"
        )
        raise ValueError(msg)
    return Hold.WEBHOOK


async def install_policy(api: Api, autoscalers: Sequence[str] = AUTOSCALERS) -> None:
    """Install the policies of hold, floor and approvals, and remove a webhook that held before.

    Args:
        api: The API server.
        autoscalers: Users who may not shrink what a release needs.

    Raises:
        ValueError: The API server has no MutatingAdmissionPolicy.
    """
    version = await served_policy_version(api)
    if version is None:
        msg = "this API server has no MutatingAdmissionPolicy: use --hold webhook"
        raise ValueError(msg)
    await _apply(api, every_policy(version, autoscalers))
    await api.request("DELETE", _path("v1", "MutatingWebhookConfiguration", HOLD_NAME))


async def install_webhook(api: Api, address: str, ca: bytes, autoscalers: Sequence[str] = AUTOSCALERS) -> None:
    """Install the configuration of the webhooks, and remove policies that held before.

    Approvals are guarded by a policy besides, which API servers have from Kubernetes 1.30.

    Args:
        api: The API server.
        address: ``HOST:PORT`` where the API server reaches the webhook.
        ca: What the webhook's certificate is checked against, PEM.
        autoscalers: Users who may not shrink what a release needs.
    """
    bundle = base64.b64encode(ca).decode()

    def at(path: str) -> dict[str, str]:
        return {"url": f"https://{address}{path}", "caBundle": bundle}

    (configuration,) = webhook_objects(at(HOLD_PATH))
    webhooks = [
        *configuration["webhooks"],
        floor_webhook(at(FLOOR_PATH), autoscalers),
        stamp_webhook(at(APPROVALS_PATH)),
        author_webhook(at(AUTHOR_PATH)),
    ]
    await _apply(api, [*guard_objects(), {**configuration, "webhooks": webhooks}])
    if version := await served_policy_version(api):
        for kind in ("MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"):
            for name in (HOLD_NAME, FLOOR_NAME, APPROVALS_NAME, AUTHOR_NAME):
                await api.request("DELETE", _path(version, kind, name))


async def hold_is_active(api: Api, namespace: str, deployment: str) -> bool:
    """Return whether a changed template of a Deployment would be held at this moment.

    The API server needs a moment after installation. This asks it in a dry run: nothing is changed, and the
    Deployment need not be labelled yet. False as well when there is no such Deployment.
    """
    body = {
        "metadata": {"labels": {ROLLOUT_LABEL: "probe"}},
        "spec": {"paused": False, "template": {"metadata": {"annotations": {PROBE_ANNOTATION: "dry-run"}}}},
    }
    answer = await api.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}",
        query={"dryRun": "All", "fieldManager": FIELD_MANAGER},
        body=body,
        content_type=_MERGE,
    )
    return bool(answer and answer["spec"].get("paused"))


async def wait_for_hold(
    api: Api,
    namespace: str,
    deployment: str,
    *,
    every: float = 0.1,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Return as soon as ``hold_is_active``; the caller sets the limit (``asyncio.timeout``).

    An API server can serve MutatingAdmissionPolicies and not evaluate them (the feature gate or the admission plugin
    is off): discovery does not tell, so nobody may trust a hold that this has not seen at work.

    Args:
        api: The API server.
        namespace: Namespace of the Deployment.
        deployment: A Deployment to ask about.
        every: Seconds between two questions.
        sleep: Waits that long.
    """
    while True:
        if await hold_is_active(api, namespace, deployment):
            return
        await sleep(every)


async def _apply(api: Api, objects: list[dict[str, Any]]) -> None:
    for obj in objects:
        version = obj["apiVersion"].rpartition("/")[2]
        await api.request(
            "PATCH",
            _path(version, obj["kind"], obj["metadata"]["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=obj,
            content_type=_APPLY,
        )


def _path(version: str, kind: str, name: str) -> str:
    return f"/apis/{ADMISSION_GROUP}/{version}/{_PLURALS[kind]}/{name}"
