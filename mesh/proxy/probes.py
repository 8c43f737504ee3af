"""The kubelet's probes of a captured pod: taken on a port of their own and passed on to the application.

The kubelet speaks plaintext and has no identity, so a port under STRICT would refuse it. A TCP probe cannot be passed
on (a proxy accepts whether the application does or not): Envoy checks the port by itself, and answers with what it found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from mesh.api.names import INBOUND_SOURCE, PROBE_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CHECKED_STATS", "GRPC_PATH", "AppProbe", "probe_resources"]

GRPC_PATH: Final = "/grpc.health.v1.Health/Check"
_TYPES: Final = "type.googleapis.com/envoy."
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CHECK_INTERVAL: Final = "1s"
CHECKED_STATS: Final = r"cluster\.probe\|tcp\|\d+\.membership_(healthy|total)"
"""The stats that the answer to a TCP probe is computed from: without them it would be 503 for ever."""

Kind = Literal["HTTP", "HTTPS", "TCP", "GRPC"]


@dataclass(frozen=True, slots=True)
class AppProbe:
    """A probe of the application.

    Attributes:
        path: What the kubelet asks the sidecar for.
        kind: How the application is asked.
        port: Its port.
        target: What it is asked for (HTTP and HTTPS), without the query, which goes through as it is.
        seconds: After which a TCP check has failed.
    """

    path: str
    kind: Kind
    port: int
    target: str = "/"
    seconds: int = 1

    @property
    def cluster(self) -> str:
        """Name of the cluster that reaches the application."""
        return f"probe|{self.kind.lower()}|{self.port}"


def probe_resources(probes: Sequence[AppProbe], pod_ip: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the static listeners and clusters of a pod's probes; none where there is no probe."""
    if not probes:
        return [], []
    clusters = {probe.cluster: _cluster(probe, pod_ip) for probe in probes}
    return [_listener(probes, pod_ip)], list(clusters.values())


def _listener(probes: Iterable[AppProbe], pod_ip: str) -> dict[str, Any]:
    probes = tuple(probes)
    manager = {
        "@type": f"{_TYPES}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "probes",
        "route_config": {
            "name": "probes",
            "virtual_hosts": [
                {"name": "probes", "domains": ["*"], "routes": [_route(p) for p in probes if p.kind != "TCP"]}
            ],
        },
        "http_filters": [
            *(_checked(p) for p in probes if p.kind == "TCP"),
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    return {
        "name": "probes",
        "address": {"socket_address": {"address": pod_ip, "port_value": PROBE_PORT}},
        "ignore_global_conn_limit": True,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _route(probe: AppProbe) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": probe.cluster, "timeout": "0s"}  # the kubelet has its own
    if probe.kind != "GRPC":
        literal = probe.target.replace("\\", "\\\\")
        action["regex_rewrite"] = {"pattern": {"regex": ".*"}, "substitution": literal}
    return {"match": {"path": probe.path}, "route": action}


def _checked(probe: AppProbe) -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.health_check",
        "typed_config": {
            "@type": f"{_TYPES}extensions.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": False,
            "cluster_min_healthy_percentages": {probe.cluster: {"value": 100}},
            "headers": [{"name": ":path", "string_match": {"exact": probe.path}}],
        },
    }


def _cluster(probe: AppProbe, pod_ip: str) -> dict[str, Any]:
    address = {"socket_address": {"address": pod_ip, "port_value": probe.port}}
    cluster: dict[str, Any] = {
        "name": probe.cluster,
        "type": "STATIC",
        "connect_timeout": "5s",
        "upstream_bind_config": {"source_address": {"address": INBOUND_SOURCE, "port_value": 0}},
        "load_assignment": {
            "cluster_name": probe.cluster,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if probe.kind == "GRPC":
        options = {
            "@type": f"{_TYPES}extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        cluster["typed_extension_protocol_options"] = {_HTTP_OPTIONS: options}
    elif probe.kind == "HTTPS":
        # As the kubelet does: the certificate is not checked.
        context = {"@type": f"{_TYPES}extensions.transport_sockets.tls.v3.UpstreamTlsContext"}
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    elif probe.kind == "TCP":
        cluster["health_checks"] = [
            {
                "tcp_health_check": {},
                "timeout": f"{probe.seconds}s",
                "interval": _CHECK_INTERVAL,
                "no_traffic_interval": _CHECK_INTERVAL,
                "no_traffic_healthy_interval": _CHECK_INTERVAL,
                "healthy_threshold": 1,
                "unhealthy_threshold": 1,
            }
        ]
    return cluster
