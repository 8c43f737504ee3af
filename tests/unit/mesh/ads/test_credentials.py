"""gRPC is told of another certificate once: each answer makes it exchange what handshakes are made from."""

from __future__ import annotations

import datetime as dt

import pytest

from mesh.ads.credentials import ServerCertificate
from mesh.ca.authority import Authority
from mesh.ca.roots import first


@pytest.fixture
def make_leaf():
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def make():
        return Authority(first(now), clock=lambda: now).server("127.0.0.1")

    return make


def test_a_handshake_hears_of_a_renewed_certificate_once_and_of_the_last_one_only(make_leaf):
    leaf = make_leaf()
    certificate = ServerCertificate(leaf.chain, leaf.key)
    assert certificate._changed() is None, "gRPC has the first one"
    for renewed in (make_leaf(), make_leaf()):
        certificate.renew(renewed.chain, renewed.key)
    assert certificate._changed() is not None
    assert certificate._changed() is None
    certificate.renew(renewed.chain, renewed.key)
    assert certificate._changed() is None, "it is the same"
