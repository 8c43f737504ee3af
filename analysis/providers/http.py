"""The one door to HTTP: it asks a metrics service, and says what its refusals mean.

A service is asked for numbers only, so asking again changes nothing: what may pass by itself is tried again within the
time-out (a connection that broke, 502, 503, 504). What then still fails is one of two things:

========================================  ==================================================
answer                                    error
========================================  ==================================================
no connection, time-out, 408, 425, 5xx    UnavailableError
429                                       UnavailableError, with the time the service asked for
TLS fails, 3xx, other 4xx, no JSON        ConfigurationError, naming the address
401, 403                                  ConfigurationError, naming the Secrets that were used
========================================  ==================================================
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from analysis.providers.base import ConfigurationError, SourceError, UnavailableError
from analysis.providers.refusals import retry_after, said
from analysis.providers.tls import TlsFiles, context_of, read_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analysis.api.connection import Service
    from analysis.providers.base import Context
    from analysis.providers.secrets import Secrets

__all__ = ["Answer", "Call", "Http"]

Model = TypeVar("Model", bound=BaseModel)

LARGEST: Final = 4 * 1024 * 1024
"""Bytes of the largest answer that is read, after decompression."""
PAUSES: Final = (0.2, 0.6)
"""Seconds before each further try."""
_PASSING: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        method: GET, POST or PUT.
        url: Where to; ``params`` are added to its query.
        params: Query parameters.
        headers: Headers.
        body: The body: bytes or text as they are, a mapping as a form; None for none.
        json: The body as JSON; None for none.
        repeatable: Whether it may be sent again after it reached the service.
    """

    method: str
    url: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | Mapping[str, str] | None = None
    json: Any = None
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Attributes:
        status: HTTP status.
        headers: Headers, by lower-case name.
        text: The body.
    """

    status: int
    headers: Mapping[str, str]
    text: str

    def document(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: It is none.
        """
        try:
            return json.loads(self.text)
        except RecursionError as error:
            msg = "nested too deeply"
            raise ValueError(msg) from error


