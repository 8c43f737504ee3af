"""The controller's one address: pages, parts of others, TLS that follows its files."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from coalmine.local import pki
from rollouts.api.controller import InvalidConfigError, read_config
from rollouts.api.dashboard import Dashboard, ServerTls
from rollouts.engine.cache import Cache
from rollouts.wiring.web import Web, serve_web


@pytest.fixture
async def served(unused_tcp_port_factory):
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(config=Dashboard(), cache=None, **parts):  # noqa: B008 - it cannot change
            address = f"127.0.0.1:{unused_tcp_port_factory()}"
            what = Web(
                config=config,
                kube=None,
                cache=cache or Cache(),
                session=session,
                mesh_url="http://127.0.0.1:9",
                mesh_token_file=None,
                open_windows=None,
                instance="c",
                leads=lambda: True,
                parts={f"/{name}": part for name, part in parts.items()},
            )
            await serve_web(address, what, stack)
            return address

        yield session, start


def rollout(version="1"):
    metadata = {"namespace": "shop", "name": "payment", "uid": "u", "resourceVersion": version}
    return {"metadata": metadata, "spec": {}, "status": {}}


def part():
    app = web.Application()

    async def answer(request):
        return web.Response(text=f"{request.method} taken")

    app.router.add_route("*", "/events", answer)
    return app


async def test_rollouts_come_from_the_cache_that_the_watches_feed(served):
    session, start = served
    cache = Cache()
    cache.put("rollouts", rollout())
    address = await start(cache=cache)

    async def names():
        async with session.get(f"http://{address}/api/v1/rollouts") as answer:
            return [r["name"] for r in (await answer.json())["rollouts"]]

    assert await names() == ["payment"]
    cache.drop("rollouts", "shop", "payment")
    assert await names() == []


@pytest.mark.parametrize("enabled", [True, False])
async def test_parts_of_others_have_their_own_paths_and_their_own_guards(served, enabled):
    session, start = served
    address = await start(Dashboard(enabled=enabled), slack=part())
    async with session.post(f"http://{address}/slack/events", headers={"Host": "hooks.example.com"}) as answer:
        assert (answer.status, await answer.text()) == (200, "POST taken"), "a public name is theirs to judge"
    async with session.get(f"http://{address}/slack/events") as answer:
        assert await answer.text() == "GET taken"
    async with session.get(f"http://{address}/api/v1/info") as answer:
        assert answer.status == (200 if enabled else 404)


async def test_it_is_served_over_tls_with_the_configured_certificate(served, tmp_path):
    session, start = served
    pki.ensure(tmp_path, service_address="10.0.0.1", now=datetime.now(UTC))
    files = ServerTls(cert_file=str(tmp_path / "webhook-server.crt"), key_file=str(tmp_path / "webhook-server.key"))
    address = await start(Dashboard(tls=files))
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    async with session.get(f"https://{address}/api/v1/info", ssl=trust) as answer:
        assert answer.status == 200
        assert "Strict-Transport-Security" in answer.headers
    with pytest.raises(aiohttp.ClientError):
        await session.get(f"http://{address}/api/v1/info")


@pytest.mark.parametrize(
    ("address", "words"),
    [("15091", "not HOST:PORT"), ("127.0.0.1:http", "not HOST:PORT"), ("192.0.2.1:1", "192.0.2.1:1")],
)
async def test_an_address_that_cannot_be_served_is_said(address, words):
    what = Web(
        config=Dashboard(),
        kube=None,
        cache=Cache(),
        session=None,
        mesh_url="",
        mesh_token_file=None,
        open_windows=None,
        instance="c",
        leads=lambda: True,
    )
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(ValueError, match=words):
            await serve_web(address, what, stack)


async def test_a_certificate_that_is_not_there_is_said(served, tmp_path):
    _, start = served
    files = ServerTls(cert_file=str(tmp_path / "no.crt"), key_file=str(tmp_path / "no.key"))
    with pytest.raises(ValueError, match=r"dashboard.tls: .*no.crt"):
        await start(Dashboard(tls=files))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dashboard: {hosts: ['https://x.example']}", "without scheme and port"),
        ("dashboard: {links: {Grafana: 'javascript:alert(1)'}}", "is no link"),
        ("dashboard: {anonymos: false}", "dashboard.anonymos"),
        ("dashboard: {tls: {certFile: /x}}", "dashboard.tls.keyFile"),
    ],
)
def test_a_wrong_configuration_names_the_field(tmp_path, text, words):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InvalidConfigError, match=words):
        read_config(path)
