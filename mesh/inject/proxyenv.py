"""Capture without iptables: the environment that sends an app's HTTP requests to its sidecar."""

from __future__ import annotations

from typing import Any, Final

from mesh.api.names import OUTBOUND_PORT

__all__ = ["ADDRESS_VARIABLE", "proxy_environment"]

ADDRESS_VARIABLE: Final = "COALMINE_POD_IP"
"""Holds the pod's address; a name of ours, as an app may use POD_IP for something else."""
_PROXY: Final = ("http_proxy", "HTTP_PROXY")
_NO_PROXY: Final = ("no_proxy", "NO_PROXY")


def proxy_environment(container: dict[str, Any]) -> tuple[list[dict[str, Any]] | None, str]:
    """Return the container's environment with the proxy in front, and a warning or an empty text.

    What the user set is left alone: with a proxy of their own the container's requests bypass the mesh, which the
    warning says. The environment is None where nothing is to be changed.
    """
    own: list[dict[str, Any]] = container.get("env") or []
    names = {variable["name"] for variable in own}
    if taken := sorted(names.intersection(_PROXY)):
        return None, (
            f"container {container['name']} sets {', '.join(taken)} itself: its requests bypass the mesh; "
            "remove it from env to send them through the sidecar"
        )
    added: list[dict[str, Any]] = [
        {"name": ADDRESS_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        *({"name": name, "value": f"http://$({ADDRESS_VARIABLE}):{OUTBOUND_PORT}"} for name in _PROXY),
    ]
    if not names.intersection(_NO_PROXY):
        value = f"$({ADDRESS_VARIABLE}),localhost,127.0.0.1"
        added += [{"name": name, "value": value} for name in _NO_PROXY]
    # In front: a variable can only refer to those before it, and the user's own may refer to ours.
    return [*(v for v in added if v["name"] not in names), *own], ""
