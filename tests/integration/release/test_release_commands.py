"""The annotations by which people steer a release."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


def test_approve_abort_retry_and_promote_each_act_once(shop):
    steps = [{"setWeight": 20}, {"approval": {"message": "look at the dashboard"}}, {"pause": {}}]
    shop.open(steps=steps, analysis={"enabled": False, "minStepDuration": "1s"})
    shop.push("v2")
    shop.until(lambda: shop.status["phase"] == "AwaitingApproval")
    assert shop.weight == 20
    shop.annotate("approve")
    shop.until(lambda: shop.status["phase"] == "Paused")

    shop.annotate("abort")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert shop.weight == 0
    shop.annotate("retry")
    shop.until(lambda: shop.status["phase"] == "AwaitingApproval")
    shop.annotate("promote")
    shop.until(lambda: shop.status["phase"] == "Healthy")

    assert [h["outcome"] for h in shop.status["history"]] == ["Aborted", "Promoted"]
    assert shop.failed_by_us() == []
