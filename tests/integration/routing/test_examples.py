"""The routing scenarios of service-mesh tutorials, as ``examples/mesh`` has them."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "examples" / "mesh"


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.yaml").read_text()


async def test_a_tenth_goes_to_v2(make_mesh):
    mesh = await make_mesh(example("split-90-10-by-subset"))
    seen = collections.Counter([(await mesh.said())["version"] for _ in range(2000)])
    assert set(seen) == {"v1", "v2"}
    assert 130 <= seen["v2"] <= 270  # 200 expected; five standard deviations


async def test_a_tester_gets_v2_and_others_v1(make_mesh):
    mesh = await make_mesh(example("header-to-v2"))
    for _ in range(20):
        assert (await mesh.said(end_user="jason"))["version"] == "v2"
        assert (await mesh.said(end_user="jasonx"))["version"] == "v1"
        assert (await mesh.said())["version"] == "v1"


async def test_failures_are_tried_again_and_the_end_is_a_timeout(make_mesh):
    mesh = await make_mesh(example("timeout-and-retries"))
    said = await mesh.said(x_name="once", x_fail_first="1")
    assert said["service"] == "payment"
    assert mesh.tries["once"] == 2
    status, _, body = await mesh.ask(x_name="never", x_hang="yes")
    assert (status, body) == (504, "upstream request timeout")
    assert 2 <= mesh.tries["never"] <= 4


async def test_faults_are_for_testers_only(make_mesh):
    mesh = await make_mesh(example("fault-injection"))
    status, _, body = await mesh.ask(x_test="broken", x_name="broken")
    assert (status, body) == (503, "fault filter abort")
    assert mesh.tries["broken"] == 0
    await mesh.said(x_test="late")
    assert await mesh.stat("http.outbound.fault.delays_injected") == 1
    await mesh.said()
    assert await mesh.stat("http.outbound.fault.delays_injected") == 1
