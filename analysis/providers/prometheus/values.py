"""Values: one PromQL query, one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.providers.answers import at_path, number, quoted, single
from analysis.providers.base import ConfigurationError
from analysis.providers.prometheus.client import Client

if TYPE_CHECKING:
    from analysis.api.prometheus import PrometheusQuery
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]


def open_values(settings: PrometheusQuery, context: Context) -> ValueSource:
    """Return the source for a PromQL query."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: PrometheusQuery, context: Context) -> None:
        self._query = settings.query
        self._client = Client(settings, context)

    async def measure(self, at: float) -> float | None:
        result = await self._client.query(self._query, at)
        if not isinstance(result, list):
            raise ConfigurationError(f"the result of {quoted(self._query)} is no list: correct the address")
        where = f"the result of {quoted(self._query)}"
        if len(result) == 2 and not isinstance(result[0], dict):  # noqa: PLR2004 - a scalar is a time and a value
            return number(result[1], where)
        found = single(result, "series", self._query, "aggregate them, as in sum(…), or choose one by its labels")
        if found is None:
            return None
        if not isinstance(found, dict):
            raise ConfigurationError(f"{where} is {quoted(found)}, not a series: correct the address")
        if "value" not in found:
            kind = "a range of samples" if "values" in found else "a histogram"
            fix = "rate(…) or avg_over_time(…)" if "values" in found else "histogram_quantile(0.99, …)"
            raise ConfigurationError(f"{where} is {kind}, and one number is needed: wrap it in {fix}")
        return at_path(found, "$.value[1]", "Prometheus")

    async def close(self) -> None:
        await self._client.close()
