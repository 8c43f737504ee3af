"""The door to prometheus-api-client: one query at one time, and what refusals mean.

The client is synchronous: it runs in a thread, and the event loop stays free. It keeps only the result of an answer, so
what else is in one (status, warnings) is looked at in a hook of its session.

========================================  ==================================================
answer                                    error
========================================  ==================================================
no connection, time-out, 408, 5xx         UnavailableError
429                                       UnavailableError, with the time the service asked for
only a part of the stores answered        UnavailableError: failures could be in the other part
TLS, 3xx, other 4xx, no JSON              ConfigurationError, naming the address
401, 403                                  ConfigurationError, naming the Secrets that were used
========================================  ==================================================
"""

from __future__ import annotations

import asyncio
import json
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter

from analysis.providers.base import ConfigurationError, SourceError, UnavailableError
from analysis.providers.refusals import retry_after, said
from analysis.providers.secrets import Secrets
from analysis.providers.tls import TlsFiles, context_of, read_tls

if TYPE_CHECKING:
    from analysis.api.prometheus import PrometheusServer
    from analysis.providers.base import Context

__all__ = ["Client"]

_PARAMETERS: Final = {
    "partial_response": "false",  # Thanos: fail instead of answering with what some stores have
    "deny_partial_response": "1",  # VictoriaMetrics: the same
    "nocache": "1",  # VictoriaMetrics: no remembered answer, and no 30 s that it hides from queries
    "latency_offset": "1ms",
}
"""Parameters of those who know them; the others ignore them."""
_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_PROMQL: Final = "PromQL warning: "
_WRONG: Final = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    UnicodeError,
)


