"""Header routes, mirror and affinity survive the way through a TrafficSplit."""

from __future__ import annotations

import json

import pytest

from mesh.api.trafficsplit import OutlierDetection
from rollouts.api.matching import RequestMatch
from rollouts.api.rollout import RolloutStatus, SessionAffinity
from rollouts.core.actions import SetTraffic
from rollouts.core.observed import Subject
from rollouts.core.shape import PLAIN, Mirror, Route, Shape
from rollouts.routers.coalmine import CoalmineRouter

SUBJECT = Subject("payment", "shop", "uid", 1, None, "", RolloutStatus())
MATCHES = tuple(
    RequestMatch.model_validate(match)
    for match in (
        {"headerName": "x-tester", "headerValue": {"exact": "yes"}},
        {"headerName": "X-Tester", "headerValue": {"prefix": "t-"}},
        {"cookieName": "beta", "cookieValue": {"regex": "on|yes"}},
    )
)
SHAPES = [
    PLAIN,
    Shape(routes=(Route("testers", MATCHES, "payment-canary"), Route("b", MATCHES[:1], "payment-canary"))),
    Shape(mirror=Mirror(20, (), "payment-canary")),
    Shape(mirror=Mirror(100, MATCHES, "payment-canary"), affinity=SessionAffinity()),
    Shape(affinity=SessionAffinity(cookie="side", max_age=60.0)),
]


def stored(shape):
    wanted = SetTraffic("payment", {"payment": 100, "payment-canary": 0}, OutlierDetection(), shape)
    made = json.loads(json.dumps(CoalmineRouter().manifest(SUBJECT, wanted)))
    made["metadata"]["generation"] = 1
    return made


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_is_read_back(shape):
    assert CoalmineRouter().observe(stored(shape)).shape == shape


def test_nothing_but_weights_is_written_as_nothing_else():
    assert set(stored(PLAIN)["spec"]) == {"service", "backends", "outlierDetection"}


def test_what_somebody_else_wrote_differs_and_is_mended():
    made = stored(SHAPES[1])
    made["spec"]["routes"][0]["match"][0]["headers"]["x-more"] = {}
    assert CoalmineRouter().observe(made).shape != SHAPES[1]
