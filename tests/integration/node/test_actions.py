"""Probes and hooks against real servers on loopback."""

from __future__ import annotations

import os
import socket

import aiohttp
import grpc.aio
import pytest
from aiohttp import web

from coalmine.local.node.actions import ActionContext, ActionFailedError, perform

pytestmark = pytest.mark.integration

ADDRESS = "127.0.0.1"


@pytest.fixture
async def context(tmp_path):
    async with aiohttp.ClientSession() as session:
        yield ActionContext(
            container={"name": "c", "ports": []},
            address=ADDRESS,
            environment=dict(os.environ),
            folder=tmp_path,
            output=tmp_path / "out",
            session=session,
        )


@pytest.fixture
async def site():
    async def answer(request):
        code = int(request.match_info["code"])
        wanted = request.headers.get("X-Want", "")
        return web.Response(
            status=code if wanted in {"", request.headers["Host"]} else 400, headers={"Location": "/500"}
        )

    app = web.Application()
    app.router.add_get("/{code}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
def closed_port():
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        yield free.getsockname()[1]


@pytest.mark.parametrize("code", [200, 204, 302])
async def test_an_http_answer_below_400_is_a_success(context, site, code):
    await perform({"httpGet": {"path": f"/{code}", "port": site}}, context, seconds=5)


@pytest.mark.parametrize("code", [404, 503])
async def test_another_http_answer_is_a_failure(context, site, code):
    with pytest.raises(ActionFailedError, match=f"statuscode: {code}"):
        await perform({"httpGet": {"path": f"/{code}", "port": site}}, context, seconds=5)


async def test_ports_by_name_and_headers(context, site):
    context.container["ports"].append({"name": "http", "containerPort": site})
    headers = [{"name": "X-Want", "value": "shop"}, {"name": "Host", "value": "shop"}]
    await perform({"httpGet": {"path": "200", "port": "http", "httpHeaders": headers}}, context, seconds=5)
    with pytest.raises(ActionFailedError, match="'admin' is not the name of a port of container 'c'"):
        await perform({"tcpSocket": {"port": "admin"}}, context, seconds=5)


async def test_tcp(context, site, closed_port):
    await perform({"tcpSocket": {"port": site}}, context, seconds=5)
    for handler in ({"tcpSocket": {"port": closed_port}}, {"httpGet": {"port": closed_port}}):
        with pytest.raises(ActionFailedError, match=rf"127.0.0.1:{closed_port}"):
            await perform(handler, context, seconds=5)


async def test_commands(context):
    await perform({"exec": {"command": ["true"]}}, context, seconds=5)
    with pytest.raises(ActionFailedError, match="'sh' exited with 3: not well"):
        await perform({"exec": {"command": ["sh", "-c", "echo not well; exit 3"]}}, context, seconds=5)
    with pytest.raises(ActionFailedError, match="cannot run 'no-such-program'"):
        await perform({"exec": {"command": ["no-such-program"]}}, context, seconds=5)


async def test_a_command_that_takes_too_long_is_ended(context):
    with pytest.raises(ActionFailedError, match=r"no answer within 0.2 s"):
        await perform({"exec": {"command": ["sh", "-c", "sleep 600; echo late"]}}, context, seconds=0.2)
    assert context.output.read_text() == ""


@pytest.mark.parametrize(("answer", "healthy"), [(b"\x08\x01", True), (b"\x08\x02", False), (b"", False)])
async def test_grpc_health(context, answer, healthy):
    asked = []

    async def check(request, _):
        asked.append(request)
        return answer

    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(f"{ADDRESS}:0")
    await server.start()
    try:
        probe = {"grpc": {"port": port, "service": "shop"}}
        if healthy:
            await perform(probe, context, seconds=5)
        else:
            with pytest.raises(ActionFailedError, match="not serving"):
                await perform(probe, context, seconds=5)
    finally:
        await server.stop(None)
    assert asked == [b"\x0a\x04shop"]


async def test_sleep_and_what_is_unknown(context):
    await perform({"sleep": {"seconds": 0}}, context, seconds=5)
    with pytest.raises(ActionFailedError, match="none of httpGet, tcpSocket, exec, grpc, sleep"):
        await perform({"carrierPigeon": {}}, context, seconds=5)
