"""An issuing certificate that somebody else made, as a Secret holds it: Istio's ``cacerts``, or a Certificate of cert-manager.

| what | Istio's keys | keys of ``kubernetes.io/tls`` |
|---|---|---|
| the issuing certificate | ``ca-cert.pem`` | ``tls.crt``, the first |
| its key | ``ca-key.pem`` | ``tls.key`` |
| what lies between it and the root | ``cert-chain.pem`` | ``tls.crt``, the others |
| the roots to trust | ``root-cert.pem`` | ``ca.crt`` |

What Envoys would refuse is refused here, before anybody gets a certificate of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from mesh.ca.certificates import Pair, load_pair
from mesh.ca.roots import SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["read_plugged"]

_LEAST_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class _Keys:
    """Which key of the Secret holds what."""

    certificate: str
    key: str
    chain: str
    roots: str
    renew: str


_ISTIO: Final = _Keys("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem", "make a new one")
_TLS: Final = _Keys("tls.crt", "tls.key", "tls.crt", "ca.crt", "renew it (cmctl renew, for one of cert-manager)")


def read_plugged(data: Mapping[str, bytes], now: datetime) -> Pair:
    """Return the issuing certificate with what lies above it.

    Args:
        data: The Secret's, decoded.
        now: The time, with its zone.

    Raises:
        SecretError: It cannot be used; the message names the key and the fix.
    """
    keys = _ISTIO if _ISTIO.certificate in data else _TLS
    if missing := [k for k in (keys.certificate, keys.key) if not data.get(k)]:
        raise SecretError(
            f"{' and '.join(missing)}: missing: write ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem as for "
            "Istio, or let a Certificate with isCA: true write tls.crt, tls.key and ca.crt"
        )
    issuer, *between = _certificates(data, keys.certificate)
    if keys.chain != keys.certificate and data.get(keys.chain):
        between = [c for c in _certificates(data, keys.chain) if c != issuer]
    roots = _roots(data, keys, [issuer, *between])
    above = [c for c in between if c not in roots]
    _check_time([*zip([issuer, *above], [keys.certificate, *([keys.chain] * len(above))], strict=True)], keys, now)
    if not (valid := [r for r in roots if r.not_valid_before_utc <= now < r.not_valid_after_utc]):
        raise SecretError(f"{keys.roots}: no root in it is valid now: {_span(roots[0])}: write the present root")
    _check_chain([issuer, *above], valid, keys)
    try:
        pair = load_pair(data[keys.certificate], data[keys.key])
    except ValueError as error:
        raise SecretError(f"{keys.key}: {error}: write the PEM key that belongs to {keys.certificate}") from error
    if isinstance(pair.key, rsa.RSAPrivateKey) and pair.key.key_size < _LEAST_RSA_BITS:
        raise SecretError(f"{keys.key}: an RSA key of {pair.key.key_size} bits, which proxies refuse: use 2048 or more")
    return Pair(pair.certificate, pair.key, tuple(above), tuple(valid))


def _certificates(data: Mapping[str, bytes], key: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data[key])
    except ValueError as error:
        raise SecretError(f"{key}: no certificate in PEM can be read from it: write it as openssl prints it") from error


def _roots(data: Mapping[str, bytes], keys: _Keys, chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    if data.get(keys.roots):
        return list(dict.fromkeys(_certificates(data, keys.roots)))
    # Some issuers of cert-manager leave ca.crt empty, and have the root at the chain's end.
    if chain[-1].subject == chain[-1].issuer:
        return [chain[-1]]
    raise SecretError(
        f"{keys.roots}: missing: write the root that {_name(chain[-1])} is from, so that it can be trusted"
    )


def _check_time(chain: Sequence[tuple[x509.Certificate, str]], keys: _Keys, now: datetime) -> None:
    for certificate, key in chain:
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise SecretError(f"{key}: {_name(certificate)} is not valid now: {_span(certificate)}: {keys.renew}")


def _check_chain(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], keys: _Keys) -> None:
    """Check each certificate of the chain and the root that it ends in."""
    for one, other in pairwise(chain):
        if not _is_from(one, other):
            raise SecretError(
                f"{keys.chain}: {_name(one)} is from {one.issuer.rfc4514_string()}, and the next one is {_name(other)}: "
                "write them in order, the issuing certificate's own issuer first"
            )
    for below, certificate in enumerate(chain):
        _check_authority(certificate, below, keys.chain if below else keys.certificate)
    last = chain[-1]
    found = [r for r in roots if r == last or _is_from(last, r)]
    if not found:
        raise SecretError(
            f"{keys.roots}: none of its roots has signed {_name(last)}, which is from {last.issuer.rfc4514_string()}: "
            f"write that root to {keys.roots}, or what lies between to {keys.chain}"
        )
    for root in found:
        _check_authority(root, len(chain) - (root == last), keys.roots)


def _check_authority(certificate: x509.Certificate, below: int, key: str) -> None:
    """Check that a certificate may sign others, with so many authorities below it."""
    try:
        limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        limits = x509.BasicConstraints(ca=False, path_length=None)
    if not limits.ca:
        raise SecretError(
            f"{key}: {_name(certificate)} is no authority, so that nothing it signs is valid: make one with CA:TRUE "
            "(isCA: true in cert-manager's Certificate)"
        )
    if limits.path_length is not None and below > limits.path_length:
        raise SecretError(
            f"{key}: {_name(certificate)} allows {limits.path_length} authorities below it (pathlen), and {below} are: "
            "make it with a longer path, or the chain shorter"
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise SecretError(
            f"{key}: {_name(certificate)} may not sign certificates: make it with key usage keyCertSign "
            '("cert sign" in cert-manager\'s Certificate)'
        )


def _is_from(one: x509.Certificate, other: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(other)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    return f"the certificate {certificate.subject.rfc4514_string() or '(without a name)'}"


def _span(certificate: x509.Certificate) -> str:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return f"it is from {begins:%Y-%m-%dT%H:%M:%SZ} to {ends:%Y-%m-%dT%H:%M:%SZ}"
