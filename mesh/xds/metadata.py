"""Metadata on clusters, endpoints and routes, from which telemetry takes its labels.

| where | keys | formatter |
|---|---|---|
| endpoint | ``service``, ``pod``, ``version`` | ``%METADATA(UPSTREAM_HOST:coalmine:pod)%`` |
| cluster | ``service``, ``namespace``, ``subset`` | ``%METADATA(CLUSTER:coalmine:service)%`` |
| route | ``host``, ``namespace``, ``kind`` | ``%METADATA(ROUTE:coalmine:kind)%`` |

``service`` is the backend that a request went to (``payment-canary``), ``host`` the Service that the caller named
(``payment``), ``kind`` what the requests of a route are counted as (``read``; see ``mesh.resolve.kinds``).
"""

from __future__ import annotations

from typing import Final

from envoy.config.core.v3 import base_pb2
from google.protobuf import struct_pb2

__all__ = ["COPY_HEADER", "FILTER", "copy_of", "metadata"]

FILTER: Final = "coalmine"
"""The filter namespace of all metadata that the mesh writes."""

COPY_HEADER: Final = "x-coalmine-copy"
"""On copies of requests that telemetry counts, since those have no route: what they are copies of. The proxies take it
off all other requests, so that no label comes from a caller."""


def copy_of(namespace: str, host: str, kind: str) -> str:
    """Return what ``COPY_HEADER`` holds."""
    return f"{namespace}/{host} {kind}".rstrip()


def metadata(**values: str) -> base_pb2.Metadata:
    """Return the values as Envoy metadata under ``FILTER``; empty values are left out."""
    fields = {k: struct_pb2.Value(string_value=v) for k, v in values.items() if v}
    return base_pb2.Metadata(filter_metadata={FILTER: struct_pb2.Struct(fields=fields)})
