"""How Slack is put together from the configuration."""

from __future__ import annotations

import pytest

from rollouts.api.controller import ControllerConfig
from rollouts.engine.cache import Cache
from rollouts.engine.kube import Kube
from rollouts.wiring.slack import SlackParts


def parts(**slack):
    config = {"slack": {"tokenFile": "/t", "channel": "C0RELEASES", **slack}} if slack else {}
    return SlackParts(ControllerConfig.model_validate(config), Kube(None), Cache(), (), list)


async def test_nothing_is_there_where_nothing_is_configured():
    none = parts()
    assert none.sinks == ()
    assert none.parts("127.0.0.1:1") == {}
    await none.lead()
    await none.close()


async def test_signed_requests_need_an_address():
    signed = parts(signingSecretFile="/s")
    assert list(signed.parts("127.0.0.1:1")) == ["/slack"]
    with pytest.raises(
        ValueError, match=r"slack\.signingSecretFile: .* add --http-address, or use slack\.appTokenFile"
    ):
        signed.parts(None)
    assert [sink.name for sink in signed.sinks] == ["slack"]
    await signed.close()
