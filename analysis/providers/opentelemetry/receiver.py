"""OTLP/HTTP: takes the metrics that pods or a Collector send.

Answers as https://opentelemetry.io/docs/specs/otlp/#otlphttp says: what was refused of a request stands in the partial
success of a 200; a request that cannot be read is a 400 with a ``google.rpc.Status``, and is not to be sent again.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from analysis.providers.opentelemetry.decoder import decode
from analysis.providers.opentelemetry.schema import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    Status,
)
from analysis.providers.opentelemetry.source import OpenTelemetryCountSource
from analysis.providers.opentelemetry.store import Limits, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from analysis.api.opentelemetry import OpenTelemetryCounts
    from analysis.model.counts import Arm
    from analysis.providers.opentelemetry.store import Refusal

__all__ = ["PATH", "Receiver", "parse"]

PATH: Final = "/v1/metrics"
_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_LARGE: Final = 65_536
"""Bytes of a body that is read beside the event loop."""
_SAID: Final = 5
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_CODES: Final = {
    HTTPStatus.BAD_REQUEST: 3,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: 3,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8,
    HTTPStatus.UNAUTHORIZED: 16,
}

_log = logging.getLogger(__name__)


class Receiver:
    """Takes metrics, and opens sources on them. Nothing is kept but what an open source asks for."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        token: str = "",
        limits: Limits | None = None,
        max_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        """Prepare; ``app`` serves it.

        Args:
            clock: Unix seconds.
            token: What senders have to show (``Authorization: Bearer …``); empty when everybody may send.
            limits: Bounds of what is kept.
            max_bytes: Of one request, unpacked.
        """
        self._clock = clock
        self._token = token
        self._store = Store(limits or Limits())
        self._max_bytes = max_bytes

    def app(self) -> web.Application:
        """Return the application with ``POST /v1/metrics``."""
        app = web.Application(client_max_size=self._max_bytes)
        app.router.add_post(PATH, self._export)
        return app

    def open_counts(
        self, settings: OpenTelemetryCounts, *, bounds_ms: Sequence[float], pods: Callable[[], Mapping[str, Arm]]
    ) -> OpenTelemetryCountSource:
        """Return a source of counts; from now on, and until it is closed, its metrics are kept.

        Closed and opened again within two minutes, it goes on with what was kept before.

        Args:
            settings: What is counted.
            bounds_ms: The policy's latency bounds: those that ``bounds()`` returned when the release began. Empty: no
                latency.
            pods: Returns the arm of each of the release's pods by name; asked often, so it has to be quick.
        """
        return OpenTelemetryCountSource(settings, self._store, self._clock, bounds_ms=bounds_ms, pods=pods)

    async def _export(self, request: web.Request) -> web.Response:
        kind = request.content_type
        if self._token and not self._allowed(request):
            return _failure(
                kind, HTTPStatus.UNAUTHORIZED, "the bearer token is missing or wrong: set OTEL_EXPORTER_OTLP_HEADERS"
            )
        if kind not in {_PROTOBUF, _JSON}:
            return _failure(
                kind, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{kind} is not taken: send {_PROTOBUF} or {_JSON}"
            )
        try:
            body = await request.read()
            message = await asyncio.to_thread(parse, kind, body) if len(body) > _LARGE else parse(kind, body)
        except web.HTTPRequestEntityTooLarge:
            words = f"the body is larger than {self._max_bytes} bytes: send smaller batches"
            return _failure(kind, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        except (ValueError, web.RequestPayloadError) as error:
            return _failure(kind, HTTPStatus.BAD_REQUEST, f"the body is no ExportMetricsServiceRequest: {error}")
        return _success(kind, self._store.add(decode(message, self._store.wanted), self._clock()))

    def _allowed(self, request: web.Request) -> bool:
        shown = request.headers.get("Authorization", "")
        return hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode())


def parse(kind: str, body: bytes) -> Any:
    """Return the message in a body of this content type.

    Raises:
        ValueError: It is none.
    """
    try:
        if kind == _PROTOBUF:
            return ExportMetricsServiceRequest.FromString(body)
        found = json.loads(body)
        if isinstance(found, dict):
            return json_format.ParseDict(found, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    except (DecodeError, json_format.ParseError, RecursionError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error
    raise ValueError("it is no JSON object")


def _success(kind: str, refused: Sequence[Refusal]) -> web.Response:
    answer = ExportMetricsServiceResponse()
    if refused:
        answer.partial_success.rejected_data_points = sum(one.points for one in refused)
        answer.partial_success.error_message = "; ".join(one.words for one in refused[:_SAID])
        _log.debug("refused points: %s", answer.partial_success.error_message)
    return _answer(kind, HTTPStatus.OK, answer)


def _failure(kind: str, status: HTTPStatus, words: str) -> web.Response:
    _log.warning("refused a request for %s: %s", PATH, words)
    return _answer(kind, status, Status(code=_CODES[status], message=words))


def _answer(kind: str, status: HTTPStatus, message: Any) -> web.Response:
    """Return a message in the form of the request, or as JSON."""
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    if kind == _PROTOBUF:
        return web.Response(body=message.SerializeToString(), status=status, content_type=_PROTOBUF, headers=headers)
    return web.Response(
        text=json_format.MessageToJson(message, indent=None), status=status, content_type=_JSON, headers=headers
    )
