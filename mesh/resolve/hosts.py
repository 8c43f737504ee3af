"""Host names: which Service one means, and under which names a Service is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from mesh.ir.services import Service, ServiceKey, ServicePort

__all__ = ["domains", "external_domains", "service_key"]

_SUFFIXES = (".svc.cluster.local", ".svc")


def service_key(host: str, namespace: str, known: Container[ServiceKey]) -> ServiceKey:
    """Return the Service that a host name means in a namespace.

    Args:
        host: As written: ``payment``, ``payment.shop``, ``payment.shop.svc`` or the full name.
        namespace: Where it is written; short names are of this namespace.
        known: All Services.

    Returns:
        Namespace and name; ``("", host)`` for a name that is no Service's, such as ``api.example.com``.
    """
    host = host.lower().rstrip(".")
    name = next((host.removesuffix(s) for s in _SUFFIXES if host.endswith(s)), host)
    first, dot, rest = name.partition(".")
    if not dot:
        return (namespace, first)
    if "." not in rest and (name != host or (rest, first) in known):
        return (rest, first)
    return ("", host)


def domains(service: Service, port: ServicePort, namespace: str) -> tuple[str, ...]:
    """Return the values of the Host header that mean this port of the Service to callers in the namespace."""
    if not service.namespace:
        names = [service.name, *(f"[{a}]" if ":" in a else a for a in service.addresses)]
        return _with_port(names, port.port, bare=service.port(None) == port)
    names = [service.name] if service.namespace == namespace else []
    base = f"{service.name}.{service.namespace}"
    names += [base, f"{base}.svc", f"{base}.svc.cluster.local"]
    names += [f"[{a}]" if ":" in a else a for a in service.addresses]
    return _with_port(names, port.port, bare=service.port(None) == port)


def external_domains(host: str) -> tuple[str, ...]:
    """Return the values of the Host header for a host that is no Service."""
    return (host,) if host.startswith("*") else (host, f"{host}:*")


def _with_port(names: list[str], port: int, *, bare: bool) -> tuple[str, ...]:
    return tuple(d for n in names for d in ((n, f"{n}:{port}") if bare else (f"{n}:{port}",)))
