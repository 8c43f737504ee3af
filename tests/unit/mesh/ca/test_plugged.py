"""An issuing certificate that somebody else made: what is taken, and what is said of what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from mesh.ca.authority import Authority
from mesh.ca.certificates import Pair, pem_of
from mesh.ca.plugged import read_plugged
from mesh.ca.roots import SecretError, dump, first, load
from mesh.ir.identity import Identity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RSA = rsa.generate_private_key(65537, 2048)
PAYMENT = Identity("shop", "payment")


def authority(name, above=None, *, key=None, ca=True, path=None, begins=NOW - DAY, ends=NOW + 90 * DAY, sign=True):
    """Return a certificate as openssl or cert-manager makes it."""
    key = key or ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = above or Pair(None, key)
    # As Go does it since 1.25: not the hash that everybody used before.
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    own = x509.SubjectKeyIdentifier(digest.finalize()[:20])
    builder = (
        x509.CertificateBuilder(subject_name=subject)
        .issuer_name(above.certificate.subject if above else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path if ca else None), critical=True)
        .add_extension(own, critical=False)
    )
    if above:
        identifier = above.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    others = "content_commitment key_encipherment data_encipherment key_agreement encipher_only decipher_only crl_sign"
    usage = dict.fromkeys(others.split(), False)
    builder = builder.add_extension(
        x509.KeyUsage(digital_signature=True, key_cert_sign=sign and ca, **usage), critical=True
    )
    return Pair(builder.sign(signer.key, hashes.SHA256()), key)


def istio(issuer, root, *between):
    return {
        "ca-cert.pem": issuer.certificate_pem,
        "ca-key.pem": issuer.key_pem,
        "root-cert.pem": root.certificate_pem,
        "cert-chain.pem": b"".join(p.certificate_pem for p in (issuer, *between)),
    }


def cert_manager(issuer, root, *between):
    return {
        "tls.crt": b"".join(p.certificate_pem for p in (issuer, *between)),
        "tls.key": issuer.key_pem,
        "ca.crt": root.certificate_pem,
    }


FORMS = pytest.mark.parametrize("form", [istio, cert_manager])
ROOT = authority("root", key=RSA)
MIDDLE = authority("middle", ROOT)
ISSUER = authority("issuer", MIDDLE, path=0)


def verified(leaf, roots):
    """Return the names that another library's path validation finds."""
    store = verification.Store(list(roots))
    policy = verification.PolicyBuilder().store(store).time(NOW)
    one, *others = x509.load_pem_x509_certificates(leaf.chain)
    return [str(n.value) for n in policy.build_client_verifier().verify(one, others).subjects]


@FORMS
@pytest.mark.parametrize("key", [None, RSA], ids=["elliptic", "rsa"])
def test_what_it_signs_is_valid_under_its_root(form, key):
    issuer = authority("issuer", MIDDLE, key=key and rsa.generate_private_key(65537, 2048), path=0)
    found = read_plugged(form(issuer, ROOT, MIDDLE), NOW)
    assert found.above == (MIDDLE.certificate,)
    assert found.roots == (ROOT.certificate,)
    leaf = Authority(first(NOW, found), clock=lambda: NOW).workload("shop/payment-1", PAYMENT)
    assert verified(leaf, found.roots) == [PAYMENT.uri]
    assert x509.load_pem_x509_certificates(leaf.chain)[1:] == [issuer.certificate, MIDDLE.certificate]


@FORMS
def test_a_root_itself_can_sign(form):
    found = read_plugged(form(ROOT, ROOT), NOW)
    leaf = Authority(first(NOW, found), clock=lambda: NOW).workload("shop/payment-1", PAYMENT)
    assert verified(leaf, found.roots) == [PAYMENT.uri]


def test_a_root_in_the_chain_is_not_sent_to_everybody():
    found = read_plugged(cert_manager(ISSUER, ROOT, MIDDLE, ROOT), NOW)
    assert found.above == (MIDDLE.certificate,)


def test_an_issuer_of_cert_manager_that_writes_no_root_has_it_in_the_chain():
    data = {**cert_manager(ISSUER, ROOT, MIDDLE, ROOT), "ca.crt": b""}
    assert read_plugged(data, NOW).roots == (ROOT.certificate,)


