"""The Secrets that gateways may show: those of the namespaces where gateways' pods are, and of no other.

The mesh may read Secrets only where a Role lets it (``deploy/mesh/gateway.yaml`` has it beside the gateway itself).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mesh.ir.gateways import Credential
from mesh.wiring.kinds import SECRETS
from mesh.wiring.kube import Kind
from mesh.wiring.reflector import Reflector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.ir.services import ServiceKey
    from mesh.wiring.kube import Kube

__all__ = ["GatewaySecrets", "ScopedKind", "read_credential"]

_FIRST_SECONDS: Final = 5.0
"""How long a start waits for Secrets that it may not be allowed to read."""
_CHAIN: Final = ("tls.crt", "cert")
_KEY: Final = ("tls.key", "key")
_ROOTS: Final = ("ca.crt", "cacert")
_DER: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class ScopedKind(Kind):
    """A kind of object in one namespace."""

    namespace: str = ""

    @classmethod
    def of(cls, kind: Kind, namespace: str) -> ScopedKind:
        """Return a kind in a namespace."""
        return cls(kind.group, kind.version, kind.kind, kind.plural, namespace)

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the path of the namespace's collection or of an object."""
        return Kind.path(self, namespace or self.namespace, name, subresource)


class GatewaySecrets:
    """Secrets with certificates, kept up to date.

    Args:
        kube: The client.
        changed: Called after each change.
    """

    def __init__(self, kube: Kube, changed: Callable[[], None]) -> None:
        self._kube = kube
        self._changed = changed
        self._watched: dict[str, tuple[Reflector[Credential | None], asyncio.Task[None]]] = {}
        self._wanted: frozenset[str] = frozenset()

    def want(self, namespaces: frozenset[str]) -> None:
        """Say in which namespaces there are gateways."""
        if namespaces == self._wanted:
            return
        self._wanted = namespaces
        for namespace in self._watched.keys() - namespaces:
            self._watched.pop(namespace)[1].cancel()
        for namespace in namespaces - self._watched.keys():
            kind = ScopedKind.of(SECRETS, namespace)
            reflector = Reflector(self._kube, (kind,), read_credential, self._changed)
            self._watched[namespace] = (reflector, asyncio.create_task(reflector.run()))

    async def tried(self) -> None:
        """Wait until all are known, or for a moment: a Secret that may not be read must not hold up everything."""
        waits = [reflector.synced.wait() for reflector, _ in self._watched.values()]
        if waits:
            await asyncio.wait([asyncio.ensure_future(w) for w in waits], timeout=_FIRST_SECONDS)

    @property
    def items(self) -> dict[ServiceKey, Credential]:
        """The credentials, by namespace and name."""
        return {
            key: found
            for reflector, _ in self._watched.values()
            for key, found in reflector.items.items()
            if found is not None
        }

    def stop(self) -> None:
        """End all watches."""
        self.want(frozenset())


def read_credential(manifest: Mapping[str, Any]) -> Credential | None:
    """Return what a Secret holds; None for one that has nothing to do with TLS."""
    data = manifest.get("data") or {}
    try:
        found = {name: base64.b64decode(data[name]) for name in (*_CHAIN, *_KEY, *_ROOTS) if data.get(name)}
    except (binascii.Error, TypeError):
        return Credential(problem="its data cannot be read")
    chain, key, ca = (next((found[n] for n in names if n in found), b"") for names in (_CHAIN, _KEY, _ROOTS))
    if not chain and not ca:
        return None
    return Credential(chain, key, ca, _problem(chain, key, ca))


def _problem(chain: bytes, key: bytes, ca: bytes) -> str:
    """Return why Envoy would refuse it; empty when it would not."""
    try:
        if ca:
            x509.load_pem_x509_certificates(ca)
    except ValueError:
        return "ca.crt holds no certificate in PEM"
    if not chain:
        return ""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        return "tls.crt holds no certificate in PEM"
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        return "tls.key holds no private key in PEM"
    if private.public_key().public_bytes(*_DER) != leaf.public_key().public_bytes(*_DER):
        return "tls.key is not the key of the first certificate in tls.crt"
    return ""
