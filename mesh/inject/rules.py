"""Capture by packet redirection: the rules in a pod's network namespace, and the init container that sets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mesh.api.names import (
    INBOUND_PORT,
    INBOUND_SOURCE,
    INIT_CONTAINER,
    METRICS_PORT,
    OUTBOUND_PORT,
    PROBE_PORT,
    PROXY_UID,
    READY_PORT,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh.api.capture import CaptureSettings

__all__ = ["init_container", "restore_input"]

_IN: Final = "COALMINE_INBOUND"
_OUT: Final = "COALMINE_OUTPUT"
_OPEN_PORTS: Final = (PROBE_PORT, READY_PORT, METRICS_PORT)
"""The sidecar's own ports for the kubelet and for Prometheus."""


def restore_input(settings: CaptureSettings) -> str:
    """Return what ``iptables-restore --noflush`` reads.

    Both chains are emptied first, so a second run in the same pod changes nothing.
    """
    lines = ["*nat", f":{_IN} - [0:0]", f":{_OUT} - [0:0]"]
    lines += [f"-A PREROUTING -p tcp -j {_IN}", f"-A OUTPUT -p tcp -j {_OUT}"]
    lines += _inbound(settings)
    lines += _outbound(settings)
    return "\n".join([*lines, "COMMIT", ""])


def init_container(settings: CaptureSettings, image: str, restore: str) -> dict[str, Any]:
    """Return the init container that sets the rules.

    Args:
        settings: What is captured.
        image: An image with a shell and ``restore``.
        restore: The ``iptables-restore`` command.
    """
    # Root, since file capabilities are not in every image; of its rights only what the kernel asks for here.
    rights = {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    return {
        "name": INIT_CONTAINER,
        "image": image,
        "command": ["/bin/sh", "-c", f'printf %s "$RULES" | {restore} --noflush'],
        "env": [{"name": "RULES", "value": restore_input(settings)}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": rights,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "runAsUser": 0,
        },
    }


def _inbound(settings: CaptureSettings) -> list[str]:
    ports = [*_OPEN_PORTS, *settings.inbound_ports_excluded]
    rules = [f"-A {_IN} -p tcp --dport {port} -j RETURN" for port in dict.fromkeys(ports)]
    redirect = f"-j REDIRECT --to-ports {INBOUND_PORT}"
    if settings.inbound_ports is None:
        return [*rules, f"-A {_IN} -p tcp {redirect}"]
    return [*rules, *(f"-A {_IN} -p tcp --dport {port} {redirect}" for port in settings.inbound_ports)]


def _outbound(settings: CaptureSettings) -> list[str]:
    redirect = f"-j REDIRECT --to-ports {OUTBOUND_PORT}"
    inwards = f"-j REDIRECT --to-ports {INBOUND_PORT}"
    rules = [
        # From the sidecar to its application.
        f"-A {_OUT} -s {INBOUND_SOURCE}/32 -o lo -j RETURN",
        # A pod that calls its own Service and is chosen itself: as any other caller it meets the inbound side first.
        f"-A {_OUT} ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner {PROXY_UID} {inwards}",
        # What else the sidecar sends is on its way already, and what stays in the pod is none of the mesh's business.
        f"-A {_OUT} -m owner --uid-owner {PROXY_UID} -j RETURN",
        f"-A {_OUT} -o lo -j RETURN",
        *_each(_OUT, "-p tcp --dport", settings.outbound_ports_excluded, "-j RETURN"),
        *_each(_OUT, "-p tcp --dport", settings.outbound_ports, redirect),
        *_each(_OUT, "-d", settings.outbound_ranges_excluded, "-j RETURN"),
    ]
    if settings.outbound_ranges is None:
        return [*rules, f"-A {_OUT} -p tcp {redirect}"]
    return [*rules, *_each(_OUT, "-p tcp -d", settings.outbound_ranges, redirect)]


def _each(chain: str, match: str, values: Iterable[object], verdict: str) -> list[str]:
    return [f"-A {chain} {match} {value} {verdict}" for value in values]
