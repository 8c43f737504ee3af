"""The bootstrap of a sidecar: what Envoy knows before the control plane has told it anything.

It is the same text for every pod: the kubelet puts the pod's own address and name in place of ``$(POD_IP)``,
``$(POD_NAME)`` and ``$(POD_NAMESPACE)`` when it starts the container.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from mesh.api.names import ADMIN_PORT, READY_PORT
from mesh.proxy.identityfiles import MOUNT, ROOTS_SECRET, TOKEN_SECRET, file_secret
from mesh.proxy.probes import CHECKED_STATS, probe_resources
from mesh.xds import standard
from mesh.xds.telemetry import ANSWERED_BOUNDS_US, ANSWERED_US, EJECTED, SILENT_BOUNDS_MS, SILENT_MS, STATS_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.ir.views import Capture
    from mesh.proxy.probes import AppProbe

__all__ = ["PROXY_ATTRIBUTE", "READY_PATH", "ProxySettings", "bootstrap", "envoy_args"]

READY_PATH: Final = "/healthz/ready"
PROXY_ATTRIBUTE: Final = "coalmine.proxy"
"""OTLP resource attribute that names the reporting proxy: ``namespace/pod``."""

_XDS_CLUSTER: Final = "coalmine-xds"
_TYPES: Final = "type.googleapis.com/envoy."
_RUNTIME: Final = {"re2.max_program_size.error_level": 32768}
"""Envoy's own bound of 100 refuses regular expressions of about 80 characters; this is Istio's."""
_EVICTION: Final = "600s"
"""How often stats that stood still are dropped, of those that may become many (``mesh.xds.plaintext``)."""
_MAX_CONNECTIONS: Final = 50_000
"""Callers' connections to one sidecar; Envoy warns when there is no bound, and memory has one anyway."""


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What differs between installations.

    Attributes:
        xds_address: ``host:port`` of the control plane, which also takes the telemetry.
        capture: With ``env`` several pods share the machine's loopback, so the admin page is on the pod's address;
            with ``iptables`` it is on the pod's own loopback, out of others' reach.
        cluster: Name of the Envoy node's cluster, shown in the control plane's log.
        log_level: Envoy's log level.
        identity: Folder of the files that prove who is who, see ``mesh.proxy.identityfiles``; None for a control plane
            without TLS, which only tests have.
        role: ``router`` for a gateway.
    """

    xds_address: str
    capture: Capture
    cluster: str = "coalmine"
    log_level: str = "warning"
    identity: str | None = MOUNT
    role: Literal["sidecar", "router"] = "sidecar"


def bootstrap(
    settings: ProxySettings,
    *,
    pod_ip: str = "$(POD_IP)",
    pod: str = "$(POD_NAME)",
    namespace: str = "$(POD_NAMESPACE)",
    probes: Sequence[AppProbe] = (),
) -> dict[str, Any]:
    """Return the bootstrap as Envoy reads it from JSON.

    Args:
        settings: What differs between installations.
        pod_ip: The pod's address, or the variable that the kubelet puts it in place of.
        pod: The pod's name, likewise.
        namespace: The pod's namespace, likewise.
        probes: What the kubelet asks the application through the sidecar.

    Raises:
        ValueError: ``settings.xds_address`` is not ``host:port``.
    """
    probe_listeners, probe_clusters = probe_resources(probes, pod_ip)
    admin = pod_ip if settings.capture == "env" else "127.0.0.1"
    return {
        "node": {"id": f"{settings.role}~{pod_ip}~{pod}.{namespace}", "cluster": settings.cluster},
        "admin": {"address": _address(admin, ADMIN_PORT), "ignore_global_conn_limit": True},
        "dynamic_resources": _dynamic_resources(),
        "static_resources": {
            "clusters": [_control_plane(settings), *probe_clusters],
            "listeners": [_readiness(pod_ip), *probe_listeners],
        },
        "stats_config": _stats_config(),
        "stats_flush_interval": "1s",
        "stats_eviction_interval": _EVICTION,
        "stats_sinks": [_sink(f"{namespace}/{pod}")],
        "overload_manager": _overload_manager(),
        "layered_runtime": {"layers": [{"name": "static", "static_layer": _RUNTIME}]},
    }


def envoy_args(settings: ProxySettings) -> list[str]:
    """Return Envoy's command line beside ``--config-yaml``.

    No hot restart (a pod has one Envoy, and its shared memory would clash between pods on one machine), one worker,
    and listeners that are taken away close their connections within five seconds.
    """
    return [
        "--disable-hot-restart",
        *("--concurrency", "1"),
        *("--drain-time-s", "5"),
        *("--log-level", settings.log_level),
    ]


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _dynamic_resources() -> dict[str, Any]:
    # Without a time limit Envoy is not initialised, accepts nothing and is not ready until clusters and listeners came.
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    # A restarted control plane hears from its proxies within two seconds (the default backs off to thirty).
    backoff = {"base_interval": "0.1s", "max_interval": "2s"}
    return {
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [
                {"envoy_grpc": {"cluster_name": _XDS_CLUSTER, "retry_policy": {"retry_back_off": backoff}}}
            ],
        },
        "cds_config": source,
        "lds_config": source,
    }


def _control_plane(settings: ProxySettings) -> dict[str, Any]:
    """Configuration comes down and telemetry goes up one connection: a second one would cost both ends its memory."""
    host, separator, port = settings.xds_address.rpartition(":")
    if not separator or not host or not port.isdigit():
        msg = f"xds_address {settings.xds_address!r}: write it as host:port"
        raise ValueError(msg)
    host = host.removeprefix("[").removesuffix("]")
    endpoint = {"endpoint": {"address": _address(host, int(port))}}
    options: dict[str, Any] = {
        "@type": f"{_TYPES}extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    if settings.identity is not None:
        options["http_filters"] = _token_filters(settings.identity)
    cluster = {
        "name": _XDS_CLUSTER,
        "type": "STATIC" if _is_ip(host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "upstream_connection_options": {
            # TCP's own keepalive: gRPC servers count HTTP/2 pings on a quiet connection as abuse and close it.
            "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 10, "keepalive_interval": 5}
        },
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": _XDS_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if settings.identity is not None:
        cluster["transport_socket"] = _server_tls(host, settings.identity)
    return cluster


def _token_filters(folder: str) -> list[dict[str, Any]]:
    """Put the pod's token on every stream to the control plane."""
    injector = {
        "@type": f"{_TYPES}extensions.filters.http.credential_injector.v3.CredentialInjector",
        "overwrite": True,
        "credential": {
            "name": "envoy.http.injected_credentials.generic",
            "typed_config": {
                "@type": f"{_TYPES}extensions.http.injected_credentials.generic.v3.Generic",
                "header": "authorization",
                "header_value_prefix": "Bearer ",
                "credential": file_secret(TOKEN_SECRET, folder),
            },
        },
    }
    codec = {"@type": f"{_TYPES}extensions.filters.http.upstream_codec.v3.UpstreamCodec"}
    return [
        {"name": "envoy.filters.http.credential_injector", "typed_config": injector},
        {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
    ]


def _server_tls(host: str, folder: str) -> dict[str, Any]:
    """The token goes to nobody but the control plane: its certificate is of our roots and has the address we call."""
    address = _is_ip(host)
    name = {"san_type": "IP_ADDRESS" if address else "DNS", "matcher": {"exact": host}}
    context: dict[str, Any] = {
        "@type": f"{_TYPES}extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [name]},
                "validation_context_sds_secret_config": file_secret(ROOTS_SECRET, folder),
            },
        },
    }
    if not address:
        context["sni"] = host
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _readiness(pod_ip: str) -> dict[str, Any]:
    """Static listeners accept only after initialisation, which waits for the first clusters and listeners."""
    manager = {
        "@type": f"{_TYPES}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "readiness",
        "route_config": {"name": "readiness", "virtual_hosts": [{"name": "none", "domains": ["*"], "routes": []}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.health_check",
                "typed_config": {
                    "@type": f"{_TYPES}extensions.filters.http.health_check.v3.HealthCheck",
                    "pass_through_mode": False,
                    "headers": [{"name": ":path", "string_match": {"exact": READY_PATH}}],
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    return {
        "name": "readiness",
        "address": _address(pod_ip, READY_PORT),
        "ignore_global_conn_limit": True,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _stats_config() -> dict[str, Any]:
    """Only what is sent exists: each further stat would cost memory in every pod, for every cluster."""
    return {
        "use_all_default_tags": False,
        "stats_matcher": {
            "inclusion_list": {
                "patterns": [
                    {"prefix": f"{STATS_PREFIX}."},
                    {"exact": "server.uptime"},
                    {"exact": "control_plane.connected_state"},
                    {"safe_regex": {"regex": CHECKED_STATS}},
                    {"suffix": EJECTED},
                ]
            }
        },
        "histogram_bucket_settings": [
            {"match": {"prefix": ANSWERED_US}, "buckets": list(ANSWERED_BOUNDS_US)},
            {"match": {"prefix": SILENT_MS}, "buckets": [bound - 0.5 for bound in SILENT_BOUNDS_MS]},
            *({"match": {"prefix": name}, "buckets": list(standard.bounds_of(name))} for name in standard.HISTOGRAMS),
        ],
    }


def _sink(proxy: str) -> dict[str, Any]:
    """Cumulative values (the sink's default), so that a lost report loses nothing."""
    return {
        "name": "envoy.stat_sinks.open_telemetry",
        "typed_config": {
            "@type": f"{_TYPES}extensions.stat_sinks.open_telemetry.v3.SinkConfig",
            "grpc_service": {"envoy_grpc": {"cluster_name": _XDS_CLUSTER}, "timeout": "2s"},
            "resource_detectors": [
                {
                    "name": "envoy.tracers.opentelemetry.resource_detectors.static_config",
                    "typed_config": {
                        "@type": f"{_TYPES}extensions.tracers.opentelemetry.resource_detectors.v3"
                        ".StaticConfigResourceDetectorConfig",
                        "attributes": {PROXY_ATTRIBUTE: proxy},
                    },
                }
            ],
        },
    }


def _overload_manager() -> dict[str, Any]:
    monitor = {
        "@type": f"{_TYPES}extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": _MAX_CONNECTIONS,
    }
    return {
        "resource_monitors": [
            {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": monitor}
        ]
    }
