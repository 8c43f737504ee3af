"""What probes and lifecycle hooks do: an HTTP request, a TCP connection, a command, a gRPC health check, a sleep."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from coalmine.local.node.processes import launch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ActionContext", "ActionFailedError", "perform"]

_SHOWN_BYTES: Final = 512
_SERVING: Final = b"\x08\x01"


class ActionFailedError(Exception):
    """A probe's or hook's answer was no, or none came."""


@dataclass(frozen=True, kw_only=True)
class ActionContext:
    """The container that an action is done for.

    Attributes:
        container: Its manifest; ports by name are looked up there.
        address: Where requests go when the action names no host.
        environment: Environment of commands.
        folder: Their working folder.
        output: File for a command's output.
        session: HTTP client.
    """

    container: Mapping[str, Any]
    address: str
    environment: Mapping[str, str]
    folder: Path
    output: Path
    session: aiohttp.ClientSession


async def perform(handler: Mapping[str, Any], context: ActionContext, *, seconds: float | None) -> None:
    """Do one action.

    Args:
        handler: A probe or lifecycle handler of the Kubernetes API.
        context: The container.
        seconds: Time allowed; None for no limit.

    Raises:
        ActionFailedError: It failed, took too long, or is of no known kind.
    """
    try:
        async with asyncio.timeout(seconds):
            await _dispatch(handler, context)
    except TimeoutError:
        raise ActionFailedError(f"no answer within {seconds} s") from None


async def _dispatch(handler: Mapping[str, Any], context: ActionContext) -> None:
    if action := handler.get("httpGet"):
        await _http(action, context)
    elif action := handler.get("tcpSocket"):
        await _tcp(action, context)
    elif action := handler.get("exec"):
        await _exec(action, context)
    elif action := handler.get("grpc"):
        await _grpc(action, context)
    elif action := handler.get("sleep"):
        await asyncio.sleep(action["seconds"])
    else:
        raise ActionFailedError(f"handler {sorted(handler)} is none of httpGet, tcpSocket, exec, grpc, sleep")


def _port(port: int | str, container: Mapping[str, Any]) -> int:
    if isinstance(port, int):
        return port
    named = {entry.get("name"): entry["containerPort"] for entry in container.get("ports") or ()}
    if port not in named:
        raise ActionFailedError(f"port {port!r} is not the name of a port of container {container['name']!r}")
    return int(named[port])


async def _http(action: Mapping[str, Any], context: ActionContext) -> None:
    scheme = (action.get("scheme") or "HTTP").lower()
    host = action.get("host") or context.address
    path = action.get("path") or "/"
    url = f"{scheme}://{host}:{_port(action['port'], context.container)}/{path.removeprefix('/')}"
    headers = {"User-Agent": "kube-probe/coalmine", "Accept": "*/*"}
    headers |= {entry["name"]: entry["value"] for entry in action.get("httpHeaders") or ()}
    try:
        # A certificate is not checked, and a redirect is a success: as a kubelet does.
        async with context.session.get(url, headers=headers, ssl=False, allow_redirects=False) as response:
            if not 200 <= response.status < 400:  # noqa: PLR2004 - success, as Kubernetes defines it
                raise ActionFailedError(f"HTTP probe failed with statuscode: {response.status}")
    except (aiohttp.ClientError, OSError) as error:
        raise ActionFailedError(f'Get "{url}": {error}') from error


async def _tcp(action: Mapping[str, Any], context: ActionContext) -> None:
    host, port = action.get("host") or context.address, _port(action["port"], context.container)
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise ActionFailedError(f"dial tcp {host}:{port}: {error}") from error
    writer.close()


async def _exec(action: Mapping[str, Any], context: ActionContext) -> None:
    try:
        process = launch(
            action["command"],
            environment=context.environment,
            folder=context.folder,
            output=context.output,
            truncate=True,
        )
    except OSError as error:
        raise ActionFailedError(f"cannot run {action['command'][0]!r}: {error}") from error
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.send(signal.SIGKILL)
        await process.wait()
        raise
    if code != 0:
        shown = context.output.read_bytes()[:_SHOWN_BYTES].decode(errors="replace").strip()
        raise ActionFailedError(f"command {action['command'][0]!r} exited with {code}: {shown}")


async def _grpc(action: Mapping[str, Any], context: ActionContext) -> None:
    import grpc.aio  # noqa: PLC0415 - most nodes never need it, and it starts threads

    service = (action.get("service") or "").encode()[:127]
    # grpc.health.v1.HealthCheckRequest has one field, number 1, a string; the answer's field 1 is 1 for SERVING.
    request = b"\x0a" + len(service).to_bytes(1, "big") + service if service else b""
    async with grpc.aio.insecure_channel(f"{context.address}:{action['port']}") as channel:
        try:
            answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(request)
        except grpc.aio.AioRpcError as error:
            raise ActionFailedError(f"gRPC health check: {error.code().name}: {error.details()}") from error
    if answer != _SERVING:
        raise ActionFailedError(f"gRPC health check of service {service.decode()!r}: not serving")
