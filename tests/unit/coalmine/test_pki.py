from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coalmine.local import pki
from coalmine.local.kubeconfigs import write_kubeconfigs
from coalmine.local.layout import Layout

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESS = "10.96.0.1"


@pytest.fixture
def folder(tmp_path):
    assert pki.ensure(tmp_path, service_address=ADDRESS, now=NOW)
    return tmp_path


def certificate(folder, name):
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def only(name, oid):
    return [attribute.value for attribute in name.get_attributes_for_oid(oid)]


def test_every_certificate_is_signed_by_the_one_ca(folder):
    ca = certificate(folder, "ca")
    leaves = [path.stem for path in folder.glob("*.crt") if path.stem != "ca"]
    assert len(leaves) == 12
    for leaf in leaves:
        certificate(folder, leaf).verify_directly_issued_by(ca)


def test_the_api_server_is_known_by_its_addresses_and_names(folder):
    names = certificate(folder, "apiserver-server").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert {str(address) for address in names.value.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", ADDRESS}
    assert {"localhost", "kubernetes.default.svc"} <= set(names.value.get_values_for_type(x509.DNSName))


@pytest.mark.parametrize(
    ("file", "user", "groups"),
    [
        ("admin", "coalmine:admin", ["system:masters"]),
        ("node", "system:coalmine:node", ["system:masters"]),
        ("mesh", "system:coalmine:mesh", []),
        ("controller", "system:coalmine:controller", []),
        ("kube-controller-manager", "system:kube-controller-manager", []),
    ],
)
def test_clients_are_the_users_that_the_roles_name(folder, file, user, groups):
    subject = certificate(folder, file).subject
    assert only(subject, NameOID.COMMON_NAME) == [user]
    assert only(subject, NameOID.ORGANIZATION_NAME) == groups


def test_a_serving_certificate_cannot_be_shown_as_a_client(folder):
    usage = certificate(folder, "webhook-server").extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_the_key_belongs_to_the_certificate(folder):
    key = serialization.load_pem_private_key((folder / "mesh.key").read_bytes(), password=None)
    assert key.public_key() == certificate(folder, "mesh").public_key()


def test_a_second_time_nothing_is_issued(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert not pki.ensure(folder, service_address=ADDRESS, now=NOW + timedelta(days=300))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_ends_within_30_days_is_issued_again_by_the_same_ca(folder):
    ca = certificate(folder, "ca")
    later = NOW + timedelta(days=340)
    assert pki.ensure(folder, service_address=ADDRESS, now=later)
    assert certificate(folder, "ca") == ca
    assert certificate(folder, "admin").not_valid_after_utc > later + timedelta(days=300)


def test_what_was_cut_short_is_issued_again(folder):
    (folder / "node.crt").write_text("-----BEGIN CERTIFICATE-----")
    assert pki.ensure(folder, service_address=ADDRESS, now=NOW)
    certificate(folder, "node").verify_directly_issued_by(certificate(folder, "ca"))


def test_a_new_ca_signs_everything_again(folder):
    (folder / "ca.key").unlink()
    assert pki.ensure(folder, service_address=ADDRESS, now=NOW)
    ca = certificate(folder, "ca")
    for path in folder.glob("*.crt"):
        if path.stem != "ca":
            certificate(folder, path.stem).verify_directly_issued_by(ca)


def test_nobody_else_may_read_keys_and_kubeconfigs(tmp_path):
    layout = Layout(tmp_path)
    pki.ensure(layout.pki, service_address=ADDRESS, now=NOW)
    write_kubeconfigs(layout, cluster="coalmine-x", server="https://127.0.0.1:1")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    config = yaml.safe_load(layout.kubeconfig("mesh").read_text())
    assert config["current-context"] == "coalmine-x"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
