"""X.509 certificates as the mesh makes them: EC P-256, SHA-256, a SPIFFE id as the only name of a workload."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = [
    "BACKDATE",
    "Leaf",
    "Pair",
    "SigningKey",
    "issue",
    "load_certificate",
    "load_pair",
    "make_intermediate",
    "make_root",
    "pem_of",
]

BACKDATE: Final = timedelta(minutes=5)
"""Certificates begin a little in the past, so that a node whose clock is behind does not refuse them."""
_ORGANIZATION: Final = "cluster.local"
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""What an authority signs with: our own have elliptic curves, those that others make are often RSA."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate of an authority and its key.

    Attributes:
        certificate: It.
        key: Its key.
        above: What lies between it and its root, the nearest first.
        anchors: The roots to trust for it; none where it is a root itself.
    """

    certificate: x509.Certificate
    key: SigningKey
    above: tuple[x509.Certificate, ...] = ()
    anchors: tuple[x509.Certificate, ...] = ()

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots to trust for what it signs."""
        return self.anchors or (self.certificate,)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return pem_of(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The key as PEM (PKCS #8)."""
        return _key_pem(self.key)

    @property
    def expires(self) -> datetime:
        """When it ends, or what lies above it."""
        return min(found.not_valid_after_utc for found in (self.certificate, *self.above))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate that proves who somebody is.

    Attributes:
        chain: The certificate and what lies between it and the root, PEM.
        key: Its key, PEM.
        expires: When it ends.
    """

    chain: bytes
    key: bytes
    expires: datetime


def make_root(now: datetime, life: timedelta) -> Pair:
    """Return a new self-signed root; two made at the same time differ in their names too, so that chains are clear."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Coalmine mesh root {x509.random_serial_number() >> 128:08x}")
    certificate = _authority(name, name, key, key, now=now, ends=now + life, path_length=1)
    return Pair(certificate, key)


def make_intermediate(root: Pair, now: datetime, life: timedelta) -> Pair:
    """Return an issuing certificate under a root; it ends no later than the root does."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Coalmine mesh issuer {x509.random_serial_number() >> 128:08x}")
    ends = min(now + life, root.expires)
    return Pair(_authority(name, root.certificate.subject, key, root.key, now=now, ends=ends, path_length=0), key)


def issue(issuer: Pair, now: datetime, life: timedelta, *, uri: str = "", hosts: Sequence[str] = ()) -> Leaf:
    """Return a certificate; it ends no later than its issuer does, and now where that has ended already.

    Args:
        issuer: The issuing certificate.
        now: The time, with its zone.
        life: How long it is to be valid from now on.
        uri: The SPIFFE id; it proves a workload to clients and servers.
        hosts: DNS names and addresses, for a server.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    ends = max(min(now + life, issuer.expires), now)
    names = [x509.UniformResourceIdentifier(uri)] if uri else []
    builder = (
        _builder(x509.Name([]), issuer.certificate.subject, key, now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(_issued_by(issuer), critical=False)
        # Critical, since the subject is empty (RFC 5280, 4.2.1.6).
        .add_extension(x509.SubjectAlternativeName([*names, *map(_host, hosts)]), critical=True)
    )
    certificate = builder.sign(issuer.key, hashes.SHA256())
    chain = b"".join(map(pem_of, (certificate, issuer.certificate, *issuer.above)))
    return Leaf(chain, _key_pem(key), certificate.not_valid_after_utc)


def load_certificate(pem: bytes) -> x509.Certificate:
    """Return the first certificate of a PEM text.

    Raises:
        ValueError: There is none.
    """
    return x509.load_pem_x509_certificate(pem)


def load_pair(certificate: bytes, key: bytes) -> Pair:
    """Return a certificate with its key.

    Raises:
        ValueError: One of them cannot be read, the key is of another kind, or it is another certificate's.
    """
    loaded = load_certificate(certificate)
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    if not isinstance(private, SigningKey):
        raise ValueError("the key is neither an elliptic-curve key nor an RSA key")  # noqa: TRY004 - a Secret's content
    if private.public_key() != loaded.public_key():
        raise ValueError("the key is not the certificate's")
    return Pair(loaded, private)


def pem_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _issued_by(issuer: Pair) -> x509.AuthorityKeyIdentifier:
    """Return how a certificate names its issuer's key: as the issuer's own does, which others may compute otherwise."""
    try:
        named = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named.value)


def _key_pem(key: SigningKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _authority(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signs: SigningKey,
    *,
    now: datetime,
    ends: datetime,
    path_length: int,
) -> x509.Certificate:
    return (
        _builder(subject, issuer, key, now, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signs.public_key()), critical=False)
        .sign(signs, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(ends)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
