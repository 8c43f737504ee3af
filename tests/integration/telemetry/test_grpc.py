"""gRPC calls whose HTTP status is 200 whatever became of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from mesh.api.names import OUTBOUND_PORT
from mesh.telemetry.counters import Host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.integration

ORDERS = Host("shop", "orders")
ERRORS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


async def place(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    """Answer with the status that the request asks for."""
    code = next(c for c in grpc.StatusCode if c.value[0] == int(request))
    if code is not grpc.StatusCode.OK:
        await context.abort(code, "as asked")
    return b"placed"


async def watch(request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
    """Send one message; the status comes after it in the trailers, or never."""
    yield b"first"
    if request == b"forever":
        await asyncio.sleep(60)
    await context.abort(next(c for c in grpc.StatusCode if c.value[0] == int(request)), "as asked")


@pytest.fixture
async def orders(pod: Any, proxy: Any, shapes: Any) -> AsyncIterator[Callable[..., Awaitable[grpc.aio.Channel]]]:
    """A channel through a sidecar to a gRPC server; without ``up`` nobody listens there."""
    stack = contextlib.AsyncExitStack()

    async def start(*, up: bool = True) -> grpc.aio.Channel:
        target = await pod("orders-a")
        if up:
            server = grpc.aio.server()
            methods = {
                "Place": grpc.unary_unary_rpc_method_handler(place),
                "Watch": grpc.unary_stream_rpc_method_handler(watch),
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", methods),))
            server.add_insecure_port(f"{target.ip}:{target.port}")
            await server.start()
            stack.push_async_callback(server.stop, 0)
        service = shapes.Service("orders", [target], http2=True)
        caller = await proxy([shapes.Host("orders", {"orders": 100})], [service])
        options = [("grpc.default_authority", "orders"), ("grpc.enable_retries", 0)]
        return await stack.enter_async_context(
            grpc.aio.insecure_channel(f"{caller.ip}:{OUTBOUND_PORT}", options=options)
        )

    yield start
    await stack.aclose()


async def counted(store: Any, requests: int) -> tuple[int, int, int]:
    """Wait until so many requests are in windows; return request errors, attempts and attempt errors."""
    end = time.monotonic() + 60
    while True:
        pods = [p for _, window in store.windows(ORDERS) for p in window.pods]
        if sum(p.requests for p in pods) >= requests:
            return (
                sum(p.request_errors for p in pods),
                sum(p.attempts for p in pods),
                sum(p.attempt_errors for p in pods),
            )
        assert time.monotonic() < end, pods
        store.tick()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("wrong", [True, False])
async def test_a_status_of_the_called_side_is_an_error(receiver, orders, wrong):
    channel = await orders()
    codes = ERRORS if wrong else set(grpc.StatusCode) - ERRORS
    for code in codes:
        assert await channel.unary_unary("/shop.Orders/Place")(str(code.value[0]).encode()).code() == code

    errors = len(codes) if wrong else 0
    assert await counted(receiver.store, len(codes)) == (errors, len(codes), errors)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.NOT_FOUND], ids=lambda c: c.name)
async def test_a_status_that_comes_after_messages_counts_too(receiver, orders, code):
    channel = await orders()
    call = channel.unary_stream("/shop.Orders/Watch")(str(code.value[0]).encode())
    with pytest.raises(grpc.aio.AioRpcError):
        [message async for message in call]

    errors = int(code in ERRORS)
    assert await counted(receiver.store, 1) == (errors, 1, errors)


async def test_a_watch_that_its_caller_ends_is_no_error(receiver, orders):
    channel = await orders()
    call = channel.unary_stream("/shop.Orders/Watch")(b"forever")
    assert await call.read() == b"first"
    call.cancel()

    assert await counted(receiver.store, 1) == (0, 1, 0)


async def test_a_pod_that_nobody_reaches_is_an_error(receiver, orders):
    channel = await orders(up=False)
    call = channel.unary_unary("/shop.Orders/Place")(b"0")
    assert await call.code() == grpc.StatusCode.UNAVAILABLE

    assert await counted(receiver.store, 1) == (1, 1, 1)
