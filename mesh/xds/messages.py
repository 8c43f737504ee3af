"""Small messages that every part of Envoy's configuration needs."""

from __future__ import annotations

from typing import Any, Final

from envoy.config.core.v3 import address_pb2, config_source_pb2
from google.protobuf import any_pb2, duration_pb2

__all__ = ["ads", "duration", "socket", "to_any"]

_FETCH_SECONDS: Final = 3
"""What is not there after this time is gone on without; 0 would wait for ever."""


def duration(seconds: float) -> duration_pb2.Duration:
    """Return seconds as a protobuf duration."""
    nanos = round(seconds * 1_000_000_000)
    return duration_pb2.Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def to_any(message: Any) -> any_pb2.Any:
    """Return the message in an ``Any``, with the same bytes each time."""
    packed = any_pb2.Any()
    packed.Pack(message, deterministic=True)
    return packed


def socket(address: str, port: int) -> address_pb2.Address:
    """Return a TCP address."""
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=address, port_value=port))


def ads() -> config_source_pb2.ConfigSource:
    """Return the source "the stream that this came from"."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration(_FETCH_SECONDS),
    )
