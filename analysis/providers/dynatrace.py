"""Dynatrace: Metrics API v2 (``GET /api/v2/metrics/query``).

Documented at https://docs.dynatrace.com/docs/dynatrace-api/environment-api/metric-v2/get-data-points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from analysis.providers.answers import number, single
from analysis.providers.base import ConfigurationError
from analysis.providers.http import Call, Http
from analysis.providers.secrets import Secrets

if TYPE_CHECKING:
    from analysis.api.services import Dynatrace
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]


class _Series(BaseModel):
    values: list[float | None] = []


class _Metric(BaseModel):
    data: list[_Series] = []
    warnings: list[str] | None = None


class _Answer(BaseModel):
    result: list[_Metric]
    warnings: list[str] | None = None


def open_values(settings: Dynatrace, context: Context) -> ValueSource:
    """Return the source for a metric selector."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: Dynatrace, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = Http("Dynatrace", settings, context)

    async def measure(self, at: float) -> float | None:
        settings, secrets = self._settings, Secrets(self._context.secret)
        params: dict[str, str | int] = {
            "metricSelector": settings.query,
            "resolution": "Inf",  # one point over the whole time
            "from": round((at - settings.interval) * 1000),
            "to": round(at * 1000),
        }
        if settings.entity_selector:
            params["entitySelector"] = settings.entity_selector
        url = f"{settings.address.rstrip('/')}/api/v2/metrics/query"
        headers = {"Authorization": f"Api-Token {await secrets.value(settings.token)}"}
        answer = await self._http.read(_Answer, Call("GET", url, params=params, headers=headers), secrets)
        metric = single(
            answer.result, "metrics", settings.query, "select one metric, or write an expression of several"
        )
        series = metric.data if metric else []
        warnings = [*(answer.warnings or ()), *((metric.warnings if metric else None) or ())]
        if warnings and not series:
            msg = f"Dynatrace has nothing for {settings.query!r}: {secrets.redact('; '.join(warnings[:3]))}"
            raise ConfigurationError(msg)
        only = single(series, "series", settings.query, "end it with :splitBy()")
        points = only.values if only else []
        return number(single(points, "points", settings.query, "end it with :fold"), "Dynatrace's value")

    async def close(self) -> None:
        await self._http.close()
