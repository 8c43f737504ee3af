"""The process ``coalmine mesh serve``: discovery, telemetry, injection and the loop between them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import logging
import signal
import ssl
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import web

from mesh.ads.server import AdsServer
from mesh.api.debug import API_ANNOTATION, API_POD_ANNOTATION
from mesh.inject import webhook
from mesh.inject.pods import InjectConfig
from mesh.telemetry import http, otlp, prometheus
from mesh.telemetry.edges import Edges
from mesh.telemetry.standard import StandardMetrics
from mesh.telemetry.store import TelemetryStore
from mesh.wiring import debug
from mesh.wiring import metrics as own
from mesh.wiring.certificates import add_certificates
from mesh.wiring.control import Control
from mesh.wiring.endpoints import PodEndpoints, SliceEndpoints
from mesh.wiring.garbage import collect_rarely
from mesh.wiring.identity import IdentityConfig, IdentityKeeper
from mesh.wiring.kube import Kube, KubeError
from mesh.wiring.pluggedca import NotYetError
from mesh.wiring.reports import Reports
from mesh.wiring.routestatus import RouteStatuses
from mesh.wiring.sources import Sources
from mesh.wiring.splitstatus import SplitStatuses
from mesh.wiring.tokens import Tokens, reading_middleware
from mesh.wiring.watch import PlaintextWatch
from mesh.wiring.webhooks import register
from mesh.xds.observation import observation
from mesh.xds.snapshots import SnapshotBuilder
from mesh.xds.telemetry import attempt_access_logs, request_access_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from mesh.ads.session import Session
    from mesh.ir.services import Workload
    from mesh.wiring.settings import ServeConfig

__all__ = ["serve"]

log = logging.getLogger(__name__)
_RETRY: Final = 1.0


async def serve(config: ServeConfig) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        KubeError: The kubeconfig cannot be used.
        OSError: An address cannot be listened on.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        kube = await Kube.connect(config.kubeconfig)
        stack.push_async_callback(kube.close)
        await _start(config, kube, stack, stopped)
        await stopped.wait()
        log.info("stopping; the proxies keep what they hold")


async def _start(config: ServeConfig, kube: Kube, stack: contextlib.AsyncExitStack, stopped: asyncio.Event) -> None:
    """Start everything and leave its end to the stack."""
    reports = Reports(kube, now=_now)
    edges = Edges(clock=time.time)
    metrics = StandardMetrics(world=lambda: control.world, clock=time.monotonic)
    builder = SnapshotBuilder(
        request_logs=request_access_logs(),
        attempt_logs=attempt_access_logs(),
        observe=observation(config.access_log_percent),
    )

    def offer() -> None:
        ads.publish()
        if control.world is not None:
            reports.tell((*control.problems, *keeper.problems, *watch.problems))
            statuses.refresh()

    watch = PlaintextWatch(
        metrics, edges, proxies=lambda: store.proxies, world=lambda: control.world, now=_now, changed=offer
    )
    store = TelemetryStore(clock=time.time, counted=edges.add, measured=watch.measured)

    def published() -> None:
        offer()
        if control.world is not None:
            routes.refresh()
            present = {f"{namespace}/{pod}" for namespace, pod in control.world.workloads}
            store.retain(present)
            ads.gate.retain(present)
            keeper.retain(present)

    keeper = await _identity(config, kube, offer, stopped)
    tokens = Tokens(kube, clock=time.monotonic)

    def session(proxy: str) -> Session | None:
        return ads.session(proxy)

    control = Control(builder, published, keeper.secrets)

    def refusal(proxy: str, uid: str) -> str | None:
        return ads.gate.refusal(proxy, uid)

    statuses = SplitStatuses(
        kube, world=lambda: control.world, session=session, refusal=refusal, now=_now, bypass=watch.bypass
    )
    ads = AdsServer(
        control.snapshot,
        clock=time.monotonic,
        changed=statuses.refresh,
        authenticate=tokens.admit,
        refused=control.refused,
    )
    otlp.add_to_server(ads.grpc, store, tokens.admit)
    endpoints = PodEndpoints() if config.endpoints == "pods" else SliceEndpoints(kube, control.changed)
    routes = RouteStatuses(kube, world=lambda: control.world, now=_now)
    sources = Sources.of(kube, endpoints, control.changed, statuses.seen, routes.seen, tracing=config.tracing)
    registered = asyncio.Event()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(config.tls_cert, config.tls_key)
    inject = InjectConfig(
        xds_address=config.xds_advertise,
        capture=config.capture,
        envoy=config.envoy,
        image=config.proxy_image,
        init_image=config.init_image,
        iptables_restore=config.iptables_restore,
        mount_root=config.mount_root,
    )
    await stack.enter_async_context(_site(webhook.make_app(inject), config.webhook_address, tls))
    await ads.start(config.xds_address, keeper.server.credentials)
    stack.push_async_callback(ads.stop)
    check = None if _on_loopback(config.http_address) else reading_middleware(kube, tokens)
    api = http.make_app(store, lambda: control.world is not None and registered.is_set(), check)
    prometheus.add_to_app(
        api,
        metrics,
        lambda: own.families(
            own.Facts(
                world=control.world,
                proxies=_proxies(control, ads) or [],
                authority=keeper.authority,
                problems=(*control.problems, *keeper.problems, *watch.problems),
                bypass=watch.bypass,
                ejections=store.ejected,
            )
        ),
    )
    add_certificates(api, keeper, ads)
    debug.add_to_app(api, world=lambda: control.world, ads=ads, edges=edges, watch=watch, ejected=lambda: store.ejected)
    watch.add_to_app(api)
    await stack.enter_async_context(_site(api, config.http_address, None))
    work = [
        *(r.run() for r in (*sources.reflectors, keeper.namespaces)),
        sources.token_keys.run(),
        control.run(sources),
    ]
    work += [
        statuses.run(),
        routes.run(),
        reports.run(),
        watch.run(),
        keeper.publish_roots(),
        collect_rarely(),
        keeper.run(partial(_proxies, control, ads)),
    ]
    work.append(register(kube, config.webhook_url, config.ca_file.read_bytes(), _found_by(config), registered))
    await stack.enter_async_context(_tasks(work, stopped))
    log.info("discovery and telemetry on %s, API on %s, injection on %s", *_addresses(config))


def _found_by(config: ServeConfig) -> dict[str, str]:
    """Return annotations by which a kubeconfig is all that `coalmine mesh proxy-status` needs."""
    notes = {API_ANNOTATION: f"http://{config.http_address}"}
    if config.pod_name and not _on_loopback(config.http_address):
        notes[API_POD_ANNOTATION] = f"{config.namespace}/{config.pod_name}"
    return notes


async def _identity(
    config: ServeConfig, kube: Kube, changed: Callable[[], None], stopped: asyncio.Event
) -> IdentityKeeper:
    """Return the authority, however long it takes to read its Secret; without it nobody could be served.

    Raises:
        SecretError: The Secret does not hold what it should.
        RuntimeError: The process is to end.
    """
    wanted = IdentityConfig(
        namespace=config.namespace,
        host=_host(config.xds_advertise),
        leaf_life=dt.timedelta(seconds=config.certificate_seconds),
        hold=dt.timedelta(seconds=config.root_hold_seconds),
        mount_root=config.mount_root,
        plugged=config.ca_secret,
    )
    while not stopped.is_set():
        try:
            return await IdentityKeeper.start(kube, wanted, changed)
        except KubeError as error:
            log.warning("the mesh's Secret in namespace %s: %s; again in %.0f s", config.namespace, error, _RETRY)
        except NotYetError as error:
            log.error("%s; again in %.0f s", error, _RETRY)  # noqa: TRY400 - the trace tells an operator nothing
        await asyncio.sleep(_RETRY)
    raise RuntimeError("ended before the mesh's Secret could be read")


def _proxies(control: Control, ads: AdsServer) -> list[tuple[Workload, Session | None]] | None:
    if control.world is None:
        return None
    running = (w for w in control.world.workloads.values() if w.meshed and w.phase == "Running" and not w.terminating)
    return [(w, ads.session(f"{w.namespace}/{w.name}")) for w in running]


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _on_loopback(address: str) -> bool:
    host = _host(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _addresses(config: ServeConfig) -> tuple[str, str, str]:
    return config.xds_address, config.http_address, config.webhook_address


@contextlib.asynccontextmanager
async def _site(app: web.Application, address: str, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _tasks(work: list[Coroutine[None, None, None]], stopped: asyncio.Event) -> AsyncIterator[None]:
    """Run coroutines until the context ends; one that fails ends the process, which is then started anew."""
    failures: list[BaseException] = []

    def done(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            failures.append(error)
            stopped.set()

    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(done)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise failures[0]


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