class Client:
    """A connection to one server."""

    def __init__(self, settings: PrometheusServer, context: Context) -> None:
        """Connect on first use.

        Args:
            settings: Address, identity, TLS and time-out.
            context: Secrets and clock.
        """
        self._settings = settings
        self._context = context
        self._place = _place(settings.address)
        self._connection: PrometheusConnect | None = None
        self._session = requests.Session()
        self._tls: TlsFiles | None = None
        self._turn = asyncio.Lock()

    async def query(self, query: str, at: float) -> Any:
        """Return the ``result`` of an instant query, as Prometheus's HTTP API documents it.

        Args:
            query: PromQL.
            at: Unix seconds.

        Raises:
            SourceError: There is none, or it is not the whole one.
        """
        secrets = Secrets(self._context.secret)
        headers = await self._headers(secrets)
        async with self._turn:  # a session is not safe for several threads
            files = await read_tls(self._settings.tls, secrets)
            try:
                async with asyncio.timeout(self._settings.timeout):
                    return await asyncio.to_thread(self._ask, files, headers, query, at, secrets)
            except TimeoutError as error:
                raise self._late() from error

    async def close(self) -> None:
        """Close the connection."""
        self._session.close()
        self._connection = None

    def _ask(self, files: TlsFiles, headers: dict[str, str], query: str, at: float, secrets: Secrets) -> Any:
        def check(response: requests.Response, **_: Any) -> None:
            self._check(response, query, secrets)

        try:
            connection = self._connected(files)
            connection.headers = headers
            self._session.hooks = {"response": [check]}
            return connection.custom_query(query, params={"time": f"{at:.3f}", **_PARAMETERS})
        except SourceError:
            raise
        except _WRONG as error:
            msg = (
                f"Prometheus cannot be asked at {self._place}: write an address like https://host:port, and headers and "
                "secrets of one line"
            )
            raise ConfigurationError(msg) from error
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
            msg = f"{self._place} does not answer as Prometheus does: correct the address"
            raise ConfigurationError(msg) from error
        except requests.Timeout as error:
            raise self._late() from error
        except requests.RequestException as error:
            raise self._unreachable(error, secrets) from error

    def _check(self, response: requests.Response, query: str, secrets: Secrets) -> None:
        """Raise what an answer means that is not a whole result."""
        status = response.status_code
        if status == HTTPStatus.OK:
            self._whole(response, query)
            return
        words = secrets.redact(said(response.text))
        told = f"{status}: {words}" if words else str(status)
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            fix = f"check {secrets}" if secrets else "write bearerToken, basicAuth or tls"
            raise ConfigurationError(f"Prometheus at {self._place} refuses the request ({told}): {fix}")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
            headers = {key.lower(): value for key, value in response.headers.items()}
            wait = retry_after(headers, self._context.clock())
            raise UnavailableError(f"Prometheus at {self._place} answers {told}", wait)
        if status < HTTPStatus.BAD_REQUEST:
            target = _place(response.headers.get("location", "")) or "another address"
            raise ConfigurationError(f"Prometheus at {self._place} redirects to {target}: write that as the address")
        raise ConfigurationError(
            f"Prometheus at {self._place} cannot answer {query!r} ({told}): correct the query or the address"
        )

    def _whole(self, response: requests.Response, query: str) -> None:
        if b'"warnings"' not in response.content and b'"isPartial":true' not in response.content:
            return  # parsing a large answer twice only to find no warning would cost
        try:
            document = json.loads(response.content)
        except ValueError:
            return  # the client says it
        warnings = [str(warning) for warning in document.get("warnings") or ()]
        if wrong := [warning for warning in warnings if warning.startswith(_PROMQL)]:
            raise ConfigurationError(f"{query!r}: {wrong[0].removeprefix(_PROMQL)}: correct the query")
        if warnings or document.get("isPartial"):
            words = f": {warnings[0][:300]}" if warnings else ""
            raise UnavailableError(f"Prometheus at {self._place} has only a part of the result{words}")

    async def _headers(self, secrets: Secrets) -> dict[str, str]:
        settings = self._settings
        headers = {"Accept": "application/json"}
        for header in settings.headers:
            reference = header.secret_key_ref
            headers[header.key] = await secrets.value(reference) if reference else header.value or ""
        if settings.tenant is not None:
            headers["X-Scope-OrgID"] = settings.tenant
        if settings.bearer_token is not None:
            headers["Authorization"] = f"Bearer {await secrets.value(settings.bearer_token)}"
        if settings.basic_auth is not None:
            headers["Authorization"] = await secrets.basic(settings.basic_auth)
        return headers

    def _connected(self, files: TlsFiles) -> PrometheusConnect:
        if self._connection is None or files != self._tls:
            self._session.close()
            address = self._settings.address.rstrip("/")
            session = requests.Session()
            session.verify = files[0]
            # Otherwise a .netrc would replace the login that the settings write. Proxies are still the environment's.
            session.proxies = dict(requests.utils.get_environ_proxies(address))
            session.trust_env = False
            self._connection = PrometheusConnect(address, session=session, timeout=self._settings.timeout)
            session.mount(address, _Adapter(context_of(files)))
            self._session, self._tls = session, files
        return self._connection

    def _late(self) -> UnavailableError:
        return UnavailableError(f"Prometheus at {self._place} did not answer within {self._settings.timeout:g} s")

    def _unreachable(self, error: Exception, secrets: Secrets) -> SourceError:
        reason = secrets.redact(str(error))
        if _broken_tls(error):
            return ConfigurationError(
                f"Prometheus at {self._place} and we do not trust each other ({reason}): write the authority's certificate "
                "in tls.ca and ours in tls.certificate, or correct the address"
            )
        return UnavailableError(f"Prometheus at {self._place} cannot be reached: {reason}")


class _Adapter(HTTPAdapter):
    """Verifies servers and shows certificates by a context that needs no files. Asks once: the caller asks again."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


def _broken_tls(error: BaseException | None) -> bool:
    """Whether TLS failed, which waiting does not mend."""
    while error is not None:
        reason = getattr(error, "reason", None)
        if isinstance(error, ssl.SSLError) or isinstance(reason, ssl.SSLError) or "certificate" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _place(url: str) -> str:
    """Return an address for messages: without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else repr(url[:100])
