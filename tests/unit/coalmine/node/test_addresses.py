from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.local.node.addresses import AddressesExhaustedError, AddressPool


def test_addresses_rise_and_skip_the_hosts_own_network():
    pool = AddressPool("127.0.0.0/16")
    assert [pool.allocate() for _ in range(3)] == ["127.0.1.1", "127.0.1.2", "127.0.1.3"]


def test_a_free_address_is_used_again_as_late_as_possible():
    pool = AddressPool("127.0.0.0/23")
    first = pool.allocate()
    pool.release(first)
    seen = [pool.allocate() for _ in range(254)]
    assert seen[0] == "127.0.1.2"
    assert seen[-1] == first == "127.0.1.1"
    with pytest.raises(AddressesExhaustedError, match="in use"):
        pool.allocate()


def test_claimed_addresses_are_not_given_out():
    pool = AddressPool("127.0.0.0/16")
    pool.claim("127.0.1.5")
    assert pool.allocate() == "127.0.1.6"


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "127.0.0.0/24", "127.0.0.1/16", "nonsense"])
def test_a_network_that_cannot_serve_is_refused(cidr):
    with pytest.raises(ValueError, match=r"must be within|has host bits|[Ee]xpected"):
        AddressPool(cidr)


@given(st.lists(st.one_of(st.just("allocate"), st.integers(0, 20)), max_size=80))
def test_no_address_is_given_twice_at_a_time(steps):
    pool, used = AddressPool("127.0.0.0/16"), []
    for step in steps:
        if step == "allocate":
            address = pool.allocate()
            assert address not in used
            used.append(address)
        elif step < len(used):
            pool.release(used.pop(step))
