"""The controller's process: puts the parts together, and ends cleanly."""

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
from typing import TYPE_CHECKING, Final

from rollouts.api.admission import Hold
from rollouts.engine.cache import Cache
from rollouts.engine.courier import Surroundings
from rollouts.engine.hold import choose_hold, install_policy, install_webhook
from rollouts.engine.kube import connect
from rollouts.engine.leader import Elector
from rollouts.engine.meters import Meters
from rollouts.engine.reconciler import Reconciler
from rollouts.engine.scaling import floor_of
from rollouts.engine.scope import check_hold, nothing_to_release, sees_cluster_templates
from rollouts.engine.sweep import Sweep
from rollouts.handlers.hold import make_app, serve_hold
from rollouts.handlers.watches import RESOURCES, operate, watches
from rollouts.routers.coalmine import CoalmineRouter
from rollouts.wiring.duty import Duty
from rollouts.wiring.health import serve_health
from rollouts.wiring.metrics import Facts, add_metrics
from rollouts.wiring.sinks import quiet_session
from rollouts.wiring.sources import mesh_session, open_tools
from rollouts.wiring.telling import Telling
from rollouts.wiring.web import Web, serve_web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rollouts.engine.cache import Key
    from rollouts.engine.kube import Kube
    from rollouts.wiring.options import Options

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def run(options: Options) -> None:
    """Run the controller until it is told to stop."""
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    if options.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(options.kubeconfig)  # kopf's own loader reads it from there
    meters, cache = Meters(), Cache()
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(connect(options.kubeconfig, meters.answered))
        session = await stack.enter_async_context(mesh_session())
        identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4()}"
        elector = Elector(kube, options.lease, identity) if options.lease else None  # without one, it is the only one
        writer = kube.guarded(elector.left) if elector else kube
        install = await _hold(writer, options, stack, cache)
        tools = await open_tools(options, writer, session, stack)
        quiet = await stack.enter_async_context(quiet_session())
        telling = Telling(options, kube, cache, meters, quiet)
        stack.push_async_callback(telling.close)

        def reconciler(trigger: Callable[[Key], None]) -> Reconciler:
            left = elector.left if elector else lambda: math.inf
            return Reconciler(
                cache=cache,
                kube=writer,
                router=CoalmineRouter(),
                tools=tools,
                trigger=trigger,
                instance=socket.gethostname(),
                most_releases=options.max_releases,
                outbox=telling.begin(Surroundings(writer, socket.gethostname(), time.time, left)),
                meters=meters,
                people=options.config.approvals.people,
            )

        duty = Duty(cache, reconciler, install, ready.set, meters, beside=telling.lead)

        def facts() -> Facts:
            return Facts(identity, duty.serving, duty.waiting, options.max_releases, telling.pending)

        await serve_health(options.health_address, ready, stack, lambda app: add_metrics(app, meters, cache, facts))
        parts = telling.parts()
        if options.http_address is not None:
            served = Web(
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
            )
            await serve_web(options.http_address, served, stack)
        await _until_stopped(*await _watches(options, kube, cache, duty, stop), _act(duty, elector, ready.set))


async def _watches(
    options: Options, kube: Kube, cache: Cache, duty: Duty, stop: asyncio.Event
) -> tuple[Awaitable[None], Awaitable[None]]:
    """Return what keeps the cache true: the watches, and a look now and then at what they may have missed."""
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
    return operate(registry, options.kubeconfig, options.namespaces, stop=stop), sweep.run()


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
    install = await _chosen_hold(kube, options, stack, cache)
    return functools.partial(check_hold, kube, options.hold) if options.namespaces else install


async def _chosen_hold(
    kube: Kube, options: Options, stack: contextlib.AsyncExitStack, cache: Cache
) -> Callable[[], Awaitable[None]]:
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
