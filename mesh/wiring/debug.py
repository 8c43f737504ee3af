"""What people may ask the control plane about itself: ``/v1/proxies``, ``/v1/graph`` and ``/v1/ejections``, read-only."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from mesh.ads.sync import short_name, status_of_type
from mesh.api.debug import Ejection, Ejections, ProxyStatus, ProxyStatuses
from mesh.telemetry.edges import KEPT
from mesh.telemetry.graph import graph
from mesh.telemetry.podnames import PodNames

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from mesh.ads.server import AdsServer
    from mesh.ir.services import Workload
    from mesh.resolve.world import World
    from mesh.telemetry.edges import Edges
    from mesh.wiring.watch import PlaintextWatch

__all__ = ["add_to_app", "ejections", "proxy_statuses"]

_WINDOW: Final = 60.0
"""Seconds of the graph where nobody says how many."""
_PARTS: Final = 4
_PAUSE: Final = 1.0
"""Seconds between two looks at the pods, so that the names of those that go are known."""


def add_to_app(
    app: web.Application,
    *,
    world: Callable[[], World | None],
    ads: AdsServer,
    edges: Edges,
    watch: PlaintextWatch,
    ejected: Callable[[], Mapping[str, Mapping[str, int]]],
) -> None:
    """Add the pages.

    Args:
        app: The application.
        world: Returns the present world.
        ads: Knows the proxies.
        edges: Knows who called whom.
        watch: Knows what was mutual TLS, and what came around the mesh.
        ejected: By proxy (``namespace/pod``): how many endpoints it has ejected now, by the Envoy cluster's name.
    """
    names = PodNames(clock=time.time)

    def learn() -> None:
        if (known := world()) is not None:
            names.learn(known)

    async def learning(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_every(_PAUSE, learn))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def proxies(_: web.Request) -> web.Response:
        return web.json_response(text=proxy_statuses(world(), ads).model_dump_json(by_alias=True))

    async def calls(request: web.Request) -> web.Response:
        seconds, found = edges.read(_seconds(request))
        learn()
        answer = graph(seconds, found, names, watch.secured(seconds), watch.around(seconds, names))
        return web.json_response(text=answer.model_dump_json(by_alias=True))

    async def out(_: web.Request) -> web.Response:
        return web.json_response(text=ejections(world(), ejected()).model_dump_json(by_alias=True))

    app.cleanup_ctx.append(learning)
    app.router.add_get("/v1/proxies", proxies)
    app.router.add_get("/v1/graph", calls)
    app.router.add_get("/v1/ejections", out)


def proxy_statuses(world: World | None, ads: AdsServer) -> ProxyStatuses:
    """Return how things stand with every pod that has a sidecar, and every proxy that is connected."""
    pods = {f"{w.namespace}/{w.name}" for w in world.workloads.values() if _runs(w)} if world else set()
    return ProxyStatuses(proxies=tuple(_status(name, ads) for name in sorted(pods | ads.connected)))


def ejections(world: World | None, ejected: Mapping[str, Mapping[str, int]]) -> Ejections:
    """Return what outlier detection has taken out right now, as each caller's sidecar sees it."""
    return Ejections(
        ejections=tuple(
            _ejection(world, proxy, cluster, count)
            for proxy, found in sorted(ejected.items())
            for cluster, count in sorted(found.items())
            if count
        )
    )


def _ejection(world: World | None, proxy: str, cluster: str, count: int) -> Ejection:
    """Return one by the name of the Envoy cluster (``mesh.ir.traffic.ClusterKey``)."""
    _, port, subset, host = cluster.split("|", 3) if cluster.count("|") >= _PARTS - 1 else ("", "", "", cluster)
    number = int(port) if port.isdigit() else 0
    name, _, rest = host.partition(".")
    namespace, _, domain = rest.partition(".")
    if not domain.startswith("svc"):
        return Ejection(proxy=proxy, namespace="", service=host, subset=subset, port=number, ejected=count)
    total = len(world.endpoints.get((namespace, name), {}).get(number, ())) if world else 0
    return Ejection(
        proxy=proxy, namespace=namespace, service=name, subset=subset, port=number, ejected=count, total=total
    )


def _runs(workload: Workload) -> bool:
    return workload.meshed and workload.phase == "Running" and not workload.terminating


def _status(name: str, ads: AdsServer) -> ProxyStatus:
    namespace, _, pod = name.partition("/")
    session = ads.session(name)
    if session is None:
        return ProxyStatus(namespace=namespace, pod=pod, connected=False)
    withheld: dict[str, dict[str, str]] = {}
    for (url, resource), message in ads.gate.withheld(name).items():
        withheld.setdefault(url, {})[resource] = message
    types = {short_name(url): status_of_type(ledger, withheld.get(url, {})) for url, ledger in session.ledgers.items()}
    return ProxyStatus(namespace=namespace, pod=pod, connected=True, build=ads.build(name), types=types)


async def _every(seconds: float, work: Callable[[], None]) -> None:
    while True:
        work()
        await asyncio.sleep(seconds)


def _seconds(request: web.Request) -> float:
    text = request.query.get("seconds", str(_WINDOW))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= KEPT:
        raise web.HTTPBadRequest(text=f"seconds={text}: write a number above 0 and up to {KEPT:.0f}\n")
    return seconds
