"""One HTTP rule of a VirtualService, with where it is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.api.virtualservice import MESH_GATEWAY

if TYPE_CHECKING:
    from mesh.api import virtualservice as vs
    from mesh.api.httpmatch import TcpMatch
    from mesh.resolve.problems import Ref

__all__ = ["Caller", "Clause", "applies", "qualified"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose requests rules are looked up for.

    Attributes:
        namespace: Namespace of the callers; of the gateway's pods for a gateway.
        labels: Those of the callers' labels that some rule asks for.
        gateway: ``mesh`` for sidecars, or ``namespace/name``.
    """

    namespace: str
    labels: frozenset[tuple[str, str]] = frozenset()
    gateway: str = MESH_GATEWAY


@dataclass(frozen=True, slots=True)
class Clause:
    """A rule.

    Attributes:
        ref: The VirtualService that it is written in.
        index: Its place there.
        http: What it says; match and actions as they are after delegation.
        root: The VirtualService that delegated to it.
        alone: Whether its VirtualService has no other.
    """

    ref: Ref
    index: int
    http: vs.HttpRoute
    root: Ref | None = None
    alone: bool = False

    @property
    def path(self) -> str:
        """Its path in its VirtualService."""
        return f"spec.http[{self.index}]"

    @property
    def namespace(self) -> str:
        """The namespace that short names in it are of."""
        return self.ref.namespace

    @property
    def name(self) -> str:
        """As it is shown."""
        return self.http.name or f"{self.ref.name}.{self.index}"

    @property
    def takes_all(self) -> bool:
        """Whether no request is left for rules after it, whoever calls."""
        return not self.http.match or any(_takes_all(m) for m in self.http.match)


def _takes_all(match: vs.HttpMatch) -> bool:
    uri = match.uri
    anything = uri is None or uri.prefix == "/"
    rest = (match.scheme, match.method, match.authority, match.headers, match.without_headers, match.query_params)
    source = (match.source_labels, match.source_namespace, match.gateways, match.port)
    return anything and not any(rest) and not any(source) and not match.model_extra


def applies(match: vs.HttpMatch | TcpMatch, caller: Caller, namespace: str, port: int) -> bool:
    """Say whether the parts of a match that are known beforehand hold: who calls, through what, on which port.

    Args:
        match: The match.
        caller: Whose requests.
        namespace: Namespace of the VirtualService.
        port: The host's port.
    """
    if match.port is not None and match.port != port:
        return False
    if match.gateways and caller.gateway not in {qualified(g, namespace) for g in match.gateways}:
        return False
    if caller.gateway != MESH_GATEWAY:
        return True  # what is said about sources is about sidecars
    if match.source_namespace and match.source_namespace != caller.namespace:
        return False
    return set(match.source_labels.items()) <= caller.labels


def qualified(gateway: str, namespace: str) -> str:
    """Return a gateway's name with its namespace; ``mesh`` is ``mesh``."""
    return gateway if gateway == MESH_GATEWAY or "/" in gateway else f"{namespace}/{gateway}"
