"""What the API server says of a token, and for how long it counts."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.proxy.callers import RefusedError
from mesh.wiring.kube import KubeError
from mesh.wiring.tokens import Tokens

POD = "authentication.kubernetes.io/pod-name"
VALID = {
    "authenticated": True,
    "audiences": ["coalmine"],
    "user": {"username": "system:serviceaccount:shop:caller", "extra": {POD: ["caller-1"]}},
}


class Server:
    """The API server's answers to TokenReviews; what it really says is in the integration tests."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    async def ask(self, kind: Any, spec: dict[str, Any]) -> dict[str, Any]:
        assert (kind.kind, spec["audiences"]) == ("TokenReview", ["coalmine"])
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def tokens(answer: Any) -> tuple[Tokens, Server, Clock]:
    server, clock = Server(answer), Clock()
    return Tokens(server, clock=clock), server, clock  # type: ignore[arg-type]


async def test_it_is_asked_once_a_minute():
    found, server, clock = tokens(VALID)
    for clock.now in (0.0, 30.0, 59.0):
        await found.admit("t", "shop/caller-1")
    assert server.asked == 1
    clock.now = 61.0
    await found.admit("t", "shop/caller-1")
    assert server.asked == 2


async def test_one_that_is_not_valid_may_become_so_within_seconds():
    found, server, clock = tokens({"authenticated": False})
    for clock.now in (0.0, 4.0):
        with pytest.raises(RefusedError):
            await found.admit("t", "shop/caller-1")
    assert server.asked == 1
    server.answer, clock.now = VALID, 6.0
    await found.admit("t", "shop/caller-1")


async def test_an_outage_of_the_api_server_is_not_ours():
    found, server, clock = tokens(VALID)
    await found.admit("t", "shop/caller-1")
    server.answer, clock.now = KubeError(0, "refused"), 600.0
    await found.admit("t", "shop/caller-1")
    with pytest.raises(RefusedError, match="cannot be checked"):
        await found.admit("another", "shop/caller-1")
    clock.now = 3700.0
    with pytest.raises(RefusedError, match="cannot be checked"):
        await found.admit("t", "shop/caller-1")


@pytest.mark.parametrize(
    ("answer", "proxy", "known"),
    [
        ({}, "shop/caller-1", False),
        ({**VALID, "audiences": ["other"]}, "shop/caller-1", False),
        ({**VALID, "audiences": None}, "shop/caller-1", False),
        (VALID, "shop/payment-1", True),
        (VALID, "other/caller-1", True),
        ({**VALID, "user": {"username": "system:serviceaccount:shop:caller"}}, "shop/caller-1", True),
        ({**VALID, "user": {"username": "shop:caller", "extra": {POD: ["caller-1"]}}}, "shop/caller-1", True),
    ],
)
async def test_everybody_else_is_refused(answer, proxy, known):
    found, _, _ = tokens(answer)
    with pytest.raises(RefusedError) as caught:
        await found.admit("t", proxy)
    assert caught.value.known is known


async def test_no_token_is_not_even_asked_about():
    found, server, _ = tokens(VALID)
    with pytest.raises(RefusedError, match="shows no token"):
        await found.admit("", "shop/caller-1")
    assert server.asked == 0
