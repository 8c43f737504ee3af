"""Checks of Gateways and of the Gateway API's routes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from mesh.api.gateway import split_host
from mesh.lint.findings import Finding, Severity, finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.api.gateway import GatewayServer
    from mesh.lint.resources import Resources
    from mesh.resolve.problems import Ref

__all__ = ["conflicting_servers"]

_TOGETHER: Final = ({"http"}, {"https", "tls"})
"""Kinds of servers that can share a port."""
_Server = tuple["Ref", str, "GatewayServer"]


def conflicting_servers(resources: Resources) -> Iterator[Finding]:
    """CM0502: of servers that cannot be together the older Gateway's is used, and the other one is not.

    Servers of plain HTTP with the same host can: the rules that are bound to either of them are served.
    """
    ports: dict[tuple[tuple[tuple[str, str], ...], int], list[_Server]] = defaultdict(list)
    for rule in sorted(resources.world.gateways, key=lambda r: (r.created, r.ref)):
        for index, server in enumerate(rule.spec.servers if rule.spec else ()):
            chosen = tuple(sorted(rule.spec.selector.items())) if rule.spec else ()
            ports[chosen, server.port.number].append((rule.ref, f"spec.servers[{index}]", server))
    for (_, number), servers in ports.items():
        for place, younger in enumerate(servers):
            for older in servers[:place]:
                yield from _conflict(number, older, younger)


def _conflict(number: int, older: _Server, younger: _Server) -> Iterator[Finding]:
    (first, where, old), (ref, path, new) = older, younger
    name = f"{where} of Gateway {first.namespace}/{first.name}"
    if not any({old.port.kind, new.port.kind} <= kinds for kinds in _TOGETHER):
        text = f"{new.port.protocol} cannot share port {number} with {name} ({old.port.protocol}): use another port"
        yield finding("CM0502", ref, f"{path}.port", text, Severity.ERROR)
    elif new.port.kind != "http" and (shared := sorted(_names(first, old) & _names(ref, new))):
        text = f"{shared[0]} on port {number} is served by {name} already, which is used: keep it in one of the two"
        yield finding("CM0502", ref, f"{path}.hosts", text)


def _names(ref: Ref, server: GatewayServer) -> set[str]:
    return {name for _, name in (split_host(host, ref.namespace) for host in server.hosts)}
