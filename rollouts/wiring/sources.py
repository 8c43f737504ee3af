"""Where counts come from: the mesh's telemetry, Prometheus, and OpenTelemetry metrics that are sent to us."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import aiohttp

from analysis.api.prometheus import PrometheusCounts
from analysis.providers.base import ConfigurationError
from analysis.providers.opentelemetry import Receiver
from analysis.providers.registry import open_counts
from rollouts.engine.measuring import Tools
from rollouts.engine.telemetry import TelemetryStream
from rollouts.wiring.health import serve

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from analysis.model.counts import Arm
    from analysis.providers.base import Context
    from rollouts.api.source import Asked
    from rollouts.engine.cache import Key
    from rollouts.engine.feeds import AskedSource
    from rollouts.engine.kube import Kube
    from rollouts.wiring.options import Options

__all__ = ["mesh_session", "open_tools"]


def mesh_session() -> aiohttp.ClientSession:
    """Return a session for any number of streams: each release that is under way has one all the time."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def open_tools(
    options: Options, kube: Kube, session: aiohttp.ClientSession, stack: contextlib.AsyncExitStack
) -> Tools:
    """Return what measuring uses.

    Args:
        options: How the controller is run.
        kube: The API server, for one who leads.
        session: HTTP client, for the mesh.
        stack: Ends what receives metrics.
    """
    return Tools(
        kube=kube,
        open_stream=_streams(session, options.mesh_url, options.mesh_token_file),
        open_counts=_sources(await _receive(options, stack)),
        clock=time.time,
    )


def _streams(
    session: aiohttp.ClientSession, mesh_url: str, token_file: Path | None
) -> Callable[[Key, float, Callable[[], None]], TelemetryStream]:
    def open_stream(host: Key, since: float, on_window: Callable[[], None]) -> TelemetryStream:
        namespace, service = host
        url = f"{mesh_url.rstrip('/')}/v1/telemetry/{namespace}/{service}"
        return TelemetryStream(session, url, since, on_window, token_file=token_file)

    return open_stream


def _sources(
    receiver: Receiver | None,
) -> Callable[[Asked, Context, tuple[float, ...], Callable[[], Mapping[str, Arm]]], AskedSource]:
    def open_asked(
        settings: Asked, context: Context, bounds: tuple[float, ...], pods: Callable[[], Mapping[str, Arm]]
    ) -> AskedSource:
        if isinstance(settings, PrometheusCounts):
            return open_counts(settings, context, bounds_ms=bounds, pods=pods)
        if receiver is None:
            msg = "source.openTelemetry: this controller receives no metrics: run it with --otlp-address"
            raise ConfigurationError(msg)
        return receiver.open_counts(settings, bounds_ms=bounds, pods=pods)

    return open_asked


async def _receive(options: Options, stack: contextlib.AsyncExitStack) -> Receiver | None:
    """Receive OpenTelemetry metrics, where an address is given for it."""
    if options.otlp_address is None:
        return None
    token = options.otlp_token_file.read_text().strip() if options.otlp_token_file else ""
    receiver = Receiver(clock=time.time, token=token)
    await serve(receiver.app(), options.otlp_address, stack)
    return receiver
