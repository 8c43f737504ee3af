"""The included mesh's router: what is written, and what counts as acknowledged."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.api.trafficsplit import OutlierDetection
from rollouts.api.rollout import RolloutStatus
from rollouts.core.actions import SetTraffic
from rollouts.core.observed import Subject
from rollouts.routers.coalmine import CoalmineRouter

SUBJECT = Subject("payment", "shop", "uid-1", 1, None, "", RolloutStatus())
WANTED = SetTraffic("payment", {"payment": 90, "payment-canary": 10}, OutlierDetection())


def split(generation: int = 2, **status: Any) -> dict[str, Any]:
    written = CoalmineRouter().manifest(SUBJECT, WANTED)
    written["metadata"]["generation"] = generation
    return {**written, "status": status}


def acknowledged(generation: int) -> dict[str, Any]:
    return {"generation": generation, "weights": {"payment": 90, "payment-canary": 10}, "time": "2026-01-01T00:00:00Z"}


def test_what_is_written_is_what_is_observed():
    traffic = CoalmineRouter().observe(split())
    assert (traffic.host, dict(traffic.weights), traffic.outlier_detection) == (
        WANTED.host,
        WANTED.weights,
        WANTED.outlier_detection,
    )


@pytest.mark.parametrize(("generation", "counts"), [(2, True), (1, False)])
def test_only_an_acknowledgement_of_this_very_generation_counts(generation, counts):
    traffic = CoalmineRouter().observe(
        split(observedGeneration=2, acknowledged=acknowledged(generation), proxies={"affected": 3, "acknowledged": 3})
    )
    assert traffic.acknowledged is counts
    assert traffic.proxies == "3/3"


def test_a_proxys_own_words_are_told_when_it_rejects_the_split():
    rejections = [{"proxy": "shop/frontend-1", "message": "no such cluster", "generation": 2}]
    assert (
        "shop/frontend-1 rejected it: no such cluster"
        in CoalmineRouter().observe(split(observedGeneration=2, rejections=rejections)).message
    )


def test_missing_proxies_are_named():
    status = {"observedGeneration": 2, "proxies": {"affected": 3, "acknowledged": 2, "missing": ["shop/frontend-2"]}}
    assert "shop/frontend-2" in CoalmineRouter().observe(split(**status)).message


def test_a_mesh_that_does_not_look_is_told():
    assert "control plane" in CoalmineRouter().observe(split(observedGeneration=1)).message
