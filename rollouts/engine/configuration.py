"""Contents of ConfigMaps and Secrets: read by name, kept as a digest only."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.configuration import CONFIG_ANNOTATION, ConfigChanges
from rollouts.core.configuration import CONFIG_SECONDS, ConfigFacts, ConfigReference, references
from rollouts.engine.kube import APPLY, KubeError, object_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollouts.core.configuration import AnnotateConfig
    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Cache, Key
    from rollouts.engine.kube import Kube

__all__ = ["Configuration"]

_LOG = logging.getLogger(__name__)
_MANAGER: Final = "coalmine-config"
"""A field manager of its own: what else we apply onto the Deployment must not take the annotation away."""
_DIGITS: Final = 16
_FORBIDDEN: Final = 403


@dataclass(frozen=True)
class _Seen:
    at: float
    asked: tuple[ConfigReference, ...]
    facts: ConfigFacts


class Configuration:
    """What is remembered is only to spare requests."""

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._clock = clock
        self._seen: dict[Key, _Seen] = {}

    async def facts(self, subject: Subject, cache: Cache) -> ConfigFacts:
        """Return what a decision may look at."""
        key = (subject.namespace, subject.name)
        if subject.spec is None or subject.spec.config_changes is ConfigChanges.IGNORE:
            self.forget(key)
            return ConfigFacts()
        deployment = cache.deployments.get((subject.namespace, subject.spec.workload_ref.name))
        if deployment is None:
            return ConfigFacts()
        asked, now = references(deployment["spec"]["template"]), self._clock()
        seen = self._seen.get(key)
        if seen is None or seen.asked != asked or now - seen.at >= CONFIG_SECONDS:
            before = seen.facts if seen is not None and seen.asked == asked else ConfigFacts()
            seen = self._seen[key] = _Seen(now, asked, await self._read(subject, asked, before))
        return seen.facts

    def forget(self, key: Key) -> None:
        """Forget a Rollout."""
        self._seen.pop(key, None)

    async def write(self, subject: Subject, action: AnnotateConfig) -> None:
        """Carry the action out.

        Raises:
            KubeError: The API server refuses.
        """
        body: dict[str, Any] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": action.deployment, "namespace": subject.namespace, "uid": action.uid},
        }
        if action.digest:
            body["spec"] = {"template": {"metadata": {"annotations": {CONFIG_ANNOTATION: action.digest}}}}
        path = object_path("apps/v1", "Deployment", subject.namespace, action.deployment)
        query = {"fieldManager": _MANAGER, "force": "true"}
        await self._kube.request("PATCH", path, query=query, body=body, content_type=APPLY)

    async def _read(self, subject: Subject, asked: tuple[ConfigReference, ...], before: ConfigFacts) -> ConfigFacts:
        contents = []
        for reference in asked:
            try:
                contents.append([reference.kind, reference.name, await self._contents(subject.namespace, reference)])
            except KubeError as error:
                if error.status == _FORBIDDEN:
                    return ConfigFacts(problem=_refused(subject.namespace, reference))
                _LOG.warning("%s/%s: %s cannot be read now: %s", subject.namespace, subject.name, reference.name, error)
                return before
        text = json.dumps(contents, sort_keys=True, separators=(",", ":"))
        return ConfigFacts(hashlib.sha256(text.encode()).hexdigest()[:_DIGITS])

    async def _contents(self, namespace: str, reference: ConfigReference) -> dict[str, str] | None:
        found = await self._kube.request("GET", object_path("v1", reference.kind, namespace, reference.name))
        if found is None:
            return None
        data = {**(found.get("data") or {}), **(found.get("binaryData") or {})}
        return {k: v for k, v in data.items() if not reference.keys or k in reference.keys}


def _refused(namespace: str, reference: ConfigReference) -> str:
    where = f"{reference.kind} {reference.name} in namespace {namespace}"
    if reference.kind != "Secret":
        return f"the controller may not read {where}: give it the rights of deploy/controller/"
    return (
        f"the controller may not read {where}: bind ClusterRole coalmine-controller-secrets to it in this namespace (kubectl create "
        f"rolebinding coalmine-secrets -n {namespace} --clusterrole coalmine-controller-secrets --user system:coalmine:controller)"
    )
