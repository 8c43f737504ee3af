"""When a component counts as ready, and waiting for that."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from coalmine.local.components import NODE_NAME
from coalmine.local.errors import StartFailedError
from coalmine.local.kube import Api, http_ok
from coalmine.local.layout import APISERVER, CONTROLLER, ETCD, KCM, MESH, NODE
from coalmine.local.processes import ProcessRecord, tail
from coalmine.local.settings import LOOPBACK, Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

__all__ = ["Readiness", "await_ready"]

_POLL_SECONDS: Final = 0.1


class Readiness:
    """Asks each component whether it serves."""

    def __init__(self, ports: Ports, api: Api) -> None:
        self._api = api
        self._ports = {
            ETCD: ports.etcd,
            APISERVER: ports.apiserver,
            KCM: ports.controller_manager,
            NODE: ports.node,
            MESH: ports.mesh_http,
            CONTROLLER: ports.controller_health,
        }
        self._checks: dict[str, Callable[[], bool]] = {
            ETCD: lambda: True,
            APISERVER: lambda: api.get("/readyz") is not None,
            # Pods are refused until the controller-manager has made their service account.
            KCM: lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None,
            NODE: self._node_ready,
            MESH: lambda: http_ok(f"http://{LOOPBACK}:{ports.mesh_http}/readyz"),
            CONTROLLER: lambda: http_ok(f"http://{LOOPBACK}:{ports.controller_health}/readyz"),
        }

    def of(self, component: str) -> bool:
        """Return whether the component serves right now."""
        return self._listens(component) and self._checks[component]()

    def _listens(self, component: str) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((LOOPBACK, self._ports[component])) == 0

    def _node_ready(self) -> bool:
        node = self._api.get(f"/api/v1/nodes/{NODE_NAME}")
        conditions = node["status"].get("conditions", []) if isinstance(node, dict) else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def await_ready(
    components: Collection[str],
    *,
    check: Callable[[str], bool],
    process: Callable[[str], ProcessRecord | None],
    log: Callable[[str], Path],
    seconds: float,
    on_ready: Callable[[str], None],
) -> None:
    """Wait until every component is ready.

    Args:
        components: Which ones.
        check: Whether a component is ready now.
        process: A component's living process, or None.
        log: A component's log file.
        seconds: How long to wait for all of them together.
        on_ready: Told about each one.

    Raises:
        StartFailedError: One ended, or was not ready in time; the text has the end of its log.
    """
    waiting = list(components)
    deadline = time.monotonic() + seconds
    while waiting:
        # Also of those that were ready already: what the others wait for may be one that has ended since.
        for component in components:
            if process(component) is None:
                raise StartFailedError(_explain(component, "ended", log(component)))
        for component in [name for name in waiting if check(name)]:
            waiting.remove(component)
            on_ready(component)
        if waiting and time.monotonic() > deadline:
            raise StartFailedError(_explain(waiting[0], f"was not ready within {seconds:.0f} s", log(waiting[0])))
        if waiting:
            time.sleep(_POLL_SECONDS)


def _explain(component: str, what: str, log: Path) -> str:
    last = "\n".join(f"  | {line}" for line in tail(log).splitlines()) or "  | (it wrote nothing)"
    return (
        f"{component} {what}. The end of {log}:\n{last}\n"
        f"What to do: repair what it says and run `coalmine local up` again: it starts only what does not run. "
        f"`coalmine local down --delete` ends everything and forgets the cluster."
    )
