"""Who a workload is: SPIFFE ids, and how a port asks for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["TRUST_DOMAIN", "Identity", "MtlsMode"]

TRUST_DOMAIN: Final = "cluster.local"
_URI: Final = re.compile(rf"spiffe://{re.escape(TRUST_DOMAIN)}/ns/(?P<namespace>[^/]+)/sa/(?P<account>[^/]+)")

MtlsMode = Literal["STRICT", "PERMISSIVE", "DISABLE"]
"""What a port takes: mutual TLS only, that and plaintext, or plaintext only."""


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A service account; all pods that run under it are the same to the mesh.

    Attributes:
        namespace: Its namespace.
        service_account: Its name.
    """

    namespace: str
    service_account: str

    @property
    def principal(self) -> str:
        """As AuthorizationPolicy writes it: ``cluster.local/ns/<namespace>/sa/<service account>``."""
        return f"{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.service_account}"

    @property
    def uri(self) -> str:
        """The SPIFFE id, as certificates carry it."""
        return f"spiffe://{self.principal}"

    @classmethod
    def parse(cls, uri: str) -> Identity | None:
        """Return the identity of a SPIFFE id; None for one that is not of this mesh."""
        found = _URI.fullmatch(uri)
        return cls(found["namespace"], found["account"]) if found else None
