"""Key sets over HTTP: fetched, found by OpenID configuration, refreshed, and kept while their issuer is away."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from mesh.api.requestauthentication import JwtRule
from mesh.resolve.keysets import usable_keys
from mesh.wiring.keys import KeyFetcher, KeyTimes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.integration

QUICK = KeyTimes(refresh=0.05, first_retry=0.05, longest_retry=0.1)


def keys(name: str) -> str:
    return json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": name}]})


class Issuer:
    """Answers with what it is told to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        status, text = self.answers.get(request.path, (404, ""))
        return web.Response(status=status, text=text)


@pytest.fixture
async def issuer(free_port: Callable[[], int]) -> AsyncIterator[Issuer]:
    port = free_port()
    made = Issuer(f"http://127.0.0.1:{port}")
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield made
    await runner.cleanup()


class Fetching:
    """A fetcher that runs, and its changes."""

    def __init__(self) -> None:
        self.changes = asyncio.Event()
        self.fetcher = KeyFetcher(self.changes.set, QUICK)
        self.task = asyncio.create_task(self.fetcher.run())

    async def becomes(self, right: Callable[[KeyFetcher], Any]) -> None:
        async with asyncio.timeout(120):
            while not right(self.fetcher):
                await self.changes.wait()
                self.changes.clear()


@pytest.fixture
async def fetching() -> AsyncIterator[Fetching]:
    made = Fetching()
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


def rule(**fields: Any) -> JwtRule:
    return JwtRule.model_validate({"issuer": "me", "timeout": "2s", **fields})


async def test_keys_are_fetched_refreshed_and_kept_while_the_issuer_is_away(issuer, fetching):
    url = f"{issuer.url}/keys"
    issuer.answers["/keys"] = (200, keys("first"))
    fetching.fetcher.want({url: rule(jwksUri=url)})
    await fetching.fetcher.tried()
    assert fetching.fetcher.keys == {url: usable_keys(keys("first"))}
    issuer.answers["/keys"] = (200, keys("second"))
    await fetching.becomes(lambda f: f.keys[url] == usable_keys(keys("second")))
    issuer.answers["/keys"] = (503, "")
    await fetching.becomes(lambda f: f.errors)
    assert fetching.fetcher.errors == {url: f"{url} answers with status 503"}
    assert fetching.fetcher.keys == {url: usable_keys(keys("second"))}
    issuer.answers["/keys"] = (200, keys("third"))
    await fetching.becomes(lambda f: not f.errors and f.keys[url] == usable_keys(keys("third")))


async def test_without_a_url_the_issuers_openid_configuration_names_one(issuer, fetching):
    issuer.answers["/.well-known/openid-configuration"] = (200, json.dumps({"jwks_uri": f"{issuer.url}/certs"}))
    issuer.answers["/certs"] = (200, keys("a"))
    fetching.fetcher.want({issuer.url: rule(issuer=issuer.url)})
    await fetching.fetcher.tried()
    assert fetching.fetcher.keys == {issuer.url: usable_keys(keys("a"))}


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (200, "no keys", "answers with no key that can be used"),
        (200, '{"keys": []}', "answers with no key that can be used"),
        (404, "", "answers with status 404"),
        (200, " " * (1024 * 1024 + 1), "answers with more than 1 MiB"),
    ],
)
async def test_what_is_no_key_set_is_an_error(issuer, fetching, status, text, said):
    url = f"{issuer.url}/keys"
    issuer.answers["/keys"] = (status, text)
    fetching.fetcher.want({url: rule(jwksUri=url)})
    await fetching.fetcher.tried()
    assert (fetching.fetcher.keys, fetching.fetcher.errors) == ({}, {url: f"{url} {said}"})


async def test_who_does_not_answer_is_an_error_and_nobody_waits_for_him(free_port, fetching):
    gone = f"http://127.0.0.1:{free_port()}/keys"
    fetching.fetcher.want({gone: rule(jwksUri=gone), "me": rule()})
    await fetching.fetcher.tried()
    assert set(fetching.fetcher.errors) == {gone, "me"}
    assert fetching.fetcher.errors["me"].startswith("issuer me is not a URL")


async def test_what_nobody_wants_any_more_is_forgotten(issuer, fetching):
    url = f"{issuer.url}/keys"
    issuer.answers["/keys"] = (200, keys("a"))
    fetching.fetcher.want({url: rule(jwksUri=url)})
    await fetching.fetcher.tried()
    other = f"{issuer.url}/other"
    fetching.fetcher.want({other: rule(jwksUri=other)})
    await fetching.becomes(lambda f: f.errors.keys() == {other})
    assert fetching.fetcher.keys == {}
    del issuer.asked[:]
    async with asyncio.timeout(120):
        while issuer.asked.count("/other") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "/keys" not in issuer.asked