class Http:
    """A connection to one service."""

    def __init__(self, name: str, service: Service, context: Context) -> None:
        """Connect on first use.

        Args:
            name: What messages call the service: ``Datadog``.
            service: Its time-out and TLS settings.
            context: Clock.
        """
        self._name = name
        self._service = service
        self._clock = context.clock
        self._client: httpx.AsyncClient | None = None
        self._tls: TlsFiles | None = None
        self._changing = asyncio.Lock()

    async def document(
        self, call: Call, secrets: Secrets, faults: Callable[[Answer], SourceError | None] | None = None
    ) -> Any:
        """Return the JSON that the service answers with.

        Args:
            call: What to ask.
            secrets: What was read for the call; for messages.
            faults: What an answer that is not 2xx means to this service; None from it for what the table above says.

        Raises:
            SourceError: There is no such answer.
        """
        answer = await self.ask(call, secrets, faults)
        try:
            return answer.document()
        except ValueError as error:
            start = secrets.redact(said(answer.text))
            msg = f"{self._name} at {_place(call.url)} answers with what is not JSON ({start}): check the address"
            raise ConfigurationError(msg) from error

    async def read(
        self,
        model: type[Model],
        call: Call,
        secrets: Secrets,
        faults: Callable[[Answer], SourceError | None] | None = None,
    ) -> Model:
        """Return the answer as a model of what the service documents. See ``document``."""
        document = await self.document(call, secrets, faults)
        try:
            return model.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the answer"
            msg = (
                f"{self._name} at {_place(call.url)} does not answer as its API does "
                f"({where}: {first['msg']}): check the address"
            )
            raise ConfigurationError(msg) from error

    async def ask(
        self, call: Call, secrets: Secrets, faults: Callable[[Answer], SourceError | None] | None = None
    ) -> Answer:
        """Return a 2xx answer. See ``document``."""
        try:
            async with asyncio.timeout(self._service.timeout):
                answer = await self._persist(call, secrets)
        except (TimeoutError, httpx.TimeoutException) as error:
            msg = f"{self._name} at {_place(call.url)} did not answer within {self._service.timeout:g} s"
            raise UnavailableError(msg) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeEncodeError) as error:
            reason = secrets.redact(str(error)) if isinstance(error, httpx.UnsupportedProtocol) else ""
            msg = (
                f"{self._name} cannot be asked at {_place(call.url)}: write an address like https://host:port, and "
                f"headers and secrets of one line. {reason}"
            )
            raise ConfigurationError(msg.strip()) from error
        except httpx.HTTPError as error:
            raise self._unreachable(call, error, secrets) from error
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return answer
        raise (faults(answer) if faults else None) or self._refusal(call, answer, secrets)

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _persist(self, call: Call, secrets: Secrets) -> Answer:
        """Send the request, and again after what may pass."""
        files = await read_tls(self._service.tls, secrets)
        for pause in PAUSES:
            try:
                answer = await _send(await self._connected(files), call, self._name)
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                if _tls_fault(error) or not (call.repeatable or isinstance(error, httpx.ConnectError)):
                    raise
            else:
                if answer.status not in _PASSING or not call.repeatable or "retry-after" in answer.headers:
                    return answer
            await asyncio.sleep(pause)
        return await _send(await self._connected(files), call, self._name)

    async def _connected(self, files: TlsFiles) -> httpx.AsyncClient:
        async with self._changing:
            if self._client is None or files != self._tls:
                await self.close()
                # Loading the system's authorities reads files.
                context = await asyncio.to_thread(context_of, files)
                self._client, self._tls = httpx.AsyncClient(verify=context, timeout=self._service.timeout), files
            return self._client

    def _unreachable(self, call: Call, error: httpx.HTTPError, secrets: Secrets) -> SourceError:
        reason = secrets.redact(str(error)) or type(error).__name__
        fault = _tls_fault(error)
        if isinstance(fault, ssl.SSLCertVerificationError):
            return ConfigurationError(
                f"{self._name} at {_place(call.url)} has a certificate that is not trusted ({reason}): "
                "write the authority's certificate in tls.ca, or correct the address"
            )
        if fault is not None:
            return ConfigurationError(
                f"{self._name} at {_place(call.url)} and we agree on no TLS ({reason}): correct the address (http or "
                "https?), or write the client's certificate in tls"
            )
        return UnavailableError(f"{self._name} at {_place(call.url)} cannot be reached: {reason}")

    def _refusal(self, call: Call, answer: Answer, secrets: Secrets) -> SourceError:
        place, words = _place(call.url), secrets.redact(said(answer.text))
        told = f"{answer.status}: {words}" if words else str(answer.status)
        match answer.status:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                fix = f"check {secrets}" if secrets else "no credentials are set: write them in the provider's settings"
                return ConfigurationError(f"{self._name} at {place} refuses the request ({told}): {fix}")
            case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
                return UnavailableError(
                    f"{self._name} at {place} answers {told}", retry_after(answer.headers, self._clock())
                )
            case status if status < HTTPStatus.BAD_REQUEST:
                target = _place(answer.headers.get("location", "")) or "another address"
                return ConfigurationError(f"{self._name} at {place} redirects to {target}: write that as the address")
            case _:
                return ConfigurationError(
                    f"{self._name} at {place} cannot answer ({told}): correct the query or the address"
                )


async def _send(client: httpx.AsyncClient, call: Call, name: str) -> Answer:
    form = dict(call.body) if call.body is not None and not isinstance(call.body, str | bytes) else None
    request = client.build_request(
        call.method,
        httpx.URL(call.url).copy_merge_params(dict(call.params)) if call.params else call.url,
        headers=dict(call.headers),
        content=call.body if isinstance(call.body, str | bytes) else None,
        data=form,
        json=call.json,
    )
    response = await client.send(request, stream=True)
    try:
        found = bytearray()
        async for part in response.aiter_bytes():
            found += part
            if len(found) > LARGEST:
                msg = (
                    f"{name} at {_place(call.url)} answers with more than {LARGEST // 1024 // 1024} MiB: "
                    "ask for one number"
                )
                raise ConfigurationError(msg)
    finally:
        await response.aclose()
    text = found.decode(response.charset_encoding or "utf-8", errors="replace")
    return Answer(response.status_code, {key.lower(): value for key, value in response.headers.items()}, text)


def _tls_fault(error: BaseException | None) -> ssl.SSLError | None:
    """Return what TLS failed by, if waiting does not help: anything but a connection that just ended."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return None if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) else error
        error = error.__cause__ or error.__context__
    return None


def _place(url: str) -> str:
    """Return an address for messages: without user, password, query and fragment, which may hold secrets."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return repr(url.partition("?")[0].rpartition("@")[2])
    return str(parsed.copy_with(username=None, password=None, query=None, fragment=None)) if url else ""
