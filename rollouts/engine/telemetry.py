"""The mesh's telemetry of one host as a stream: it reconnects, resumes where it was, and says what is wrong meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

import aiohttp
from pydantic import ValidationError

from mesh.api.telemetry import TelemetryWindow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["TelemetryStream"]

_MOST_WINDOWS: Final = 7200
_BACKOFF_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_SILENCE_SECONDS: Final = 30.0
_LINE_LIMIT: Final = 2**22


class TelemetryStream:
    """Listens to a host's windows since a given time.

    Attributes:
        problem: Why nothing comes at the moment; empty when all is well.
        answered: Whether the mesh was reached when it was asked last.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        since: float,
        on_window: Callable[[], None],
        *,
        token_file: Path | None = None,
    ) -> None:
        """Listen.

        Args:
            session: HTTP client.
            url: The host's windows.
            since: Unix seconds from which on they are wanted.
            on_window: Called when one has come, or none comes any more.
            token_file: Holds the token to show; read anew for each connection, since kubelets renew it in place.
        """
        self._session = session
        self._url = url
        self._since = since
        self._on_window = on_window
        self._token_file = token_file
        self._fresh: deque[TelemetryWindow] = deque(maxlen=_MOST_WINDOWS)
        self.problem = ""
        self.answered = False
        self._task = asyncio.create_task(self._run(), name=f"telemetry {url}")

    def take(self) -> list[TelemetryWindow]:
        """Return the windows that came since the last call, in order."""
        fresh = list(self._fresh)
        self._fresh.clear()
        return fresh

    async def close(self) -> None:
        """End the stream."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        failures = 0
        while True:
            before = self._since
            try:
                await self._read()
                reason = "the mesh ended the stream"
            except (aiohttp.ClientError, TimeoutError, OSError, ValidationError, ValueError) as error:
                reason = str(error) or type(error).__name__
            failures = 0 if self._since > before else failures + 1
            if failures:
                self.problem, self.answered = f"no telemetry from {self._url}: {reason}", False
                self._on_window()
            await asyncio.sleep(_BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)])

    async def _read(self) -> None:
        """Read one connection to its end."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=_SILENCE_SECONDS)
        query = {"since": repr(self._since)}
        async with self._session.get(self._url, params=query, headers=self._headers(), timeout=timeout) as answer:
            answer.raise_for_status()
            self._reached()
            async for line in answer.content:
                if line.strip():
                    self._take(TelemetryWindow.model_validate_json(line))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"} if self._token_file else {}

    def _reached(self) -> None:
        """Tell at once that the mesh answers: a host that nobody calls has no windows for a while."""
        told = self.answered and not self.problem
        self.problem, self.answered = "", True
        if not told:
            self._on_window()

    def _take(self, window: TelemetryWindow) -> None:
        self.problem = ""
        if window.end <= self._since:
            return  # told already, on an earlier connection
        self._since = window.end
        self._fresh.append(window)
        self._on_window()
