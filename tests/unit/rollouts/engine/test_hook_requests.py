"""What is sent for a hook, signed as Standard Webhooks says, and what each answer means; over a real socket."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from analysis.providers.base import ConfigurationError
from rollouts.api.hooks import Hook, Point
from rollouts.core.hook_runs import HookOrder, HookRun
from rollouts.engine.hook_requests import body_of, pause_after, prepare, send, signature

NOW = 1_800_000_000.7
TOKEN = "opensesame"
# The example of standardwebhooks.com and of every library that speaks it.
PUBLISHED = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    1614265330,
    b'{"test": 2432232314}',
)


def order(url, **http):
    hook = Hook.model_validate({"name": "gate", "at": "BeforeRollout", "http": {"url": url, **http}})
    run = HookRun(key="k" * 40, name="gate", at=Point.BEFORE_ROLLOUT, place="start", began=1.0, since=2.0)
    return HookOrder(run, hook, {"name": "payment", "images": ["shop:2"], "metadata": {"ö": "ü"}})


def answering(status, text="", **headers):
    async def answer(_request):
        return web.Response(status=status, text=text, headers=headers)

    return answer


async def read(name, key):
    return {"signing": PUBLISHED[0] + "\n", "token": TOKEN, "short": "whsec_c2hvcnQ=", "text": "not base64!"}[key]


async def ask(url, **http):
    wanted = order(url, **http)
    async with aiohttp.ClientSession() as session:
        return await send(session, await prepare(wanted, wanted.hook.http, read, NOW), NOW)


def test_the_signature_is_that_of_the_published_example():
    assert signature(*PUBLISHED) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(PUBLISHED[0].removeprefix("whsec_"), *PUBLISHED[1:]) == signature(*PUBLISHED)


@pytest.mark.parametrize("length", [24, 25, 26, 32])
@pytest.mark.parametrize("padding", ["", "="])
def test_the_signature_is_that_of_the_reference_library(length, padding):
    secret = "whsec_" + base64.b64encode(bytes(range(length))).decode().rstrip("=") + padding * (-length % 3)
    body = body_of({"name": "payment", "metadata": {"ö": "ü"}})
    theirs = Webhook(secret).sign("key", dt.datetime.fromtimestamp(1_800_000_000, dt.UTC), body.decode())
    assert signature(secret, "key", 1_800_000_000, body) == theirs


async def test_it_sends_json_with_the_key_and_no_signature_without_a_secret(service):
    async with service(answering(204)) as (url, asked):
        answer = await ask(f"{url}/open?now=yes")
    assert answer.passed
    ((request, body),) = asked
    assert (request.method, request.path_qs) == ("POST", "/open?now=yes")
    assert request.headers["Idempotency-Key"] == "k" * 40
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(body) == order(url).event
    assert body == body_of(order(url).event), "the same bytes with each try"
    assert not [name for name in request.headers if name.lower().startswith("webhook-")]


async def test_a_secret_signs_the_key_the_time_and_the_body(service):
    async with service(answering(200)) as (url, asked):
        await ask(url, secretRef={"name": "hooks", "key": "signing"})
    ((request, body),) = asked
    assert (request.headers["webhook-id"], request.headers["webhook-timestamp"]) == ("k" * 40, "1800000000")
    assert request.headers["webhook-signature"] == signature(PUBLISHED[0], "k" * 40, 1_800_000_000, body)


async def test_headers_may_come_from_secrets_and_a_get_has_no_body(service):
    headers = [
        {"key": "Authorization", "secretKeyRef": {"name": "hooks", "key": "token"}},
        {"key": "X-Team", "value": "shop"},
    ]
    async with service(answering(200)) as (url, asked):
        await ask(url, method="GET", headers=headers)
    ((request, body),) = asked
    assert (request.headers["Authorization"], request.headers["X-Team"], body) == (TOKEN, "shop", b"")
    assert "Content-Type" not in request.headers


@pytest.mark.parametrize(
    ("status", "passed", "definite"),
    [
        (200, True, True), (202, True, True), (301, False, True), (400, False, True), (401, False, True), (403, False, True),
        (404, False, True), (409, False, True), (408, False, False), (425, False, False), (429, False, False),
        (500, False, False), (503, False, False), (599, False, False),
    ],
)  # fmt: skip
async def test_what_an_answer_means(service, status, passed, definite):
    async with service(answering(status, "closed for stocktaking")) as (url, _asked):
        answer = await ask(f"{url}/open?token=abc")
    assert (answer.passed, answer.definite) == (passed, definite)
    assert "token=abc" not in answer.words
    assert ("closed for stocktaking" in answer.words) is (status != 301)


async def test_a_redirect_is_not_followed_and_names_the_address(service):
    async with service(answering(307, Location="https://elsewhere/open?x=1")) as (url, asked):
        answer = await ask(url)
    assert len(asked) == 1
    assert answer.words.endswith("redirects to https://elsewhere/open: write that as http.url")


async def test_a_service_says_for_how_long_it_wants_to_be_left_alone(service):
    async with service(answering(503, **{"Retry-After": "17"})) as (url, _asked):
        assert (await ask(url)).pause == 17


async def test_a_secret_that_a_service_repeats_is_not_told(service):
    headers = [{"key": "Authorization", "secretKeyRef": {"name": "hooks", "key": "token"}}]
    async with service(answering(403, f"bad token {TOKEN}")) as (url, _asked):
        answer = await ask(url, headers=headers)
    assert TOKEN not in answer.words
    assert "bad token" in answer.words


async def test_a_connection_that_breaks_and_none_at_all_may_pass(service):
    async def broken(request):
        request.transport.abort()
        return web.Response()

    async with service(broken) as (url, _asked):
        answer = await ask(url)
    assert (answer.passed, answer.definite) == (False, False)
    answer = await ask(url)
    assert (answer.passed, answer.definite) == (False, False)
    assert f"{url} cannot be reached" in answer.words


async def test_one_that_does_not_answer_in_time_may_pass(service):
    gone = asyncio.Event()

    async def late(_request):
        await gone.wait()
        return web.Response()

    async with service(late) as (url, _asked):
        answer = await ask(url, timeout="50ms")
        gone.set()
    assert (answer.passed, answer.definite) == (False, False)
    assert answer.words.endswith("did not answer within 0.05 s")


@pytest.mark.parametrize("key", ["short", "text"])
async def test_a_signing_key_that_is_none_is_refused_before_anything_is_sent(service, key):
    async with service(answering(200)) as (url, asked):
        with pytest.raises(ConfigurationError, match=r"http\.secretRef holds no signing key: write whsec_"):
            await ask(url, secretRef={"name": "hooks", "key": key})
    assert asked == []


async def test_a_large_answer_is_not_read_to_its_end(service):
    async with service(answering(200, base64.b64encode(b"x" * 3_000_000).decode())) as (url, _asked):
        answer = await ask(url)
    assert answer.passed
    assert len(answer.words) < 400


def test_pauses_grow_to_half_a_minute():
    assert [pause_after(n) for n in (1, 2, 3, 4, 9)] == [1, 2, 4, 8, 30]
