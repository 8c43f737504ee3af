"""ConfigMaps and Secrets that the pod template refers to: a change in them is a release too, where that is asked for. Pure.

The digest of their contents goes into an annotation of the pod template, so that admission holds the change like any other.
Which digest is written as which annotation is remembered for the stable template and the present one: contents that go back
give the very template back, and switching this on writes nothing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from crds.base import Resource
from rollouts.api.configuration import CONFIG_ANNOTATION, ConfigChanges
from rollouts.core.machine import State
from rollouts.core.templates import revision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollouts.core.context import Context

__all__ = [
    "CONFIG_SECONDS",
    "AnnotateConfig",
    "ConfigFacts",
    "ConfigNotes",
    "ConfigReference",
    "config_actions",
    "config_looked_at",
    "references",
    "with_config",
]

CONFIG_SECONDS: Final = 15.0
"""How often the contents are looked at: they are read by name, so that nobody has to let the controller list Secrets."""
_NOT_NOW: Final = frozenset({State.INITIALIZING, State.RESTORING, State.GONE})


class ConfigRecord(Resource):
    """What a template and the contents that it refers to are called.

    Attributes:
        base: Hash of the template without our annotation.
        digest: Of the contents.
        annotation: What stands for them in the template; empty for no annotation.
    """

    base: str = ""
    digest: str = ""
    annotation: str = ""


class ConfigNotes(Resource):
    """What the next decision must know of contents.

    Attributes:
        stable: Of the stable template.
        current: Of the present template, when it was first seen.
    """

    stable: ConfigRecord = ConfigRecord()
    current: ConfigRecord = ConfigRecord()


@dataclass(frozen=True)
class ConfigFacts:
    """What was seen of them.

    Attributes:
        digest: Of all contents that the present template refers to; empty where nobody asked or nobody knows.
        problem: Why they cannot be read, in words; empty when they can.
    """

    digest: str = ""
    problem: str = ""


@dataclass(frozen=True, order=True)
class ConfigReference:
    """A ConfigMap or Secret that a template refers to; without ``keys`` to all of it."""

    kind: str
    name: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnnotateConfig:
    """Write the digest into the Deployment's pod template; an empty one takes it out."""

    deployment: str
    uid: str
    digest: str


def references(template: Mapping[str, Any]) -> tuple[ConfigReference, ...]:
    """Return what a pod template takes from ConfigMaps and Secrets: environment and volumes."""
    spec = template.get("spec") or {}
    found = set(_of_volumes(spec))
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        found |= set(_of_environment(container))
    return tuple(sorted(found))


def _of_environment(container: Mapping[str, Any]) -> Iterator[ConfigReference]:
    for source in container.get("envFrom") or ():
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if source.get(field):
                yield ConfigReference(kind, source[field]["name"])
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if source.get(field):
                yield ConfigReference(kind, source[field]["name"], (source[field]["key"],))


def _of_volumes(spec: Mapping[str, Any]) -> Iterator[ConfigReference]:
    for volume in spec.get("volumes") or ():
        if source := volume.get("configMap"):
            yield ConfigReference("ConfigMap", source["name"], _keys(source))
        if source := volume.get("secret"):
            yield ConfigReference("Secret", source["secretName"], _keys(source))
        for projected in (volume.get("projected") or {}).get("sources") or ():
            for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
                if source := projected.get(field):
                    yield ConfigReference(kind, source["name"], _keys(source))


def _keys(source: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(item["key"] for item in source.get("items") or ()))


def _annotation(template: Mapping[str, Any]) -> str:
    return str(((template.get("metadata") or {}).get("annotations") or {}).get(CONFIG_ANNOTATION, ""))


def _base(template: Mapping[str, Any]) -> str:
    plain = copy.deepcopy(dict(template))
    ((plain.get("metadata") or {}).get("annotations") or {}).pop(CONFIG_ANNOTATION, None)
    return revision(plain)


def _asked(c: Context) -> bool:
    return c.spec.config_changes is ConfigChanges.RELEASE


def with_config(c: Context) -> Context:
    """Return the context with what is remembered of contents."""
    notes = c.notes.config
    if not _asked(c):
        return c.noted(config=ConfigNotes()) if notes != ConfigNotes() else c
    if c.o.deployment is None or not c.o.config.digest or c.notes.state in _NOT_NOW:
        return c
    template, digest = c.deployment.template, c.o.config.digest
    record = ConfigRecord(base=_base(template), digest=digest, annotation=_annotation(template))
    settled = _wanted(notes, record) == record.annotation
    changes: dict[str, ConfigRecord] = {}
    if notes.current.base != record.base:
        changes["current"] = record
    if settled and c.notes.state is State.HEALTHY and c.reverted:
        changes["stable"] = record
    new = notes.model_copy(update=changes)
    return c.noted(config=new) if new != notes else c


def _wanted(notes: ConfigNotes, seen: ConfigRecord) -> str:
    """Return the annotation that the present template should have."""
    known = [r for r in (notes.stable, notes.current) if r.base == seen.base]
    same = next((r for r in known if r.digest == seen.digest), None)
    if same is not None:
        return same.annotation
    return seen.digest if known else seen.annotation


def config_actions(c: Context) -> Iterator[AnnotateConfig]:
    """Make changed contents a changed template."""
    if not _asked(c) or not c.o.config.digest or c.notes.state in _NOT_NOW or c.spec.paused:
        return
    d = c.deployment
    seen = ConfigRecord(base=_base(d.template), digest=c.o.config.digest, annotation=_annotation(d.template))
    wanted = _wanted(c.notes.config, seen)
    if wanted != seen.annotation:
        yield AnnotateConfig(d.name, d.uid, wanted)


def config_looked_at(c: Context) -> float | None:
    """Return when the contents are looked at again, Unix seconds; None where nobody asked."""
    return c.now + CONFIG_SECONDS if _asked(c) else None
