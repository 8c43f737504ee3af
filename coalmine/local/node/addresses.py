"""Addresses of pods: one of the loopback network for each, none given twice at a time."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

__all__ = ["AddressPool", "AddressesExhaustedError"]

_RESERVED = 256


class AddressesExhaustedError(Exception):
    """Every address of the pod network is in use."""


class AddressPool:
    """Hands out addresses in rising order, so that one that became free is used again as late as possible.

    The first 256 addresses (127.0.0.0/24 of the default network) are the host's own.
    """

    def __init__(self, cidr: str) -> None:
        """Take a network.

        Raises:
            ValueError: It is not an IPv4 loopback network with more than 256 addresses.
        """
        network = IPv4Network(cidr)
        if not network.is_loopback or network.num_addresses <= _RESERVED:
            raise ValueError(f"pod CIDR {cidr}: must be within 127.0.0.0/8 and larger than a /24, e.g. 127.0.0.0/16")
        self._first = int(network.network_address) + _RESERVED
        self._count = network.num_addresses - _RESERVED
        self._next = 0
        self._used: set[str] = set()

    def claim(self, address: str) -> None:
        """Mark an address as in use: that of a pod which was there before the agent."""
        self._used.add(address)
        offset = int(IPv4Address(address)) - self._first
        if 0 <= offset < self._count:
            self._next = max(self._next, offset + 1)

    def allocate(self) -> str:
        """Return a free address and mark it as in use.

        Raises:
            AddressesExhaustedError: There is none.
        """
        for step in range(self._count):
            number = self._first + (self._next + step) % self._count
            address = str(IPv4Address(number))
            # .0 and .255 look like a network and a broadcast address to people and programs.
            if number % 256 in (0, 255) or address in self._used:
                continue
            self._next = (self._next + step + 1) % self._count
            self._used.add(address)
            return address
        raise AddressesExhaustedError(f"all of the {self._count} pod addresses are in use")

    def release(self, address: str) -> None:
        """Make an address free."""
        self._used.discard(address)
