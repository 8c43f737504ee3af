"""The controller's process: puts the parts together, serves health, ends cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import os
import signal
import socket
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web

from analysis.api.prometheus import PrometheusCounts
from analysis.providers.base import ConfigurationError
from analysis.providers.opentelemetry import Receiver
from analysis.providers.registry import open_counts
from rollouts.api.admission import Hold
from rollouts.api.controller import ControllerConfig
from rollouts.api.floors import AUTOSCALERS
from rollouts.engine.cache import Cache
from rollouts.engine.counted import Counted
from rollouts.engine.courier import Surroundings
from rollouts.engine.hold import choose_hold, install_policy, install_webhook
from rollouts.engine.kube import connect
from rollouts.engine.leader import Elector, LeaseSettings
from rollouts.engine.measuring import Tools
from rollouts.engine.meters import Meters
from rollouts.engine.outbox import Outbox
from rollouts.engine.reconciler import Reconciler
from rollouts.engine.scaling import floor_of
from rollouts.engine.scope import check_hold, nothing_to_release, sees_cluster_templates
from rollouts.engine.sweep import Sweep
from rollouts.engine.telemetry import TelemetryStream
from rollouts.gates.http import make_app as approvals_app
from rollouts.handlers.hold import make_app, serve_hold
from rollouts.handlers.watches import RESOURCES, operate, watches
from rollouts.notify.signing import signature
from rollouts.routers.coalmine import CoalmineRouter
from rollouts.wiring.duty import Duty
from rollouts.wiring.metrics import Facts, add_metrics
from rollouts.wiring.sinks import open_sinks, quiet_session
from rollouts.wiring.slack import SlackParts
from rollouts.wiring.web import Web, serve_web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
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
    http_address: str | None = None
    """Where the pages are, and what gates need; nowhere without it."""
    webhook_address: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ca_file: Path | None = None
    otlp_address: str | None = None
    otlp_token_file: Path | None = None
    mesh_token_file: Path | None = None
    max_releases: int | None = None
    namespaces: tuple[str, ...] = ()
    """Those that are watched; none: the whole cluster."""
    autoscalers: tuple[str, ...] = AUTOSCALERS
    lease: LeaseSettings | None = None
    """None: this is the only controller."""
    config: ControllerConfig = field(default_factory=ControllerConfig)


async def run(options: Options) -> None:
    """Run the controller until it is told to stop."""
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    if options.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(options.kubeconfig)  # kopf's own loader reads it from there
    meters = Meters()
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(connect(options.kubeconfig, meters.answered))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4()}"
        elector = Elector(kube, options.lease, identity) if options.lease else None  # without one, it is the only one
        writer = kube.guarded(elector.left) if elector else kube
        cache = Cache()
        install = await _hold(writer, options, stack, cache)
        tools = Tools(
            kube=writer,
            open_stream=_streams(session, options.mesh_url, options.mesh_token_file),
            open_counts=_sources(await _receive(options, stack)),
            clock=time.time,
        )

        quiet = await stack.enter_async_context(quiet_session())
        outbox: Outbox | None = None
        slack = SlackParts(
            options.config, kube, cache, options.namespaces, lambda: outbox.remembered("slack") if outbox else ()
        )
        stack.push_async_callback(slack.close)
        sinks = (*open_sinks(options.config, quiet), *slack.sinks)

        def reconciler(trigger: Callable[[Key], None]) -> Reconciler:
            nonlocal outbox
            instance = socket.gethostname()
            around = Surroundings(writer, instance, time.time, elector.left if elector else lambda: math.inf)
            outbox = Outbox([Counted(sink, meters) for sink in sinks], around) if sinks else None
            return Reconciler(
                cache=cache,
                kube=writer,
                router=CoalmineRouter(),
                tools=tools,
                trigger=trigger,
                instance=instance,
                most_releases=options.max_releases,
                outbox=outbox,
                meters=meters,
                people=options.config.approvals.people,
            )

        if options.namespaces:
            install = functools.partial(check_hold, kube, options.hold)
        duty = Duty(cache, reconciler, install, ready.set, meters, beside=slack.lead)

        def facts() -> Facts:
            return Facts(
                identity=identity,
                leads=duty.serving,
                waiting=duty.waiting,
                most_releases=options.max_releases,
                pending=outbox.pending if outbox else {},
            )

        await _serve_health(options.health_address, ready, stack, lambda app: add_metrics(app, meters, cache, facts))
        parts = {**slack.parts(options.http_address), **_approvals(kube, options)}
        if options.http_address is not None:
            await serve_web(
                options.http_address,
                Web(
                    config=options.config.dashboard,
                    kube=kube,
                    cache=cache,
                    session=session,
                    mesh_url=options.mesh_url,
                    mesh_token_file=options.mesh_token_file,
                    open_windows=tools.open_stream,
                    instance=socket.gethostname(),
                    leads=lambda: duty.serving,
                    namespaces=options.namespaces,
                    parts=parts,
                ),
                stack,
            )
        cache.cluster_templates = await sees_cluster_templates(kube, options.namespaces)
        if not cache.cluster_templates:
            _LOG.info("ClusterAnalysisTemplates are not read: this controller may not list and watch them")
        if await nothing_to_release(kube, options.namespaces):
            duty.warm()
        registry = watches(cache, duty.trigger, duty.forget, duty.warm, cluster_templates=cache.cluster_templates)
        sweep = Sweep(
            kube,
            cache,
            (k for k in RESOURCES if cache.cluster_templates or k[2] != "clusteranalysistemplates"),
            duty.vanished,
            namespaces=options.namespaces,
        )
        watching = operate(registry, options.kubeconfig, options.namespaces, stop=stop)
        await _until_stopped(watching, sweep.run(), _act(duty, elector, ready.set))


def _approvals(kube: Kube, options: Options) -> dict[str, web.Application]:
    """Return what takes signed calls, where some program may call.

    Raises:
        ValueError: Some may, and nothing is served.
    """
    approvals = options.config.approvals
    if not approvals.callers:
        return {}
    if options.http_address is None:
        raise ValueError("approvals.callers: they would call /approvals, and nothing is served: add --http-address")
    return {"/approvals": approvals_app(kube, approvals, signature)}


async def _act(duty: Duty, elector: Elector | None, waits: Callable[[], None]) -> None:
    """Do the duty: always, or while this process leads. Nobody stands for election who does not know everything."""
    await duty.until_warm()
    await (elector.run(duty.serve, waits) if elector else duty.serve())


async def _until_stopped(*parts: Awaitable[None]) -> None:
    """Run all until one ends, as the watches do when they are told to; then end the others, the last one first."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait({task})
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


