"""Which metrics are counted: what the settings write, and the conventions behind the presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analysis.providers.base import ConfigurationError

if TYPE_CHECKING:
    from analysis.api.prometheus import PrometheusCounts

__all__ = ["Metrics", "resolve"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is asked for.

    Attributes:
        requests: The counter of requests.
        errors: Matchers of those that failed.
        matchers: Matchers of all.
        latency: The histogram, without suffix; empty when latency is not judged.
        unit_ms: Milliseconds in the histogram's unit.
        route: The label of the kind of request; empty for none.
    """

    requests: str
    errors: str
    matchers: str = ""
    latency: str = ""
    unit_ms: float = 1000.0
    route: str = ""


_PRESETS: Final = {
    # https://istio.io/latest/docs/reference/config/metrics/
    "Istio": Metrics(
        "istio_requests_total",
        'response_code=~"5.."',
        'reporter="destination"',
        "istio_request_duration_milliseconds",
        1.0,
    ),
    # https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
    "OpenTelemetry": Metrics(
        "http_server_request_duration_seconds_count",
        'http_response_status_code=~"5.."',
        "",
        "http_server_request_duration_seconds",
        route="http_route",
    ),
    "Http": Metrics("http_requests_total", 'code=~"5.."', "", "http_request_duration_seconds"),
    # https://linkerd.io/2/reference/proxy-metrics/
    "Linkerd": Metrics("response_total", 'classification="failure"', 'direction="inbound"', "response_latency_ms", 1.0),
    # https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/stats
    "Envoy": Metrics(
        "envoy_http_downstream_rq_xx",
        'envoy_response_code_class="5"',
        "",
        "envoy_http_downstream_rq_time",
        1.0,
    ),
}
_UNITS: Final = {"s": 1000.0, "ms": 1.0}
_SUFFIXES: Final = (("_milliseconds", 1.0), ("_ms", 1.0), ("_seconds", 1000.0))


def resolve(settings: PrometheusCounts) -> Metrics:
    """Return what is asked for: the settings' own words, and where there are none the preset's.

    Raises:
        ConfigurationError: The unit of the latency is not known.
    """
    preset = _PRESETS[settings.preset] if settings.preset else Metrics("", "")
    latency = settings.latency or preset.latency
    return Metrics(
        requests=settings.requests or preset.requests,
        errors=settings.errors or preset.errors,
        matchers=_joined(preset.matchers, settings.matchers),
        latency=latency,
        unit_ms=_unit(settings, latency) if settings.latency else preset.unit_ms,
        route=settings.route_label or preset.route,
    )


def _unit(settings: PrometheusCounts, latency: str) -> float:
    if settings.latency_unit is not None:
        return _UNITS[settings.latency_unit]
    for suffix, unit in _SUFFIXES:
        if latency.endswith(suffix):
            return unit
    msg = f"the name of latency, {latency}, does not tell its unit: write latencyUnit: s or latencyUnit: ms"
    raise ConfigurationError(msg)


def _joined(*matchers: str) -> str:
    return ",".join(part for part in (matcher.strip().strip(",") for matcher in matchers) if part)
