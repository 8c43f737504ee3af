"""What is chosen at the first ``up`` and kept: ports and the pods' addresses."""

from __future__ import annotations

import json
import random
import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Final

from coalmine.local.errors import LocalError
from coalmine.local.pki import write_private

if TYPE_CHECKING:
    from coalmine.local.layout import Layout

__all__ = ["Ports", "Settings", "choose_ports", "load_settings", "port_is_free", "save_settings"]

LOOPBACK: Final = "127.0.0.1"
_FIRST_PORT: Final = 20000
_LAST_PORT: Final = 31999
"""Below the range (32768 and up) that Linux gives to outgoing connections, so that a stopped component finds its port again."""
_ATTEMPTS: Final = 2000


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on 127.0.0.1."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    node: int
    mesh_xds: int
    mesh_http: int
    mesh_webhook: int
    controller_health: int
    controller_webhook: int
    controller_http: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The persisted choices of one cluster."""

    name: str
    pod_cidr: str
    ports: Ports


def choose_ports() -> Ports:
    """Return ports that nobody listens on."""
    wanted = len(fields(Ports))
    chosen: list[int] = []
    with ExitStack() as held:
        for _ in range(_ATTEMPTS):
            if len(chosen) == wanted:
                return Ports(*chosen)
            port = random.randint(_FIRST_PORT, _LAST_PORT)  # noqa: S311 - not a secret
            listener = held.enter_context(socket.socket())
            try:
                listener.bind((LOOPBACK, port))
            except OSError:
                continue
            chosen.append(port)
    raise LocalError(f"no {wanted} free ports between {_FIRST_PORT} and {_LAST_PORT} on {LOOPBACK}")


def port_is_free(port: int) -> bool:
    """Return whether nobody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def load_settings(layout: Layout) -> Settings | None:
    """Read the choices of an earlier ``up``; None if there was none, or if they cannot be understood."""
    try:
        data = json.loads(layout.settings.read_text())
        return Settings(str(data["name"]), str(data["pod_cidr"]), _ports(data["ports"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _ports(data: dict[str, int]) -> Ports:
    """Return the ports that were kept. One that is younger than the cluster is chosen now, beside those in use."""
    missing = {field.name for field in fields(Ports)} - data.keys()
    return Ports(**{**({"controller_http": choose_ports().controller_http} if missing else {}), **data})


def save_settings(layout: Layout, settings: Settings) -> None:
    """Keep the choices."""
    write_private(layout.settings, json.dumps(asdict(settings), indent=1).encode())
