"""Google Cloud Monitoring (Stackdriver): PromQL over its Prometheus API, with Google's own library for identities.

Documented at https://cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.location.prometheus.api.v1/query.
"""

from __future__ import annotations

import asyncio
import functools
import json
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from analysis.providers.answers import at_path, number, quoted, single
from analysis.providers.base import ConfigurationError, UnavailableError
from analysis.providers.http import Call, Http
from analysis.providers.secrets import Secrets

try:
    import google.auth
    import google.auth.exceptions
    import google.auth.transport.requests
    from google.oauth2 import service_account
except ImportError as error:
    msg = "stackdriver needs google-auth: pip install coalmine[stackdriver]"
    raise ConfigurationError(msg) from error

if TYPE_CHECKING:
    from analysis.api.services import Stackdriver
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]

_SCOPES: Final = ("https://www.googleapis.com/auth/monitoring.read",)


class _Data(BaseModel):
    resultType: str  # noqa: N815 - the name on the wire
    result: list[Any]


class _Answer(BaseModel):
    data: _Data


def open_values(settings: Stackdriver, context: Context) -> ValueSource:
    """Return the source for a query."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: Stackdriver, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = Http("Cloud Monitoring", settings, context)
        self._credentials: Any = None
        self._key = ""

    async def measure(self, at: float) -> float | None:
        settings, secrets = self._settings, Secrets(self._context.secret)
        call = Call(
            "POST",
            f"{settings.address.rstrip('/')}/v1/projects/{settings.project}/location/global/prometheus/api/v1/query",
            headers={"Authorization": f"Bearer {await self._token(secrets)}"},
            body={"query": settings.query, "time": f"{at:.3f}"},
        )
        data = (await self._http.read(_Answer, call, secrets)).data
        if data.resultType == "scalar":
            return number(data.result[-1] if data.result else None, "Cloud Monitoring's value")
        if data.resultType != "vector":
            msg = (
                f"the query {quoted(settings.query)} returns a {data.resultType}, and one number is needed: "
                "aggregate over time (avg_over_time, rate)"
            )
            raise ConfigurationError(msg)
        found = single(data.result, "series", settings.query, "wrap it in sum(…) or avg(…)")
        return at_path(found, "$.value[1]", "Cloud Monitoring") if found else None

    async def close(self) -> None:
        await self._http.close()

    async def _token(self, secrets: Secrets) -> str:
        reference = self._settings.service_account_key
        key = await secrets.value(reference) if reference else ""
        # Google's library is synchronous, and asks Google for a token over the network.
        token = await asyncio.to_thread(self._fresh, key, str(secrets) or "the controller's service account")
        return secrets.hide(token)

    def _fresh(self, key: str, who: str) -> str:
        """Return a token that is valid now."""
        request = functools.partial(google.auth.transport.requests.Request(), timeout=self._settings.timeout)
        try:
            if self._credentials is None or key != self._key:
                self._credentials, self._key = _credentials(key, who, request), key
            if not self._credentials.valid:
                self._credentials.refresh(request)
        except google.auth.exceptions.GoogleAuthError as error:
            if error.retryable or isinstance(error, google.auth.exceptions.TransportError):
                msg = f"Google gives no token now: {type(error).__name__}"
                raise UnavailableError(msg) from error
            msg = f"Google accepts no identity ({type(error).__name__}): check {who}"
            raise ConfigurationError(msg) from error
        return str(self._credentials.token)


def _credentials(key: str, who: str, request: Any) -> Any:
    if not key:
        return google.auth.default(scopes=_SCOPES, request=request)[0]
    try:
        return service_account.Credentials.from_service_account_info(json.loads(key), scopes=_SCOPES)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"{who} does not hold a service account's key: put the JSON file that Google gave into it"
        raise ConfigurationError(msg) from error
