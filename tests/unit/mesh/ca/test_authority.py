"""Workloads' certificates in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from mesh.ca.authority import Authority
from mesh.ca.roots import Held, first, next_step
from mesh.ir.identity import Identity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIFE = timedelta(hours=24)
PAYMENT = Identity("shop", "payment")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def authority(clock: Clock, chance: float = 0.5) -> Authority:
    return Authority(first(NOW), clock=clock, leaf_life=LIFE, chance=lambda: chance)


def test_a_proxy_keeps_its_certificate_until_half_of_its_life(clock):
    ca = authority(clock)
    leaf = ca.workload("shop/payment-1", PAYMENT)
    clock.now = NOW + LIFE * 0.49
    assert not ca.due()
    assert ca.workload("shop/payment-1", PAYMENT) is leaf
    clock.now = NOW + LIFE * 0.5
    assert ca.due()
    renewed = ca.workload("shop/payment-1", PAYMENT)
    assert renewed.key != leaf.key
    assert renewed.expires == clock.now + LIFE
    assert not ca.due()


@pytest.mark.parametrize(("chance", "part"), [(0.0, 0.4), (1.0, 0.6)])
def test_not_all_are_renewed_at_once(clock, chance, part):
    ca = authority(clock, chance)
    ca.workload("shop/payment-1", PAYMENT)
    clock.now = NOW + LIFE * (part - 0.01)
    assert not ca.due()
    clock.now = NOW + LIFE * (part + 0.01)
    assert ca.due()


def test_two_pods_of_one_account_have_keys_of_their_own(clock):
    ca = authority(clock)
    assert ca.workload("shop/payment-1", PAYMENT).key != ca.workload("shop/payment-2", PAYMENT).key


def test_a_pod_that_comes_again_under_another_account_is_another(clock):
    ca = authority(clock)
    old = ca.workload("shop/payment-0", PAYMENT)
    new = ca.workload("shop/payment-0", Identity("shop", "other"))
    assert old.key != new.key
    names = x509.load_pem_x509_certificate(new.chain).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [Identity("shop", "other").uri]


def test_another_root_makes_every_certificate_due(clock):
    ca = authority(clock)
    leaf = ca.workload("shop/payment-1", PAYMENT)
    server = ca.server("127.0.0.1")
    none = timedelta(0)
    held = Held(trust=True, leaves=True)
    adding = next_step(ca.roots, held, NOW, wanted=True, hold=none, leaf_life=LIFE)
    ca.adopt(adding)
    assert not ca.due(), "what is only trusted signs nothing"
    assert ca.workload("shop/payment-1", PAYMENT) is leaf
    ca.adopt(next_step(adding, held, NOW, wanted=False, hold=none, leaf_life=LIFE))
    assert ca.due()
    assert ca.workload("shop/payment-1", PAYMENT) is not leaf
    assert ca.server("127.0.0.1") is not server
    assert not ca.due()


def test_the_issuing_certificate_never_shortens_a_workloads_life(clock):
    ca = authority(clock)
    for day in range(400):
        clock.now = NOW + timedelta(days=day)
        leaf = ca.workload("shop/payment-1", PAYMENT)
        assert leaf.expires - clock.now >= LIFE / 2


def test_what_is_gone_is_forgotten_and_the_servers_own_is_kept(clock):
    ca = authority(clock)
    gone, server = ca.workload("shop/gone", PAYMENT), ca.server("127.0.0.1")
    ca.retain({"shop/other"})
    assert ca.workload("shop/gone", PAYMENT) is not gone
    assert ca.server("127.0.0.1") is server
