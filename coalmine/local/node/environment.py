"""The environment, command line and folder that a container's process gets. No I/O: sources are handed in."""

from __future__ import annotations

import math
import os
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from kubernetes.utils.quantity import parse_quantity

from coalmine.local.node.expansion import expand

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

__all__ = ["ConfigError", "build_environment", "command_line", "references"]

HOST_IP: Final = "127.0.0.1"
TOKEN_MOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
"""Where admission mounts every pod's token; the one mount that is left out without a word."""
_KEYED: Final = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")
_NAME: Final = re.compile(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
_KINDS: Final = {"configMap": "ConfigMap", "secret": "Secret"}


class ConfigError(Exception):
    """A container cannot be started as it is written; it may be once the cluster changes."""

    def __init__(self, message: str, reason: str = "CreateContainerConfigError", event: str = "Failed") -> None:
        """Say why.

        Args:
            message: What is missing or not supported, and what to do.
            reason: The container's waiting reason.
            event: Reason of the event.
        """
        super().__init__(message)
        self.reason = reason
        self.event = event


def references(container: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the ConfigMaps and Secrets, as (kind, name), that a container's environment names."""
    found: set[tuple[str, str]] = set()
    for source in container.get("envFrom") or ():
        found |= {(kind, source[f"{field}Ref"]["name"]) for field, kind in _KINDS.items() if source.get(f"{field}Ref")}
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        found |= {(kind, ref["name"]) for field, kind in _KINDS.items() if (ref := source.get(f"{field}KeyRef"))}
    return found


def build_environment(
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    *,
    pod_ip: str,
    objects: Mapping[tuple[str, str], Mapping[str, Any] | None],
    inherited: Mapping[str, str],
    capacity: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment of a container's process.

    Args:
        pod: The pod.
        container: One of its containers.
        pod_ip: The pod's address.
        objects: What ``references`` named, by (kind, name); None for an object that does not exist.
        inherited: The agent's own environment; only PATH and HOME are taken from it.
        capacity: The node's capacity, for resourceFieldRef to limits that are not set.

    Raises:
        ConfigError: A source that is not optional is missing, or a reference is not one that a node knows.
    """
    declared: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        declared |= _all_of(source, objects)
    for entry in container.get("env") or ():
        name = entry["name"]
        if "valueFrom" not in entry or entry["valueFrom"] is None:
            declared[name] = expand(entry.get("value") or "", declared)
            continue
        value = _value_from(
            name,
            entry["valueFrom"],
            pod=pod,
            container=container,
            pod_ip=pod_ip,
            objects=objects,
            capacity=capacity,
        )
        if value is not None:
            declared[name] = value
    return {name: inherited[name] for name in ("PATH", "HOME") if name in inherited} | declared


def command_line(container: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Return the expanded command with its arguments.

    Raises:
        ConfigError: The container names no command.
    """
    if not container.get("command"):
        raise ConfigError(
            f"image {container.get('image', '')!r} is not pulled: the local node runs commands, not images: "
            f"set command of container {container['name']!r}",
            reason="ErrImagePull",
        )
    return [expand(word, environment) for word in [*container["command"], *(container.get("args") or ())]]


def _all_of(source: Mapping[str, Any], objects: Mapping[tuple[str, str], Mapping[str, Any] | None]) -> dict[str, str]:
    values: dict[str, str] = {}
    for field, kind in _KINDS.items():
        ref = source.get(f"{field}Ref")
        if not ref:
            continue
        found = objects.get((kind, ref["name"]))
        if found is None:
            if ref.get("optional"):
                continue
            raise ConfigError(f"{kind.lower()} {ref['name']!r} not found")
        values |= {key: _decoded(kind, value) for key, value in (found.get("data") or {}).items()}
    prefix = source.get("prefix") or ""
    # A key that cannot be the name of a variable is left out, as a kubelet does.
    return {prefix + key: value for key, value in values.items() if _NAME.match(prefix + key)}


def _value_from(
    name: str,
    source: Mapping[str, Any],
    *,
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    pod_ip: str,
    objects: Mapping[tuple[str, str], Mapping[str, Any] | None],
    capacity: Mapping[str, str],
) -> str | None:
    if ref := source.get("fieldRef"):
        return _field(ref["fieldPath"], pod, pod_ip)
    if ref := source.get("resourceFieldRef"):
        return _resource(ref, pod, container, capacity)
    for field, kind in _KINDS.items():
        if ref := source.get(f"{field}KeyRef"):
            return _key(kind, ref, objects)
    raise ConfigError(f"env {name!r}: valueFrom {sorted(source)} is not supported by the local node")


def _field(path: str, pod: Mapping[str, Any], pod_ip: str) -> str:
    metadata, spec = pod["metadata"], pod["spec"]
    if keyed := _KEYED.match(path):
        return str((metadata.get(keyed.group(1)) or {}).get(keyed.group(2), ""))
    known: dict[str, str] = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": HOST_IP,
        "status.hostIPs": HOST_IP,
    }
    if path not in known:
        raise ConfigError(f"fieldRef {path!r} is not supported by the local node; it knows {sorted(known)}")
    return known[path]


def _resource(
    ref: Mapping[str, Any], pod: Mapping[str, Any], container: Mapping[str, Any], capacity: Mapping[str, str]
) -> str:
    target = container
    if ref.get("containerName"):
        everyone = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
        target = next((other for other in everyone if other["name"] == ref["containerName"]), container)
    side, _, resource = ref["resource"].partition(".")
    given = ((target.get("resources") or {}).get(side) or {}).get(resource)
    if given is None:
        # A limit that is not set is the node's capacity; a request that is not set is nothing.
        given = capacity.get(resource, "0") if side == "limits" else "0"
    divisor = _quantity(ref.get("divisor") or "1") or 1
    return str(math.ceil(_quantity(given) / divisor))


def _quantity(text: str) -> Decimal:
    number: Decimal = parse_quantity(text)  # type: ignore[no-untyped-call]
    return number


def _key(kind: str, ref: Mapping[str, Any], objects: Mapping[tuple[str, str], Mapping[str, Any] | None]) -> str | None:
    found = objects.get((kind, ref["name"]))
    if found is None:
        if ref.get("optional"):
            return None
        raise ConfigError(f"{kind.lower()} {ref['name']!r} not found")
    value = (found.get("data") or {}).get(ref["key"])
    if value is None:
        if ref.get("optional"):
            return None
        raise ConfigError(f"couldn't find key {ref['key']} in {kind} {ref['name']!r}")
    return _decoded(kind, value)


def _decoded(kind: str, value: str) -> str:
    if kind == "Secret":
        return os.fsdecode(b64decode(value))
    return value
