"""The controller's one address for people and their programs, on every replica: the pages, and what gates need beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from rollouts.dashboard.acting import Actions
from rollouts.dashboard.app import make_app
from rollouts.dashboard.board import Board
from rollouts.dashboard.live import Live
from rollouts.dashboard.mesh import MeshClient, polls_of
from rollouts.dashboard.pages import Pages
from rollouts.dashboard.people import People

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import aiohttp

    from rollouts.api.dashboard import Dashboard, ServerTls
    from rollouts.dashboard.releases import OpenWindows
    from rollouts.engine.cache import Cache
    from rollouts.engine.kube import Kube

__all__ = ["Web", "serve_web"]

_LOG = logging.getLogger(__name__)
_RELOAD_SECONDS: Final = 30.0
_GOODBYE_SECONDS: Final = 1.0
_LONGEST_HEADER: Final = 32_768
"""Tokens with many groups are long."""


@dataclass(frozen=True)
class Web:
    """What is served.

    Attributes:
        config: Of the pages and of TLS.
        kube: The API server, on every replica, whether it leads or not.
        cache: What the watches tell.
        session: HTTP client, for the mesh.
        mesh_url: Where the mesh is.
        mesh_token_file: What it is shown.
        open_windows: Opens the mesh's telemetry of a host.
        instance: This process's name.
        leads: Whether it decides.
        namespaces: Those that are watched; none: all.
        parts: Applications of others, by the first part of their paths, e.g. ``/slack``.
    """

    config: Dashboard
    kube: Kube
    cache: Cache
    session: aiohttp.ClientSession
    mesh_url: str
    mesh_token_file: Path | None
    open_windows: OpenWindows
    instance: str
    leads: Callable[[], bool]
    namespaces: Sequence[str] = ()
    parts: Mapping[str, web.Application] = field(default_factory=dict)


async def serve_web(address: str, served: Web, stack: contextlib.AsyncExitStack) -> None:
    """Serve it until the stack ends.

    Args:
        address: ``HOST:PORT``.
        served: What.
        stack: Ends it.

    Raises:
        ValueError: The address cannot be listened on, or the certificate cannot be read.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        raise ValueError(f"--http-address {address!r} is not HOST:PORT: write it like 127.0.0.1:15091")
    tls = await _tls(served.config.tls, stack)
    app = _dashboard(served) if served.config.enabled else web.Application()
    for prefix, part in served.parts.items():
        app.add_subapp(prefix, part)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE_SECONDS, max_field_size=_LONGEST_HEADER)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=tls).start()
    except OSError as error:
        raise ValueError(f"--http-address {address}: {error}") from None
    what = "the dashboard" if served.config.enabled else "what gates need"
    _LOG.info("%s is at %s://%s", what, "https" if tls else "http", address)


def _dashboard(served: Web) -> web.Application:
    board = Board(time.time)
    for key, rollout in served.cache.rollouts.items():
        board.seen(key, rollout)
    served.cache.listen(board.seen)
    mesh = MeshClient(served.session, served.mesh_url, served.mesh_token_file)
    polls = polls_of(mesh, board, time.time)
    people = People(served.kube, clock=time.monotonic)
    return make_app(
        served.config,
        board=board,
        live=Live(board, polls=polls, open_windows=served.open_windows, clock=time.time),
        polls=polls,
        people=people,
        actions=Actions(served.kube, people, instance=served.instance, clock=time.time),
        pages=Pages(),
        clock=time.time,
        instance=served.instance,
        leads=served.leads,
        namespaces=served.namespaces,
    )


async def _tls(config: ServerTls | None, stack: contextlib.AsyncExitStack) -> ssl.SSLContext | None:
    """Return the server's TLS, which follows the files as they are renewed."""
    if config is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    loaded = _stamp(config)
    try:
        context.load_cert_chain(config.cert_file, config.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"dashboard.tls: {config.cert_file}, {config.key_file}: {error}") from None

    async def follow(loaded: Any) -> None:
        while True:
            await asyncio.sleep(_RELOAD_SECONDS)
            try:
                if (now := _stamp(config)) != loaded:
                    context.load_cert_chain(config.cert_file, config.key_file)
                    loaded = now
            except (OSError, ssl.SSLError) as error:  # half of it is there: the next look has both
                _LOG.warning("dashboard.tls: the certificate in use stays: %s", error)

    task = asyncio.create_task(follow(loaded), name="certificate of --http-address")

    async def end() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
    return context


def _stamp(config: ServerTls) -> list[tuple[int, int]]:
    try:
        found = [Path(name).stat() for name in (config.cert_file, config.key_file)]
    except OSError as error:
        raise ValueError(f"dashboard.tls: {error}") from None
    return [(one.st_mtime_ns, one.st_ino) for one in found]
