"""What a controller for some namespaces needs of an administrator, on the real API server."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from rollouts.api.admission import HOLD_NAME
from rollouts.cli import controller
from rollouts.engine.scope import check_hold, nothing_to_release, sees_cluster_templates

pytestmark = pytest.mark.integration


async def test_it_says_what_to_apply_where_the_hold_is_missing_and_is_content_when_it_is_there(api, uninstalled, run):
    with pytest.raises(
        ValueError, match=f"there is no mutatingadmissionpolicies {HOLD_NAME}.*coalmine controller policy --version v1 "
    ):
        await check_hold(api, "policy")
    with pytest.raises(ValueError, match=f"there is no mutatingwebhookconfigurations {HOLD_NAME}"):
        await check_hold(api, "webhook")
    printed = CliRunner().invoke(controller, ["policy"])
    assert printed.exit_code == 0
    await run("apply", "--server-side", "-f", "-", stdin=printed.output)
    await check_hold(api, "auto")


async def test_what_is_for_the_whole_cluster_is_seen_by_who_may(api, namespace):
    assert await sees_cluster_templates(api, ())
    assert await sees_cluster_templates(api, (namespace,))
    assert await nothing_to_release(api, (namespace,))
    assert not await nothing_to_release(api, ())
