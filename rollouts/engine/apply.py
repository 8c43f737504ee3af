"""Doing what a decision asks: one small function for each action."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any, Final, assert_never

from rollouts.api.admission import HOLD_NAME
from rollouts.api.names import CHANGED_BY_ANNOTATION, FIELD_MANAGER, FINALIZER, GROUP, ROLLOUT_LABEL, VERSION
from rollouts.core.actions import (
    Action,
    AddFinalizer,
    Adopt,
    AnnotateConfig,
    Apply,
    ClearFailed,
    Delete,
    EndHook,
    Evict,
    MarkFailed,
    Release,
    RemoveFinalizer,
    RunHook,
    SetBudget,
    SetTraffic,
    StartBaseline,
    StopTraffic,
    Unpause,
    WriteBack,
)
from rollouts.engine.experiment import baseline_manifest
from rollouts.engine.hold import hold_is_active
from rollouts.engine.kube import APPLY, MERGE, STRATEGIC, KubeError, object_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollouts.core.observed import Subject
    from rollouts.engine.configuration import Configuration
    from rollouts.engine.hooks import HookRunner
    from rollouts.engine.kube import Kube
    from rollouts.engine.scaling import Scaling
    from rollouts.engine.writeback import WriteBacks
    from rollouts.routers.base import Router

__all__ = ["Applier", "HoldNotActiveError", "rollout_path"]

_LOG = logging.getLogger(__name__)
_APPS: Final = "apps/v1"
_DEADLINE_EXCEEDED: Final = "ProgressDeadlineExceeded"


class HoldNotActiveError(Exception):
    """Admission does not hold changed templates (yet): adopting a Deployment now would promise too much."""


def rollout_path(namespace: str, name: str) -> str:
    """Return a Rollout's path."""
    return object_path(f"{GROUP}/{VERSION}", "Rollout", namespace, name)


