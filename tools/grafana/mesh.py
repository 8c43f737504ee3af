"""The dashboard of the mesh: the golden signals of every Service, and the control plane behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.grafana.panels import board, chart, number, row, rows_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

__all__ = ["mesh"]

_CHOSEN: Final = 'reporter="source",destination_service_namespace=~"$namespace",destination_service_name=~"$service"'
_BAD: Final = 'response_code=~"0|5.."'
_LIMITED: Final = 'response_flags=~".*(UO|UH|UF).*"'
_BY: Final = "destination_service_namespace, destination_service_name"
_NAME: Final = "{{destination_service_namespace}}/{{destination_service_name}}"
_PLANE: Final = "and on (job, instance) coalmine_mesh_info"


def _rate(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{_CHOSEN}{more}}}[$__rate_interval]))"


def mesh() -> Dashboard:
    """Return it."""
    made = board(
        "coalmine-mesh",
        "Coalmine / Mesh",
        "Traffic, errors, latency and saturation of every Service, by Istio's standard metrics; proxies, certificates, bypass.",
        {
            "namespace": ("Namespace", "label_values(istio_requests_total, destination_service_namespace)"),
            "service": (
                "Service",
                'label_values(istio_requests_total{destination_service_namespace=~"$namespace"}, destination_service_name)',
            ),
        },
    )
    for part in (_signals, _details, _saturation, _plane):
        made = part(made)
    return made


def _signals(made: Dashboard) -> Dashboard:
    requests, bad = _rate("istio_requests_total", _BY), _rate("istio_requests_total", _BY, f",{_BAD}")
    buckets = _rate("istio_request_duration_milliseconds_bucket", f"le, {_BY}")
    return (
        made.with_row(row("Golden signals"))
        .with_panel(chart("Traffic", "Requests, as callers' sidecars count.", "reqps", {_NAME: requests}))
        .with_panel(
            chart(
                "Errors",
                "Share with 5xx or without an answer.",
                "percentunit",
                {_NAME: f"({bad} or {requests} * 0) / {requests}"},
            )
        )
        .with_panel(
            chart("Latency", "p99.", "ms", {f"p99 {_NAME}": f"histogram_quantile(0.99, {buckets})"}),
        )
        .with_panel(
            rows_of(
                "Who calls whom",
                "Requests a second, by caller and version.",
                [_rate("istio_requests_total", f"source_workload, {_BY}, destination_workload, destination_version")],
                {
                    "source_workload": "Caller",
                    "destination_service_namespace": "Namespace",
                    "destination_service_name": "Service",
                    "destination_workload": "Workload",
                    "destination_version": "Version",
                    "Value #A": "Requests/s",
                },
            )
        )
    )


def _details(made: Dashboard) -> Dashboard:
    buckets = _rate("istio_request_duration_milliseconds_bucket", "le, destination_workload")
    return (
        made.with_row(row("By version, code and security"))
        .with_panel(
            chart(
                "Requests by version",
                "",
                "reqps",
                {"{{destination_workload}}": _rate("istio_requests_total", "destination_workload")},
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Latency by version",
                "p50, p95 and p99.",
                "ms",
                {
                    f"p{q} {{{{destination_workload}}}}": f"histogram_quantile({q / 100:g}, {buckets})"
                    for q in (50, 95, 99)
                },
            )
        )
        .with_panel(
            chart(
                "Answers by code",
                "0: no answer.",
                "reqps",
                {"{{response_code}}": _rate("istio_requests_total", "response_code")},
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Mutual TLS",
                "Requests whose other side proved who it is, and others.",
                "reqps",
                {"{{connection_security_policy}}": _rate("istio_requests_total", "connection_security_policy")},
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Size",
                "Bytes of bodies a second.",
                "Bps",
                {
                    "requests": f"sum(rate(istio_request_bytes_sum{{{_CHOSEN}}}[$__rate_interval]))",
                    "responses": f"sum(rate(istio_response_bytes_sum{{{_CHOSEN}}}[$__rate_interval]))",
                },
            )
        )
        .with_panel(
            chart(
                "TCP",
                "Connections opened and closed, bytes of those that ended.",
                "short",
                {
                    "opened/s": f"{_tcp('connections_opened')} or vector(0)",
                    "closed/s": f"{_tcp('connections_closed')} or vector(0)",
                    "received B/s": f"{_tcp('received_bytes')} or vector(0)",
                    "sent B/s": f"{_tcp('sent_bytes')} or vector(0)",
                },
            )
        )
    )


def _tcp(what: str) -> str:
    return f"sum(rate(istio_tcp_{what}_total{{{_CHOSEN}}}[$__rate_interval]))"


def _saturation(made: Dashboard) -> Dashboard:
    return (
        made.with_row(row("Saturation"))
        .with_panel(
            chart(
                "Turned away",
                "Requests that met a limit (UO), no healthy pod (UH) or no connection (UF).",
                "reqps",
                {
                    "{{response_flags}}": _rate("istio_requests_total", "response_flags", f",{_LIMITED}")
                    + " or vector(0)"
                },
            )
        )
        .with_panel(
            chart(
                "Ejected",
                "By outlier detection, and how many may be: by the caller that is nearest to its cap.",
                "short",
                {
                    "ejected {{namespace}}/{{service}}": "max by (namespace, service) (coalmine_mesh_ejected_endpoints) or vector(0)",
                    "may be {{namespace}}/{{service}}": "max by (namespace, service) (coalmine_mesh_ejectable_endpoints) or vector(0)",
                },
            )
        )
        .with_panel(
            chart(
                "Around the split",
                "Share of the requests that are not split.",
                "percentunit",
                {"{{namespace}}/{{split}}": "max by (namespace, split) (coalmine_mesh_bypass_ratio)"},
            )
        )
    )


def _plane(made: Dashboard) -> Dashboard:
    return (
        made.with_row(row("Control plane"))
        .with_panel(
            number("Proxies in sync", "They hold what they should.", 'max(coalmine_mesh_proxies{state="synced"})')
        )
        .with_panel(
            number(
                "Not in sync",
                "Refused, not answered yet, or not connected.",
                'max(sum by (job, instance) (coalmine_mesh_proxies{state!="synced"}))',
                bad_from=1,
            )
        )
        .with_panel(
            number(
                "Refused",
                "Resources, by all proxies.",
                "max(sum by (job, instance) (coalmine_mesh_refused_resources))",
                bad_from=1,
            )
        )
        .with_panel(
            number(
                "Workload certificates",
                "Until the first one ends; renewed at half of their life.",
                'min(coalmine_mesh_certificate_expiry_timestamp_seconds{kind="workload"}) - time()',
                unit="s",
            )
        )
        .with_panel(
            number(
                "Issuer",
                "Until it ends.",
                'min(coalmine_mesh_certificate_expiry_timestamp_seconds{kind="issuer"}) - time()',
                unit="s",
            )
        )
        .with_panel(
            number(
                "Root",
                "Until it ends.",
                'min(coalmine_mesh_certificate_expiry_timestamp_seconds{kind="root"}) - time()',
                unit="s",
            )
        )
        .with_panel(
            chart(
                "Sync lag",
                "How long the proxy that waits longest has not answered, by type.",
                "s",
                {"{{type}}": "max by (type) (coalmine_mesh_sync_lag_seconds)"},
            )
        )
        .with_panel(
            chart(
                "Problems told",
                "By Events on the objects, by reason.",
                "short",
                {"{{reason}}": "max by (reason) (coalmine_mesh_problems) or vector(0)"},
            )
        )
        .with_panel(
            chart(
                "CPU and memory",
                "Cores, and resident GiB.",
                "short",
                {
                    "cores {{instance}}": f"rate(process_cpu_seconds_total[$__rate_interval]) {_PLANE}",
                    "GiB {{instance}}": f"(process_resident_memory_bytes {_PLANE}) / 2 ^ 30",
                },
            )
        )
    )
