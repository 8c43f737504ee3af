"""InfluxDB: Flux (``/api/v2/query``), InfluxQL (``/query``) and SQL (``/api/v3/query_sql``).

Documented at https://docs.influxdata.com/influxdb/v2/api/ and https://docs.influxdata.com/influxdb3/core/api/.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, RootModel

from analysis.providers.answers import cell, single
from analysis.providers.base import ConfigurationError
from analysis.providers.http import Call, Http
from analysis.providers.secrets import Secrets

if TYPE_CHECKING:
    from analysis.api.services import InfluxDb
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]

_TIMES: Final = frozenset({"time", "_time", "_start", "_stop"})
_NUMBERS: Final = frozenset({"double", "long", "unsignedLong", "boolean"})
_CSV_STARTS: Final = ("#", ",")
"""How annotated CSV starts: with an annotation, or with the empty column for them."""
_ONE_ROW: Final = {
    "Flux": "end it with |> group() |> mean() or |> group() |> last()",
    "InfluxQL": "aggregate it (SELECT MEAN(…)) without GROUP BY",
    "SQL": "aggregate it (SELECT AVG(…)) without GROUP BY",
}


class _Series(BaseModel):
    columns: list[str]
    values: list[list[Any]] = []
    tags: dict[str, str] = {}


class _Statement(BaseModel):
    series: list[_Series] = []
    error: str | None = None


class _Statements(BaseModel):
    results: list[_Statement]


class _Rows(RootModel[list[dict[str, Any]]]):
    pass


def open_values(settings: InfluxDb, context: Context) -> ValueSource:
    """Return the source for a query."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: InfluxDb, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = Http("InfluxDB", settings, context)
        self._ask = {"Flux": self._flux, "InfluxQL": self._influxql, "SQL": self._sql}[settings.language]

    async def measure(self, at: float) -> float | None:
        del at  # the query itself says which time it is about
        settings, secrets = self._settings, Secrets(self._context.secret)
        rows = await self._ask(await self._login(secrets), secrets)
        row = single(rows, "rows", settings.query, _ONE_ROW[settings.language])
        if row is None:
            return None
        column = settings.column or ("_value" if "_value" in row else None)
        return cell(row, column, settings.query, ignore=_TIMES)

    async def close(self) -> None:
        await self._http.close()

    async def _login(self, secrets: Secrets) -> dict[str, str]:
        settings = self._settings
        if settings.basic_auth:
            return {"Authorization": await secrets.basic(settings.basic_auth)}
        if settings.token:
            scheme = "Bearer" if settings.language == "SQL" else "Token"
            return {"Authorization": f"{scheme} {await secrets.value(settings.token)}"}
        return {}

    async def _flux(self, headers: dict[str, str], secrets: Secrets) -> list[dict[str, Any]]:
        call = Call(
            "POST",
            self._url("api/v2/query"),
            params={"org": self._settings.org or ""},
            headers={**headers, "Accept": "application/csv"},
            json={
                "query": self._settings.query,
                "type": "flux",
                "dialect": {"annotations": ["datatype", "default"], "header": True},
            },
        )
        text = (await self._http.ask(call, secrets)).text
        if text.strip() and not text.lstrip().startswith(_CSV_STARTS):
            msg = f"InfluxDB at {self._settings.address} answers with what is not CSV: check the address"
            raise ConfigurationError(msg)
        return _annotated(text, secrets)

    async def _influxql(self, headers: dict[str, str], secrets: Secrets) -> list[dict[str, Any]]:
        params: dict[str, str | int] = {"db": self._settings.database or "", "q": self._settings.query, "epoch": "s"}
        call = Call("GET", self._url("query"), params=params, headers={**headers, "Accept": "application/json"})
        statements = (await self._http.read(_Statements, call, secrets)).results
        for statement in statements:
            if statement.error:
                msg = f"InfluxDB cannot answer the query: {secrets.redact(statement.error)}: correct influxdb.query"
                raise ConfigurationError(msg)
        return [
            dict(zip(series.columns, values, strict=False))
            for statement in statements
            for series in statement.series
            for values in series.values
        ]

    async def _sql(self, headers: dict[str, str], secrets: Secrets) -> list[dict[str, Any]]:
        body = {"db": self._settings.database, "q": self._settings.query, "format": "json"}
        return (
            await self._http.read(
                _Rows, Call("POST", self._url("api/v3/query_sql"), headers=headers, json=body), secrets
            )
        ).root

    def _url(self, path: str) -> str:
        return f"{self._settings.address.rstrip('/')}/{path}"


def _annotated(text: str, secrets: Secrets) -> list[dict[str, Any]]:
    """Return the rows of annotated CSV, with values of number columns as numbers.

    Tables are separated by empty lines; each has its annotations and header again. An error that came up while the
    service was answering is a table with the columns ``error`` and ``reference``.
    """
    rows: list[dict[str, Any]] = []
    types: list[str] = []
    defaults: list[str] = []
    header: list[str] | None = None
    for line in csv.reader(io.StringIO(text)):
        if not line:
            header = None
        elif line[0] == "#datatype":
            types, header = line, None
        elif line[0] == "#default":
            defaults = line
        elif line[0].startswith("#"):
            continue
        elif header is None:
            header = line
        else:
            rows.append(_row(header, line, types, defaults))
    for row in rows:
        if "error" in row and "reference" in row:
            msg = f"InfluxDB cannot answer the query: {secrets.redact(str(row['error']))}: correct influxdb.query"
            raise ConfigurationError(msg)
    return rows


def _row(header: list[str], line: list[str], types: list[str], defaults: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for index, name in enumerate(header):
        if name in ("", "result", "table"):  # the line's own annotation, and which table it belongs to
            continue
        value = (line[index] if index < len(line) else "") or (defaults[index] if index < len(defaults) else "")
        kind = types[index] if index < len(types) else "string"
        row[name] = _value(value, kind)
    return row


def _value(text: str, kind: str) -> Any:
    if kind not in _NUMBERS:
        return text
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if text else None
    except ValueError:
        return text
