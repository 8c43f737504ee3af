"""Names at a gateway: which of two hosts with wildcards covers the other, and what a Gateway is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mesh.resolve.problems import Ref

__all__ = ["GATEWAY_API", "bound_to", "common", "covers", "is_standard", "known_as"]

GATEWAY_API: Final = "gateway.networking.k8s.io"
"""The group of the Gateway API's resources."""


def is_standard(ref: Ref) -> bool:
    """Say whether a Gateway is the Gateway API's."""
    return ref.api_version.startswith(f"{GATEWAY_API}/")


def known_as(ref: Ref) -> str:
    """Return the name by which rules are bound to a Gateway; Gateway API's are told from Istio's."""
    suffix = f"~{GATEWAY_API}" if is_standard(ref) else ""
    return f"{ref.namespace}/{ref.name}{suffix}"


def bound_to(ref: Ref, listener: str) -> str:
    """Return the name by which rules are bound to one listener of a Gateway API's Gateway."""
    return f"{known_as(ref)}/{listener}"


def covers(pattern: str, host: str) -> bool:
    """Say whether every name that ``host`` stands for is one that ``pattern`` stands for."""
    if pattern in {"*", host}:
        return True
    return pattern.startswith("*") and host.endswith(pattern[1:]) and host != pattern[1:]


def common(one: str, other: str) -> str:
    """Return the names that both stand for, which is the narrower of the two; empty for none."""
    if covers(one, other):
        return other
    return one if covers(other, one) else ""
