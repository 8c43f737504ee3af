"""Any service that answers with JSON over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.providers.answers import at_path
from analysis.providers.http import Call, Http
from analysis.providers.secrets import Secrets

if TYPE_CHECKING:
    from analysis.api.services import Web
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]


def open_values(settings: Web, context: Context) -> ValueSource:
    """Return the source for a URL."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: Web, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = Http("the web provider", settings, context)

    async def measure(self, at: float) -> float | None:
        del at  # the service answers about now
        settings, secrets = self._settings, Secrets(self._context.secret)
        headers = {"Accept": "application/json"}
        if settings.basic_auth:
            headers["Authorization"] = await secrets.basic(settings.basic_auth)
        for header in settings.headers:
            reference = header.secret_key_ref
            headers[header.key] = await secrets.value(reference) if reference else header.value or ""
        call = Call(
            settings.method,
            settings.url,
            headers=headers,
            body=settings.body,
            json=settings.json_body,
            # What a POST or PUT does, only its service knows.
            repeatable=settings.method == "GET",
        )
        return at_path(await self._http.document(call, secrets), settings.json_path, settings.url.partition("?")[0])

    async def close(self) -> None:
        await self._http.close()
