"""Whether objects of other people's kinds have the shape that the checks read. What else is in them is not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["misshapen"]

_METADATA: Final = {
    "metadata!": {"name!": str, "namespace": str, "labels{}": str, "annotations{}": str, "ownerReferences[]": {}}
}
_PROBE: Final[Mapping[str, Any]] = {"initialDelaySeconds": int, "periodSeconds": int, "failureThreshold": int}
_CONTAINER: Final = {
    "name!": str,
    "restartPolicy": str,
    "ports[]": {"name": str, "containerPort!": int, "protocol": str},
    "readinessProbe": _PROBE,
    "startupProbe": _PROBE,
}
_POD: Final = {
    "containers[]!": _CONTAINER,
    "initContainers[]": _CONTAINER,
    "nodeName": str,
    "serviceAccountName": str,
    "hostNetwork": bool,
}
_EXPRESSIONS: Final = {"key!": str, "operator!": str, "values[]": str}
_WORKLOAD: Final = {
    **_METADATA,
    "spec!": {
        "replicas": int,
        "paused": bool,
        "minReadySeconds": int,
        "selector!": {"matchLabels{}": str, "matchExpressions[]": _EXPRESSIONS},
        "template!": {"metadata": {"labels{}": str, "annotations{}": str}, "spec!": _POD},
    },
}
_REF: Final = {"kind": str, "name": str}
_SHAPES: Final[Mapping[str, Any]] = {
    "Service": {
        **_METADATA,
        "spec!": {
            "selector{}": str,
            "clusterIPs[]": str,
            "type": str,
            "ports[]": {
                "name": str,
                "port!": int,
                "protocol": str,
                "appProtocol": str,
                "targetPort": (int, str),
            },
        },
    },
    "Namespace": _METADATA,
    "Pod": {**_METADATA, "spec!": _POD},
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet"), _WORKLOAD),
    "HorizontalPodAutoscaler": {**_METADATA, "spec!": {"scaleTargetRef": _REF, "minReplicas": int, "maxReplicas": int}},
    "Canary": {**_METADATA, "spec!": {"targetRef": _REF, "service": {"name": str}}},
    "Rollout": {
        **_METADATA,
        "spec!": {
            "workloadRef": _REF,
            "strategy": {
                "canary": {"stableService": str, "canaryService": str},
                "blueGreen": {"activeService": str},
            },
        },
    },
}
_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    (int, str): "a number or a name",
}


def misshapen(kind: str, value: Mapping[str, Any], *, own: bool = False) -> Iterator[tuple[str, str]]:
    """Yield path and sentence of what is not as the API server has it; nothing for kinds that are not read.

    A shape's names say what is there: ``name!`` must be, ``name[]`` is a list of such, ``name{}`` maps names to such.

    Args:
        kind: The object's.
        value: The object.
        own: It is of a kind that is defined here: only its metadata is looked at.
    """
    yield from _fields(value, _METADATA if own else _SHAPES.get(kind, _METADATA), "")


def _fields(value: Mapping[str, Any], shape: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for written, wanted in shape.items():
        required, name = written.endswith("!"), written.removesuffix("!")
        of_list, of_map = name.endswith("[]"), name.endswith("{}")
        name = name[:-2] if of_list or of_map else name
        here = f"{path}.{name}" if path else name
        inner = value.get(name)
        if inner is None:
            if required:
                yield here, "is missing: write it"
        elif of_list:
            yield from _list(inner, wanted, here)
        elif of_map:
            yield from _map(inner, wanted, here)
        else:
            yield from _one(inner, wanted, here)


def _list(value: Any, wanted: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list):
        yield path, "is no list: write its items with a dash each"
        return
    for index, item in enumerate(value):
        yield from _one(item, wanted, f"{path}[{index}]")


def _map(value: Any, wanted: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, "is no mapping: write names and values"
        return
    for key, item in value.items():
        yield from _one(item, wanted, f"{path}[{key}]")


def _one(value: Any, wanted: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(wanted, dict):
        if isinstance(value, dict):
            yield from _fields(value, wanted, path)
        else:
            yield path, "is no mapping: write names and values"
    elif not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        text = str(value).lower() if isinstance(value, bool) else value
        quoted = wanted is str and isinstance(value, int | float)
        yield path, f'is {text!r}: write it in quotes: "{text}"' if quoted else f"is {text!r}: write {_WORDS[wanted]}"
