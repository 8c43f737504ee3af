"""Secret values: read when needed, and what is wrong said with the fix."""

from __future__ import annotations

import base64

import pytest

from analysis.providers.base import ConfigurationError, UnavailableError
from rollouts.engine.kube import KubeError
from rollouts.engine.secrets import secret_reader


class Kube:
    def __init__(self, answer):
        self.answer = answer

    async def request(self, method, path):
        assert (method, path) == ("GET", "/api/v1/namespaces/shop/secrets/datadog")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def reading(answer, key="apiKey"):
    return secret_reader(Kube(answer), "shop")("datadog", key)


async def test_a_value_is_decoded():
    assert await reading({"data": {"apiKey": base64.b64encode("schlüssel".encode()).decode()}}) == "schlüssel"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (None, ConfigurationError, "there is no Secret datadog in namespace shop"),
        ({"data": {"b": "", "a": ""}}, ConfigurationError, r"has no key 'apiKey' \(it has a, b\)"),
        ({"data": {"apiKey": "/w=="}}, ConfigurationError, "key 'apiKey' is not text"),
        (KubeError(403, "Forbidden", "no"), ConfigurationError, "bind ClusterRole coalmine-controller-secrets"),
        (KubeError(422, "Invalid", "bad name"), ConfigurationError, "bad name"),
        (KubeError(503, "", "starting"), UnavailableError, "starting"),
        (TimeoutError(), UnavailableError, "TimeoutError"),
    ],
)
async def test_what_is_wrong_is_said_with_the_fix(answer, kind, words):
    with pytest.raises(kind, match=words):
        await reading(answer)
