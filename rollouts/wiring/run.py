"""The controller's process: puts the parts together, serves health, ends cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web

from analysis.api.prometheus import PrometheusCounts
from analysis.providers.base import ConfigurationError
from analysis.providers.opentelemetry import Receiver
from analysis.providers.registry import open_counts
from rollouts.api.admission import Hold
from rollouts.engine.cache import Cache
from rollouts.engine.hold import choose_hold, install_policy, install_webhook
from rollouts.engine.kube import connect
from rollouts.engine.measuring import Tools
from rollouts.engine.queue import WorkQueue
from rollouts.engine.reconciler import Reconciler
from rollouts.engine.telemetry import TelemetryStream
from rollouts.handlers.hold import serve_hold
from rollouts.handlers.watches import operate, watches
from rollouts.routers.coalmine import CoalmineRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from analysis.model.counts import Arm
    from analysis.providers.base import Context
    from rollouts.api.source import Asked
    from rollouts.engine.cache import Key
    from rollouts.engine.feeds import AskedSource
    from rollouts.engine.kube import Kube

__all__ = ["Options", "run"]

_LOG = logging.getLogger(__name__)
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Options:
    """How the controller is run. See ``coalmine controller run --help``."""

    kubeconfig: Path | None
    mesh_url: str
    hold: str
    health_address: str
    webhook_address: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ca_file: Path | None = None
    otlp_address: str | None = None
    otlp_token_file: Path | None = None
    mesh_token_file: Path | None = None
    max_releases: int | None = None


async def run(options: Options) -> None:
    """Run the controller until it is told to stop."""
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    if options.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(options.kubeconfig)  # kopf's own loader reads it from there
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(connect(options.kubeconfig))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await _hold(kube, options, stack)
        cache = Cache()
        queue: WorkQueue

        reconciler = Reconciler(
            cache=cache,
            kube=kube,
            router=CoalmineRouter(),
            tools=Tools(
                kube=kube,
                open_stream=_streams(session, options.mesh_url, options.mesh_token_file),
                open_counts=_sources(await _receive(options, stack)),
                clock=time.time,
            ),
            trigger=lambda key: queue.trigger(key),  # noqa: PLW0108 - the queue is made below
            instance=socket.gethostname(),
            most_releases=options.max_releases,
        )
        stack.push_async_callback(reconciler.close)
        queue = WorkQueue(reconciler.reconcile, reconciler.failed)
        stack.push_async_callback(queue.close)
        await _serve_health(options.health_address, ready, stack)
        await operate(watches(cache, queue.trigger, queue.forget), options.kubeconfig, ready=ready, stop=stop)


async def _hold(kube: Kube, options: Options, stack: contextlib.AsyncExitStack) -> None:
    """Put the hold in force before anything is adopted."""
    hold = await choose_hold(kube, options.hold)
    if hold is Hold.POLICY:
        await install_policy(kube)
        _LOG.info("changed templates are held by a MutatingAdmissionPolicy")
        return
    address, cert, key, ca = options.webhook_address, options.tls_cert, options.tls_key, options.ca_file
    if not (address and cert and key and ca):
        msg = "the webhook hold needs --webhook-address, --tls-cert, --tls-key and --ca-file"
        raise ValueError(msg)
    runner = await serve_hold(address, cert, key)
    stack.push_async_callback(runner.cleanup)
    await install_webhook(kube, address, ca.read_bytes())
    _LOG.info("changed templates are held by a webhook at %s", address)


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
    await _serve(receiver.app(), options.otlp_address, stack)
    return receiver


async def _serve_health(address: str, ready: asyncio.Event, stack: contextlib.AsyncExitStack) -> None:
    """Serve ``/healthz`` (the process runs) and ``/readyz`` (the watches run)."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        return (
            web.Response(text="ok") if ready.is_set() else web.Response(status=503, text="the watches do not run yet")
        )

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    await _serve(app, address, stack)


async def _serve(app: web.Application, address: str, stack: contextlib.AsyncExitStack) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    host, _, port = address.rpartition(":")
    await web.TCPSite(runner, host.strip("[]"), int(port)).start()
