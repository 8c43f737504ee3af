"""The local cluster's own certificates.

One CA signs everything. Keys are ECDSA P-256, files are readable by their owner only. Whatever is missing or ends
within 30 days is issued again by `ensure`.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coalmine.local.layout import APISERVER, CONTROLLER, ETCD, KCM, MESH, NODE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CLIENTS", "Identity", "ensure", "write_private"]

_CA_LIFE: Final = timedelta(days=3650)
_LEAF_LIFE: Final = timedelta(days=365)
_RENEW_BEFORE: Final = timedelta(days=30)
_BACKDATE: Final = timedelta(minutes=5)
"""Certificates begin a little in the past, so that a clock set back slightly does not refuse them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate to issue.

    Attributes:
        file: File name without its ending; ``<file>.crt`` and ``<file>.key`` are written.
        user: Common name: the Kubernetes user name of a client.
        group: Organization: the Kubernetes group of a client.
        names: DNS names and addresses that a server is reached by; empty for a pure client.
        client: Whether it may be shown to a server.
    """

    file: str
    user: str
    group: str | None = None
    names: tuple[str, ...] = ()
    client: bool = True


CLIENTS: Final = {
    "admin": Identity("admin", "coalmine:admin", "system:masters"),
    KCM: Identity(KCM, "system:kube-controller-manager"),
    NODE: Identity("node", "system:coalmine:node", "system:masters"),
    MESH: Identity("mesh", "system:coalmine:mesh"),
    CONTROLLER: Identity("controller", "system:coalmine:controller"),
}
"""Who talks to the apiserver; each gets a kubeconfig."""

_LOOPBACK: Final = ("127.0.0.1", "localhost")


def _identities(service_address: str) -> tuple[Identity, ...]:
    kubernetes = tuple(
        f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local")
    )
    return (
        *CLIENTS.values(),
        Identity("etcd-server", ETCD, names=_LOOPBACK),
        Identity("etcd-client", APISERVER),
        Identity("apiserver-server", APISERVER, names=(*_LOOPBACK, *kubernetes, service_address), client=False),
        Identity("apiserver-kubelet-client", APISERVER, "system:masters"),
        Identity("controller-manager-server", KCM, names=_LOOPBACK, client=False),
        Identity("node-server", "system:node:local", "system:nodes", names=_LOOPBACK, client=False),
        Identity("webhook-server", "coalmine-webhooks", names=_LOOPBACK, client=False),
    )


def write_private(path: Path, content: bytes) -> None:
    """Replace ``path`` at once by a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)


def ensure(folder: Path, *, service_address: str, now: datetime) -> bool:
    """Issue every certificate and key that is missing or ends within 30 days.

    Args:
        folder: Where they are kept.
        service_address: The cluster IP of the Service ``kubernetes``.
        now: The present time, with its zone.

    Returns:
        Whether anything was written; servers that run keep their old certificates until they are restarted.
    """
    changed = False
    ca_certificate = _valid(folder / "ca.crt", now)
    if ca_certificate is None or not (folder / "ca.key").exists():
        ca_certificate = _make_ca(folder, now)
        changed = True
    ca_key = _load_key(folder / "ca.key")
    if not (folder / "service-account.key").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(folder / "service-account.key", _pem(key))
        write_private(folder / "service-account.pub", _public_pem(key.public_key()))
        changed = True
    for identity in _identities(service_address):
        present = _valid(folder / f"{identity.file}.crt", now)
        if changed or present is None or not (folder / f"{identity.file}.key").exists():
            _issue(folder, identity, ca_certificate, ca_key, now)
            changed = True
    return changed


def _valid(path: Path, now: datetime) -> x509.Certificate | None:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return certificate if certificate.not_valid_after_utc - _RENEW_BEFORE > now else None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = f"{path} is not an ECDSA key; delete the folder {path.parent} to have it made again"
        raise TypeError(msg)
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC 1 ("EC PRIVATE KEY"): the service-account key reader accepts nothing else for ECDSA.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _make_ca(folder: Path, now: datetime) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coalmine local CA")])
    certificate = (
        _builder(name, name, key.public_key(), now, _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(folder / "ca.key", _pem(key))
    write_private(folder / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))
    return certificate


def _issue(
    folder: Path, identity: Identity, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, now: datetime
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, identity.user)]
    if identity.group:
        subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] if identity.names else []
    if identity.client:
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    builder = (
        _builder(x509.Name(subject), ca.subject, key.public_key(), now, _LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if identity.names:
        names = x509.SubjectAlternativeName([_general_name(n) for n in identity.names])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(ca_key, hashes.SHA256())
    write_private(folder / f"{identity.file}.key", _pem(key))
    write_private(folder / f"{identity.file}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
