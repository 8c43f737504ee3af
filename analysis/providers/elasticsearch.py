"""Elasticsearch: searches (``_search``; OpenSearch as well) and ES|QL (``_query``).

Documented at https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search and …/operation-esql-query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import BaseModel

from analysis.providers.answers import at_path, cell, single
from analysis.providers.base import ConfigurationError, UnavailableError
from analysis.providers.http import Call, Http
from analysis.providers.secrets import Secrets

if TYPE_CHECKING:
    from analysis.api.services import Elasticsearch
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]


class _Column(BaseModel):
    name: str
    type: str = ""


class _Table(BaseModel):
    columns: list[_Column]
    values: list[list[Any]]
    is_partial: bool = False


def open_values(settings: Elasticsearch, context: Context) -> ValueSource:
    """Return the source for a search or an ES|QL query."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: Elasticsearch, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = Http("Elasticsearch", settings, context)

    async def measure(self, at: float) -> float | None:
        del at  # the query itself says which time it is about
        secrets = Secrets(self._context.secret)
        headers = await self._login(secrets)
        return await (
            self._search(headers, secrets) if self._settings.search is not None else self._esql(headers, secrets)
        )

    async def close(self) -> None:
        await self._http.close()

    async def _login(self, secrets: Secrets) -> dict[str, str]:
        settings = self._settings
        if settings.api_key:
            return {"Authorization": f"ApiKey {await secrets.value(settings.api_key)}"}
        if settings.token:
            return {"Authorization": f"Bearer {await secrets.value(settings.token)}"}
        return {"Authorization": await secrets.basic(settings.basic_auth)} if settings.basic_auth else {}

    async def _search(self, headers: dict[str, str], secrets: Secrets) -> float | None:
        settings = self._settings
        body = {"size": 0, **(settings.search or {})}
        index = quote(settings.index or "", safe="*,-_.:<>{}/")
        call = Call("POST", self._url(f"{index}/_search"), headers=headers, json=body)
        document = await self._http.document(call, secrets)
        if not isinstance(document, dict):
            msg = "Elasticsearch does not answer as its API does: check the address"
            raise ConfigurationError(msg)
        shards = document.get("_shards") or {}
        if document.get("timed_out") or (isinstance(shards, dict) and shards.get("failed")):
            msg = f"Elasticsearch answers in part only (timed out: {document.get('timed_out')}, shards: {shards})"
            raise UnavailableError(secrets.redact(msg[:500]))
        return at_path(document, settings.path or "$", "Elasticsearch")

    async def _esql(self, headers: dict[str, str], secrets: Secrets) -> float | None:
        query = self._settings.esql or ""
        table = await self._http.read(
            _Table, Call("POST", self._url("_query"), headers=headers, json={"query": query}), secrets
        )
        if table.is_partial:
            msg = "Elasticsearch answers in part only"
            raise UnavailableError(msg)
        values = single(table.values, "rows", query, "end it with STATS … without BY")
        names = [column.name for column in table.columns]
        return cell(dict(zip(names, values, strict=False)), self._settings.column, query) if values else None

    def _url(self, path: str) -> str:
        return f"{self._settings.address.rstrip('/')}/{path}"