async def _hold(
    kube: Kube, options: Options, stack: contextlib.AsyncExitStack, cache: Cache
) -> Callable[[], Awaitable[None]]:
    """Choose the hold, serve it where it is a webhook, and return what puts it in force before anything is adopted."""
    if await choose_hold(kube, options.hold) is Hold.POLICY:
        _LOG.info("changed templates are held by a MutatingAdmissionPolicy")
        return lambda: install_policy(kube, options.autoscalers)
    address, cert, key, ca = options.webhook_address, options.tls_cert, options.tls_key, options.ca_file
    if not (address and cert and key and ca):
        msg = "the webhook hold needs --webhook-address, --tls-cert, --tls-key and --ca-file"
        raise ValueError(msg)
    app = make_app(functools.partial(floor_of, cache), options.autoscalers)
    runner = await serve_hold(address, cert, key, app)
    stack.push_async_callback(runner.cleanup)
    _LOG.info("changed templates are held by a webhook at %s", address)
    return lambda: install_webhook(kube, address, ca.read_bytes(), options.autoscalers)


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


async def _serve_health(
    address: str,
    ready: asyncio.Event,
    stack: contextlib.AsyncExitStack,
    add_more: Callable[[web.Application], None],
) -> None:
    """Serve ``/healthz`` (the process runs), ``/readyz`` (it knows the cluster, and leads or stands by), and more."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        return (
            web.Response(text="ok") if ready.is_set() else web.Response(status=503, text="the watches do not run yet")
        )

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    add_more(app)
    await _serve(app, address, stack)


async def _serve(app: web.Application, address: str, stack: contextlib.AsyncExitStack) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    host, _, port = address.rpartition(":")
    await web.TCPSite(runner, host.strip("[]"), int(port)).start()
