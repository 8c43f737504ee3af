"""The part of the kubelet's API that the apiserver needs for ``kubectl logs``."""

from __future__ import annotations

import contextlib
import ssl
import time
from typing import TYPE_CHECKING

from aiohttp import web

from coalmine.local.node.containers import parse_time
from coalmine.local.node.logs import LogOptions, read_log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coalmine.local.node.config import NodeConfig
    from coalmine.local.node.pod import PodWorker

__all__ = ["KubeletServer"]


class KubeletServer:
    """Serves logs over TLS on 127.0.0.1."""

    def __init__(self, config: NodeConfig, find: Callable[[str, str], PodWorker | None]) -> None:
        """Prepare.

        Args:
            config: Port, certificate and the CA that clients must belong to.
            find: Returns the pod of a namespace and name.
        """
        self._config = config
        self._find = find
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Start to serve; return the port."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        for verb in ("exec", "attach", "portForward", "run"):
            app.router.add_route("*", f"/{verb}/{{rest:.*}}", self._not_offered)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._config.port, ssl_context=self._tls())
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._config.tls_cert, self._config.tls_key)
        if self._config.client_ca is not None:
            context.load_verify_locations(self._config.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _not_offered(self, request: web.Request) -> web.Response:
        verb = request.path.split("/")[1]
        text = f"the local node does not offer {verb}: pods are processes of this machine, reach them there"
        return web.Response(status=501, text=text)

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        pod = self._find(names["namespace"], names["pod"])
        container = pod.containers.get(names["container"]) if pod else None
        if container is None:
            text = f"container {names['container']!r} of pod {names['namespace']}/{names['pod']} is not on this node"
            return web.Response(status=404, text=text)
        try:
            options = _options(request.query)
        except ValueError as error:
            return web.Response(status=400, text=f"log options: {error}")
        previous = request.query.get("previous") == "true"
        log = container.previous_log if previous else container.log
        if not log.exists():
            what = "previous terminated container" if previous else "container"
            state = "not found" if previous else "is waiting to start"
            text = f'{what} "{container.name}" in pod "{names["pod"]}" {state}'
            return web.Response(status=400, text=text)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)

        def ended() -> bool:
            # A follower who went away is noticed here: nothing is written to it while the container is silent.
            gone = request.transport is None or request.transport.is_closing()
            return gone or container.log != log or container.process is None

        with contextlib.suppress(ConnectionResetError):  # the reader went away
            async for piece in read_log(log, options, ended):
                await response.write(piece)
            await response.write_eof()
        return response


def _options(query: Mapping[str, str]) -> LogOptions:
    since = None
    if "sinceSeconds" in query:
        since = time.time() - int(query["sinceSeconds"])
    elif "sinceTime" in query:
        since = parse_time(query["sinceTime"]).timestamp()
    return LogOptions(
        follow=query.get("follow") == "true",
        tail=int(query["tailLines"]) if "tailLines" in query else None,
        since=since,
        timestamps=query.get("timestamps") == "true",
        limit=int(query["limitBytes"]) if "limitBytes" in query else None,
    )