class Applier:
    """Carries actions out, in order. Each is idempotent."""

    def __init__(
        self,
        kube: Kube,
        router: Router,
        clock: Callable[[], float],
        scaling: Scaling,
        config: Configuration,
        *,
        hooks: HookRunner,
        write_backs: WriteBacks,
    ) -> None:
        self._kube = kube
        self._router = router
        self._clock = clock
        self._scaling = scaling
        self._config = config
        self._hooks = hooks
        self._write_backs = write_backs

    async def apply(self, subject: Subject, action: Action) -> None:
        """Carry one action out.

        Raises:
            ConflictError: Something changed since it was seen.
            KubeError: The API server refuses.
            HoldNotActiveError: See there.
        """
        match action:
            case AddFinalizer() | RemoveFinalizer():
                await self._set_finalizer(subject, wanted=isinstance(action, AddFinalizer))
            case Adopt() | Release():
                await (self._adopt(subject, action) if isinstance(action, Adopt) else self._unlabel(subject, action))
            case Apply() | StartBaseline() | SetTraffic():
                await self._apply(await self._manifest(subject, action))
            case Delete():
                await self._delete(subject, action)
            case Evict():
                await self._evict(subject, action)
            case StopTraffic():
                path = object_path(
                    self._router.api_version, "TrafficSplit", subject.namespace, self._router.name(subject)
                )
                await self._kube.request("DELETE", path)
            case Unpause():
                await self._unpause(subject, action)
            case SetBudget():
                await self._scaling.write(subject, action)
            case MarkFailed() | ClearFailed():
                await self._condition(subject, action)
            case _:
                await self._beside(subject, action)

    async def _beside(self, subject: Subject, action: AnnotateConfig | RunHook | EndHook | WriteBack) -> None:
        """Do what goes on beside the canary and its traffic."""
        match action:
            case AnnotateConfig():
                await self._config.write(subject, action)
            case RunHook():
                await self._hooks.begin(subject, action.order)
            case EndHook():
                await self._hooks.end(subject, action)
            case WriteBack():
                await self._write_backs.begin(subject, action)
            case _:
                assert_never(action)

    async def _manifest(self, subject: Subject, action: Apply | StartBaseline | SetTraffic) -> Mapping[str, Any]:
        match action:
            case StartBaseline():
                return await baseline_manifest(self._kube, subject, action)
            case SetTraffic():
                return self._router.manifest(subject, action)
            case Apply():
                return action.manifest

    async def _set_finalizer(self, subject: Subject, *, wanted: bool) -> None:
        rest = [f for f in subject.finalizers if f != FINALIZER]
        body = {"metadata": {"finalizers": [*rest, FINALIZER] if wanted else rest, "uid": subject.uid}}
        await self._patch(rollout_path(subject.namespace, subject.name), body, MERGE)

    async def _adopt(self, subject: Subject, action: Adopt) -> None:
        if not await hold_is_active(self._kube, subject.namespace, action.deployment):
            raise HoldNotActiveError(
                f"Deployment {action.deployment} is not adopted yet: admission does not hold a changed template, though {HOLD_NAME} is installed; "
                "if this goes on, MutatingAdmissionPolicies are switched off in this API server: run the controller with --hold webhook"
            )
        await self._label(subject, action.deployment, action.uid, {ROLLOUT_LABEL: subject.name})

    async def _label(self, subject: Subject, deployment: str, uid: str, labels: Mapping[str, str]) -> None:
        metadata = {"name": deployment, "namespace": subject.namespace, "uid": uid, "labels": dict(labels)}
        await self._apply({"apiVersion": _APPS, "kind": "Deployment", "metadata": metadata})

    async def _unlabel(self, subject: Subject, action: Release) -> None:
        """Remove the label whoever owns it: one that the hold kept through a replacement is nobody's; and who changed it."""
        ours = {"labels": {ROLLOUT_LABEL: None}, "annotations": {CHANGED_BY_ANNOTATION: None}}
        body = {"metadata": {"uid": action.uid, **ours}}
        await self._patch(object_path(_APPS, "Deployment", subject.namespace, action.deployment), body, MERGE)

    async def _apply(self, manifest: Mapping[str, Any]) -> None:
        metadata = manifest["metadata"]
        path = object_path(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        if await self._kube.request("PATCH", path, query=query, body=dict(manifest), content_type=APPLY) is None:
            raise KubeError(404, "NotFound", f"{path}: there is no such kind of object; are Coalmine's CRDs installed?")

    async def _delete(self, subject: Subject, action: Delete) -> None:
        path = object_path(action.api_version, action.kind, subject.namespace, action.name)
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if action.uid:
            body["preconditions"] = {"uid": action.uid}
        await self._kube.request("DELETE", path, body=body)

    async def _evict(self, subject: Subject, action: Evict) -> None:
        """Ask for it and leave a refusal (a PodDisruptionBudget) at that: a pod that stays is judged again."""
        metadata = {"name": action.pod, "namespace": subject.namespace}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": action.uid}}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
        path = object_path("v1", "Pod", subject.namespace, action.pod)
        try:
            await self._kube.request("POST", f"{path}/eviction", body=body)
        except KubeError as error:
            _LOG.warning("%s/%s: pod %s cannot be evicted: %s", subject.namespace, subject.name, action.pod, error)

    async def _unpause(self, subject: Subject, action: Unpause) -> None:
        """Remove ``spec.paused`` rather than set it false, so that no field of the user's is owned by us."""
        body = {"metadata": {"resourceVersion": action.resource_version}, "spec": {"paused": None}}
        await self._patch(object_path(_APPS, "Deployment", subject.namespace, action.deployment), body, MERGE)

    async def _condition(self, subject: Subject, action: MarkFailed | ClearFailed) -> None:
        now = dt.datetime.fromtimestamp(self._clock(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        failed = isinstance(action, MarkFailed)
        condition = {
            "type": "Progressing",
            "status": "False" if failed else "Unknown",
            "reason": _DEADLINE_EXCEEDED if failed else "DeploymentPaused",
            "message": action.message,
            "lastUpdateTime": now,
            "lastTransitionTime": now,
        }
        seen = {"resourceVersion": action.resource_version} if isinstance(action, MarkFailed) else {"uid": action.uid}
        body = {"metadata": seen, "status": {"conditions": [condition]}}
        path = object_path(_APPS, "Deployment", subject.namespace, action.deployment)
        await self._patch(f"{path}/status", body, STRATEGIC)

    async def _patch(self, path: str, body: Mapping[str, Any], content_type: str) -> None:
        await self._kube.request(
            "PATCH", path, query={"fieldManager": FIELD_MANAGER}, body=dict(body), content_type=content_type
        )
