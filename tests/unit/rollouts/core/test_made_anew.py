"""A Deployment that is deleted and created while a canary runs: nothing can hold it, and nothing can be compared with it."""

from __future__ import annotations

import pytest

from rollouts.api.names import ROLLOUT_LABEL


@pytest.mark.parametrize("image", ["shop:2", "shop:3"])
def test_a_deployment_that_was_made_anew_is_taken_as_it_is(world, image):
    world.released("shop:2")
    world.deployment = None
    world.settle(2)
    assert world.phase == "Stalled"
    world.deployment = world._deployment("payment", image, 4)
    world.stable_pods = {}
    world.settle()
    world.wait(20)

    assert (world.phase, world.weight, world.canary) == ("Healthy", 0, None)
    assert world.deployment["metadata"]["labels"][ROLLOUT_LABEL] == "payment"
    last = world.status["history"][-1]
    assert (last["outcome"], last["images"]) == ("Overridden", [image])
    assert "was deleted and made anew" in last["reason"]
