"""Certificates, checked by the verifier of another library than made them where there is one: X.509 path validation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from mesh.ca.certificates import issue, load_pair, make_intermediate, make_root
from mesh.ir.identity import Identity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PAYMENT = Identity("shop", "payment")


def chain(leaf) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(leaf.chain)


def verified(leaf, root, when=NOW) -> tuple[str, ...]:
    """Return the names that a server takes a client of this chain for."""
    store = verification.Store([root.certificate])
    first, *others = chain(leaf)
    found = verification.PolicyBuilder().store(store).time(when).build_client_verifier().verify(first, others)
    return tuple(str(name.value) for name in found.subjects or ())


def test_a_workload_proves_its_spiffe_id_and_nothing_else():
    root = make_root(NOW, 10 * DAY)
    leaf = issue(make_intermediate(root, NOW, 5 * DAY), NOW, DAY, uri=PAYMENT.uri)
    assert verified(leaf, root) == ("spiffe://cluster.local/ns/shop/sa/payment",)
    certificate = chain(leaf)[0]
    assert list(certificate.subject) == []
    assert certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)


def test_it_does_not_prove_anything_to_those_who_trust_another_root():
    root, other = make_root(NOW, 10 * DAY), make_root(NOW, 10 * DAY)
    leaf = issue(make_intermediate(root, NOW, 5 * DAY), NOW, DAY, uri=PAYMENT.uri)
    with pytest.raises(verification.VerificationError):
        verified(leaf, other)
    assert root.certificate.subject != other.certificate.subject


def test_it_ends_when_it_should_and_never_after_its_issuer():
    root = make_root(NOW, 10 * DAY)
    issuer = make_intermediate(root, NOW, DAY / 2)
    leaf = issue(issuer, NOW, DAY, uri=PAYMENT.uri)
    assert leaf.expires == issuer.expires == NOW + DAY / 2
    with pytest.raises(verification.VerificationError):
        verified(leaf, root, NOW + DAY / 2 + timedelta(seconds=1))


def test_a_clock_that_is_behind_by_minutes_is_no_obstacle():
    root = make_root(NOW, 10 * DAY)
    leaf = issue(make_intermediate(root, NOW, 5 * DAY), NOW, DAY, uri=PAYMENT.uri)
    assert verified(leaf, root, NOW - timedelta(minutes=4))


def test_a_workload_cannot_sign_for_another():
    root = make_root(NOW, 10 * DAY)
    issuer = make_intermediate(root, NOW, 5 * DAY)
    own = issue(issuer, NOW, DAY, uri=PAYMENT.uri)
    pair = load_pair(own.chain, own.key)
    forged = issue(pair, NOW, DAY / 2, uri=Identity("kube-system", "admin").uri)
    forged_chain = forged.chain + issuer.certificate_pem
    with pytest.raises(verification.VerificationError):
        verified(type(forged)(forged_chain, forged.key, forged.expires), root)


def test_a_server_has_the_names_that_it_is_called_by():
    root = make_root(NOW, 10 * DAY)
    issuer = make_intermediate(root, NOW, 5 * DAY)
    leaf = issue(issuer, NOW, DAY, hosts=("mesh.coalmine-system.svc",))
    store = verification.Store([root.certificate])
    builder = verification.PolicyBuilder().store(store).time(NOW)
    first, *others = chain(leaf)
    builder.build_server_verifier(x509.DNSName("mesh.coalmine-system.svc")).verify(first, others)
    with pytest.raises(verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("other.coalmine-system.svc")).verify(first, others)


def test_a_key_of_another_certificate_is_refused():
    one, other = make_root(NOW, DAY), make_root(NOW, DAY)
    with pytest.raises(ValueError, match="the key is not the certificate's"):
        load_pair(one.certificate_pem, other.key_pem)
