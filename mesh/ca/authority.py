"""The running authority: an issuing certificate in memory, and every workload's certificate in time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mesh.ca.certificates import Leaf, issue, make_intermediate

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from datetime import datetime

    from cryptography import x509

    from mesh.ca.certificates import Pair
    from mesh.ca.roots import Roots
    from mesh.ir.identity import Identity

__all__ = ["LEAF_LIFE", "Authority"]

LEAF_LIFE: Final = timedelta(hours=24)
_ISSUER_LIFE: Final = timedelta(days=30)
_JITTER: Final = 0.1
"""Certificates are renewed within this part of their life around its half, so that not all come at once."""


@dataclass(frozen=True, slots=True)
class _Issued:
    leaf: Leaf
    identity: Identity | None
    renew: datetime
    roots: frozenset[x509.Certificate]


class Authority:
    """Gives each proxy a certificate of its own, and a new one when half of its life is over.

    Args:
        roots: What signs and what is trusted.
        clock: The time, with its zone.
        leaf_life: How long a certificate lives.
        chance: Random numbers from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        roots: Roots,
        *,
        clock: Callable[[], datetime],
        leaf_life: timedelta = LEAF_LIFE,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.leaf_life: Final = leaf_life
        self._clock = clock
        self._chance = chance
        self._roots = roots
        self._issuer = self._make_issuer()
        self._issued: dict[str, _Issued] = {}

    @property
    def roots(self) -> Roots:
        """What signs and what is trusted."""
        return self._roots

    def adopt(self, roots: Roots) -> None:
        """Sign with other roots from now on; every certificate of another one is renewed when it is next asked for."""
        before, self._roots = self._roots.active, roots
        if roots.active != before:
            self._issuer = self._make_issuer()

    def workload(self, proxy: str, identity: Identity) -> Leaf:
        """Return the certificate of a proxy (``namespace/pod``); the same one until it is due."""
        return self._current(proxy, identity, ())

    def server(self, *hosts: str) -> Leaf:
        """Return the certificate of the control plane under these names; the same one until it is due."""
        return self._current(" ".join(hosts), None, hosts)

    @property
    def issuer(self) -> Pair:
        """What signs workloads' certificates."""
        return self._issuer

    @property
    def issued(self) -> dict[str, Leaf]:
        """The certificates of all proxies."""
        return {proxy: i.leaf for proxy, i in self._issued.items() if i.identity is not None}

    def due(self) -> bool:
        """Say whether a certificate is to be renewed."""
        self._renew_issuer()
        return any(self._is_due(issued) for issued in self._issued.values())

    def retain(self, proxies: Container[str]) -> None:
        """Forget the certificates of all other proxies."""
        self._issued = {k: i for k, i in self._issued.items() if i.identity is None or k in proxies}

    def _current(self, key: str, identity: Identity | None, hosts: tuple[str, ...]) -> Leaf:
        issued = self._issued.get(key)
        if issued is None or issued.identity != identity or self._is_due(issued):
            self._renew_issuer()
            now = self._clock()
            leaf = issue(self._issuer, now, self.leaf_life, uri=identity.uri if identity else "", hosts=hosts)
            life = leaf.expires - now
            renew = now + life * (0.5 + _JITTER * (2 * self._chance() - 1))
            issued = self._issued[key] = _Issued(leaf, identity, renew, frozenset(self._roots.active.roots))
        return issued.leaf

    def _is_due(self, issued: _Issued) -> bool:
        # A certificate of an earlier issuer under the same roots is as good as any until its own time comes.
        now = self._clock()
        if issued.roots != frozenset(self._roots.active.roots):
            return True
        # An issuer that has ended makes nothing better.
        return now >= issued.renew and self._issuer.expires > now

    def _renew_issuer(self) -> None:
        if self._roots.active.anchors:
            return  # it is somebody else's to renew
        now = self._clock()
        short = self._issuer.expires - now < max(2 * self.leaf_life, _ISSUER_LIFE / 3)
        if short and self._issuer.expires < self._roots.active.expires:
            self._issuer = self._make_issuer()

    def _make_issuer(self) -> Pair:
        if self._roots.active.anchors:
            return self._roots.active
        return make_intermediate(self._roots.active, self._clock(), max(_ISSUER_LIFE, 4 * self.leaf_life))