def test_istio_s_chain_may_be_left_out_under_a_root():
    issuer = authority("issuer", ROOT)
    data = istio(issuer, ROOT)
    del data["cert-chain.pem"]
    assert read_plugged(data, NOW).above == ()


def test_roots_that_are_over_are_not_trusted():
    over = authority("over", ends=NOW - timedelta(hours=1))
    data = istio(ISSUER, ROOT, MIDDLE)
    data["root-cert.pem"] += over.certificate_pem
    assert read_plugged(data, NOW).roots == (ROOT.certificate,)


def without_keys(*keys):
    return {k: v for k, v in istio(ISSUER, ROOT, MIDDLE).items() if k not in keys}


def encrypted(pair):
    return pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def edwards():
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


SHORT = authority("short", ROOT, path=0)
EXPIRED = authority("expired", ROOT, begins=NOW - 9 * DAY, ends=NOW - DAY)
SMALL = authority("small", ROOT, key=rsa.generate_private_key(65537, 1024))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, r"tls.crt and tls.key: missing: write ca-cert.pem"),
        (without_keys("ca-key.pem"), r"^ca-key.pem: missing"),
        (without_keys("root-cert.pem"), r"^root-cert.pem: missing: write the root that .*CN=middle"),
        (istio(ISSUER, ROOT, MIDDLE) | {"ca-cert.pem": b"x"}, r"^ca-cert.pem: no certificate in PEM"),
        (istio(ISSUER, ROOT, MIDDLE) | {"ca-key.pem": MIDDLE.key_pem}, r"^ca-key.pem: the key is not the certificate's"),
        (istio(ISSUER, ROOT, MIDDLE) | {"ca-key.pem": b"x"}, r"^ca-key.pem: .*write the PEM key that belongs"),
        (istio(ISSUER, ROOT, MIDDLE) | {"ca-key.pem": encrypted(ISSUER)}, r"^ca-key.pem: the key is encrypted"),
        (istio(ISSUER, ROOT, MIDDLE) | {"ca-key.pem": edwards()}, r"^ca-key.pem: the key is neither"),
        (istio(SMALL, ROOT), r"^ca-key.pem: an RSA key of 1024 bits"),
        (cert_manager(authority("leaf", ROOT, ca=False), ROOT), r"^tls.crt: .*CN=leaf is no authority.*isCA: true"),
        (cert_manager(authority("usage", ROOT, sign=False), ROOT), r'^tls.crt: .*keyCertSign.*"cert sign"'),
        (istio(EXPIRED, ROOT), r"^ca-cert.pem: .*CN=expired is not valid now: it is from .*2026-02-28T12:00:00Z: make a"),
        (cert_manager(EXPIRED, ROOT), r"^tls.crt: .*CN=expired is not valid now: .*cmctl renew"),
        (cert_manager(authority("soon", ROOT, begins=NOW + DAY), ROOT), r"^tls.crt: .*CN=soon is not valid now"),
        (istio(authority("deep", SHORT), ROOT, SHORT), r"^cert-chain.pem: .*CN=short allows 0 authorities.*and 1 are"),
        (istio(ISSUER, ROOT), r"^root-cert.pem: none of its roots has signed .*CN=issuer, which is from CN=middle"),
        (istio(ISSUER, ROOT, ROOT), r"^root-cert.pem: none of its roots"),
        (cert_manager(ISSUER, ROOT, SHORT), r"^tls.crt: .*CN=issuer is from CN=middle, and the next one is .*CN=short"),
        (cert_manager(ISSUER, EXPIRED, MIDDLE), r"^ca.crt: no root in it is valid now"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_by_key_with_the_fix(data, said):
    with pytest.raises(SecretError, match=said):
        read_plugged(data, NOW)


@FORMS
def test_our_secret_keeps_a_copy_that_is_as_good(form):
    roots = first(NOW, read_plugged(form(ISSUER, ROOT, MIDDLE), NOW))
    again = load(dump(roots))
    assert again.active.above == roots.active.above
    assert again.trusted == roots.trusted == pem_of(ROOT.certificate)
    assert again.active.key_pem == ISSUER.key_pem
    assert dump(again) == dump(roots)
