"""What callers can reach: Services, the hosts of ServiceEntries, and which of them their proxies know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.ir.services import Service, ServiceKey
    from mesh.resolve.externals import External
    from mesh.resolve.sidecars import EgressScope

__all__ = ["Reach"]


@dataclass(frozen=True)
class Reach:
    """What callers can reach.

    Attributes:
        services: All Services, and the hosts of ServiceEntries that are for the callers.
        externals: The latter, with what else is known of them.
        egress: Hosts that the callers' pods say they call; None where they say nothing.
        scope: What their Sidecar says.
        namespace: Their namespace.
    """

    services: Mapping[ServiceKey, Service]
    externals: Mapping[ServiceKey, External]
    egress: frozenset[ServiceKey] | None
    scope: EgressScope
    namespace: str

    def knows(self, key: ServiceKey) -> bool:
        """Say whether the callers' proxies know a host; one that only a VirtualService names is of their namespace."""
        if self.egress is not None:
            return key in self.egress
        service, external = self.services.get(key), self.externals.get(key)
        home = external.home if external else key[0] or self.namespace
        return self.scope.knows(home, service.fqdn if service else key[1])

    @property
    def known(self) -> frozenset[ServiceKey]:
        """All Services and hosts that their proxies know."""
        return frozenset(key for key in self.services if self.knows(key))
