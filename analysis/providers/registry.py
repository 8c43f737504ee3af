"""From a provider's settings to its source. A provider's module is loaded when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from analysis.api import services
from analysis.api.prometheus import PrometheusQuery
from analysis.providers.base import ConfigurationError

if TYPE_CHECKING:
    from analysis.providers.base import Context, ValueSource
    from crds.base import Resource

__all__ = ["open_settings", "open_values"]

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


def open_values(provider: Resource, context: Context) -> ValueSource:
    """Return the source of values that a metric's ``provider`` names. It connects on the first measurement.

    Args:
        provider: A model with one field for each provider, of which one is set.
        context: What the source may use besides its settings.

    Raises:
        ConfigurationError: Not one provider is set; or as ``open_settings``.
    """
    fields = type(provider).model_fields
    written = {
        field.alias or name: value for name, field in fields.items() if (value := getattr(provider, name)) is not None
    }
    if len(written) != 1:
        msg = f"provider has {', '.join(written) or 'nothing'}: write exactly one of {', '.join(f.alias or n for n, f in fields.items())}"
        raise ConfigurationError(msg)
    (settings,) = written.values()
    return open_settings(settings, context)


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
