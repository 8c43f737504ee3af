"""Datadog: scalar queries (``POST /api/v2/query/scalar``).

Documented at https://docs.datadoghq.com/api/latest/metrics/#query-scalar-data-across-multiple-products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from analysis.providers.answers import number, single
from analysis.providers.base import ConfigurationError
from analysis.providers.http import Call, Http
from analysis.providers.secrets import Secrets

if TYPE_CHECKING:
    from analysis.api.services import Datadog
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]


# What Datadog's own query editor calls a single query.
_ONLY: Final = "query1"


class _Column(BaseModel):
    type: str = "number"
    name: str = ""
    values: list[Any] = []


class _Attributes(BaseModel):
    columns: list[_Column] = []


class _Data(BaseModel):
    attributes: _Attributes


class _Answer(BaseModel):
    data: _Data | None = None
    errors: str | list[str] | None = None


def open_values(settings: Datadog, context: Context) -> ValueSource:
    """Return the source for a query."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: Datadog, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = Http("Datadog", settings, context)

    async def measure(self, at: float) -> float | None:
        settings, secrets = self._settings, Secrets(self._context.secret)
        headers = {
            "DD-API-KEY": await secrets.value(settings.api_key),
            "DD-APPLICATION-KEY": await secrets.value(settings.application_key),
        }
        url = f"{settings.address.rstrip('/')}/api/v2/query/scalar"
        answer = await self._http.read(_Answer, Call("POST", url, headers=headers, json=self._body(at)), secrets)
        if answer.errors:
            words = answer.errors if isinstance(answer.errors, str) else "; ".join(answer.errors)
            msg = f"Datadog cannot answer the query: {secrets.redact(words)}: correct the query"
            raise ConfigurationError(msg)
        columns = (
            [column for column in answer.data.attributes.columns if column.type == "number"] if answer.data else []
        )
        query = settings.formula or settings.query or ""
        column = single(columns, "columns", query, "write one formula")
        fix = "remove the grouping ('by {…}')"
        return number(single(column.values, "groups", query, fix), "Datadog's value") if column else None

    async def close(self) -> None:
        await self._http.close()

    def _body(self, at: float) -> dict[str, Any]:
        settings = self._settings
        queries = settings.queries or {_ONLY: settings.query or ""}
        attributes = {
            "from": round((at - settings.interval) * 1000),
            "to": round(at * 1000),
            "queries": [
                {"data_source": "metrics", "name": name, "query": query, "aggregator": settings.aggregator}
                for name, query in queries.items()
            ],
            "formulas": [{"formula": settings.formula or _ONLY}],
        }
        return {"data": {"type": "scalar_request", "attributes": attributes}}
