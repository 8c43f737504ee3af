"""New Relic: NRQL over NerdGraph.

Documented at https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-nrql-tutorial/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from analysis.providers.answers import cell, single
from analysis.providers.base import ConfigurationError, SourceError, UnavailableError
from analysis.providers.http import Call, Http
from analysis.providers.secrets import Secrets

if TYPE_CHECKING:
    from analysis.api.services import NewRelic
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]

_ADDRESSES: Final = {"us": "https://api.newrelic.com", "eu": "https://api.eu.newrelic.com"}
_QUERY: Final = """\
query Measure($account: Int!, $nrql: Nrql!, $timeout: Seconds) {
  actor { account(id: $account) { nrql(query: $nrql, timeout: $timeout) { results } } }
}"""
_PASSING: Final = frozenset({"TIMEOUT", "TOO_MANY_REQUESTS", "SERVER_ERROR", "INTERNAL_SERVER_ERROR"})
_REFUSED: Final = frozenset({"ACCESS_DENIED", "UNAUTHENTICATED", "UNAUTHORIZED", "FORBIDDEN"})
# NRQL takes no more.
_LONGEST_TIMEOUT: Final = 120
_TIMES: Final = frozenset({"beginTimeSeconds", "endTimeSeconds", "timestamp"})


class _Error(BaseModel):
    message: str = ""
    extensions: dict[str, Any] | None = None


class _Results(BaseModel):
    results: list[dict[str, Any]] | None = None


class _Account(BaseModel):
    nrql: _Results | None = None


class _Actor(BaseModel):
    account: _Account | None = None


class _Data(BaseModel):
    actor: _Actor | None = None


class _Answer(BaseModel):
    data: _Data | None = None
    errors: list[_Error] | None = None


def open_values(settings: NewRelic, context: Context) -> ValueSource:
    """Return the source for a query.

    Raises:
        ConfigurationError: The account is no number.
    """
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: NewRelic, context: Context) -> None:
        if not settings.account_id.isdecimal():
            msg = f"newRelic.accountId is {settings.account_id!r}: write the account's number"
            raise ConfigurationError(msg)
        self._settings = settings
        self._context = context
        self._http = Http("New Relic", settings, context)

    async def measure(self, at: float) -> float | None:
        del at  # the query itself says which time it is about (SINCE, UNTIL)
        settings, secrets = self._settings, Secrets(self._context.secret)
        address = settings.address or _ADDRESSES[settings.region]
        variables = {
            "account": int(settings.account_id),
            "nrql": settings.query,
            "timeout": min(_LONGEST_TIMEOUT, max(1, round(settings.timeout))),
        }
        call = Call(
            "POST",
            f"{address.rstrip('/').removesuffix('/graphql')}/graphql",
            headers={"API-Key": await secrets.value(settings.api_key)},
            json={"query": _QUERY, "variables": variables},
        )
        answer = await self._http.read(_Answer, call, secrets)
        if answer.errors:
            raise _fault(answer.errors, secrets)
        account = answer.data.actor.account if answer.data and answer.data.actor else None
        if account is None or account.nrql is None:
            msg = f"New Relic shows no account {settings.account_id}: check newRelic.accountId, region and {secrets}"
            raise ConfigurationError(msg)
        fix = "remove FACET and TIMESERIES"
        row = single(account.nrql.results or [], "results", settings.query, fix)
        return cell(_flat(row), settings.column, settings.query, ignore=_TIMES) if row else None

    async def close(self) -> None:
        await self._http.close()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a result with what is nested named by its path: ``percentile.duration.95``."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        inner = {f"{name}.{key}": number for key, number in value.items()} if isinstance(value, dict) else {name: value}
        flat |= inner
    return flat


def _fault(errors: list[_Error], secrets: Secrets) -> SourceError:
    words = secrets.redact("; ".join(error.message for error in errors[:3]))
    classes = {str((error.extensions or {}).get("errorClass", "")) for error in errors}
    if classes & _REFUSED:
        return ConfigurationError(f"New Relic refuses the request ({words}): check {secrets}")
    if classes & _PASSING:
        return UnavailableError(f"New Relic could not answer: {words}")
    return ConfigurationError(f"New Relic cannot answer the query: {words}: correct newRelic.query")
