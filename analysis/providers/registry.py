"""From a provider's settings to its source. A provider's module is loaded when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from analysis.api import services
from analysis.api.prometheus import PrometheusQuery
from analysis.providers.base import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from analysis.api.metric import Provider
    from analysis.api.prometheus import PrometheusCounts
    from analysis.model.counts import Arm
    from analysis.providers.base import Context, ValueSource
    from analysis.providers.prometheus.counts import PrometheusCountSource
    from crds.base import Resource

__all__ = ["open_counts", "open_settings", "open_values"]

_MODULES: Final[dict[type[Resource], str]] = {
    services.CloudWatch: "cloudwatch",
    services.Datadog: "datadog",
    services.Dynatrace: "dynatrace",
    services.Elasticsearch: "elasticsearch",
    services.Graphite: "graphite",
    services.InfluxDb: "influxdb",
    services.Job: "job",
    services.NewRelic: "newrelic",
    services.Plugin: "plugins",
    PrometheusQuery: "prometheus.values",
    services.Stackdriver: "stackdriver",
    services.Web: "web",
}


def open_values(provider: Provider, context: Context) -> ValueSource:
    """Return the source of values that a metric's ``provider`` names. It connects on the first measurement.

    Args:
        provider: Its one field that is set says where values come from.
        context: What the source may use besides its settings.

    Raises:
        ConfigurationError: As ``open_settings``.
    """
    settings = (getattr(provider, name) for name in type(provider).model_fields)
    return open_settings(next(found for found in settings if found is not None), context)


def open_settings(settings: Resource, context: Context) -> ValueSource:
    """Return the source of values for one provider's settings. It connects on the first measurement.

    Raises:
        ConfigurationError: The settings cannot be used, or what the provider needs is not installed.
    """
    module = _MODULES.get(type(settings))
    if module is None:
        msg = f"there is no source of values for {type(settings).__name__}: write another provider"
        raise ConfigurationError(msg)
    source: ValueSource = importlib.import_module(f"analysis.providers.{module}").open_values(settings, context)
    return source


def open_counts(
    settings: PrometheusCounts, context: Context, *, bounds_ms: Sequence[float], pods: Callable[[], Mapping[str, Arm]]
) -> PrometheusCountSource:
    """Return the source of counts. See ``analysis.providers.prometheus.counts.open_counts``."""
    from analysis.providers.prometheus import counts  # noqa: PLC0415 - its client takes a second to load

    return counts.open_counts(settings, context, bounds_ms=bounds_ms, pods=pods)
