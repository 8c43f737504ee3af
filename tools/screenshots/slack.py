"""Takes the picture of a release in Slack: what the controller sent to the double of Slack, in a browser.

    python tools/screenshots/slack.py [docs/images/slack.png]

Everything in it goes the way it goes in a controller: transitions, the sink, the Web API over a socket.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from blockkit import channel_page
from playwright.async_api import async_playwright

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from doubles.slack import SlackDouble  # noqa: E402 - the tests' folder is no package
from doubles.slack.server import BOT_TOKEN  # noqa: E402

from rollouts.api.slack import Slack  # noqa: E402
from rollouts.notify.base import Transition  # noqa: E402
from rollouts.notify.slack import SlackSink  # noqa: E402
from rollouts.notify.slack_client import SlackClient  # noqa: E402

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["render"]

BEGAN: Final = 1_763_716_980.0
NAMES: Final = {"U0ANN": "ann", "U0BOB": "bob", "S0SRE": "oncall"}
QUESTION: Final = {
    "gate": "step-2",
    "place": "step 2 of 4",
    "message": "Does the till still ring?",
    "restricted": True,
    "approvers": {"slackUsers": ["U0BOB"], "slackGroups": ["S0SRE"]},
    "required": 2,
    "missing": 1,
    "until": "2025-11-21T13:24:40Z",
    "decisions": [
        {"by": "U0ANN", "via": "Slack", "verdict": "Approve", "comment": "checked three orders", "groups": ["S0SRE"]}
    ],
}
EVIDENCE: Final = [
    {
        "metric": "errors",
        "words": "canary 0.08 % errors of 2,412 requests, baseline 0.09 % of 21,704; worse by at most 0.24 points, 95 % confidence at any time",
        "canary": 0.00083,
        "baseline": 0.00092,
        "canaryCount": 2412,
        "baselineCount": 21704,
        "promoteE": 41.0,
        "promoteAt": 20.0,
    },
    {
        "metric": "latency",
        "words": "canary p99 61 ms of 2,412 requests, baseline 58 ms of 21,704; slower by at most 9 %, 95 % confidence at any time",
        "canary": 61.3,
        "baseline": 58.1,
        "promoteE": 27.0,
        "promoteAt": 20.0,
    },
]
STATUS: Final[dict[str, Any]] = {
    "phase": "Starting",
    "message": "starts the canary: 0 of 1 canary pods are ready",
    "startedAt": "2025-11-21T09:23:00Z",
    "stable": {"revision": "6d4f9c7b8", "images": ["registry.example/shop/payment:2.14.0"]},
    "canary": {"revision": "7f5c8d9e1", "images": ["registry.example/shop/payment:2.15.0"]},
    "weight": {"configured": 0},
}
JUDGED: Final[dict[str, Any]] = {
    "phase": "Progressing",
    "step": "1/4",
    "stepIndex": 0,
    "stepStartedAt": "2025-11-21T09:23:20Z",
    "weight": {"configured": 10, "acknowledged": 10, "actual": 9.9, "proxies": "5/5"},
    "summary": "The canary is within the margin on every metric.",
    "evidence": EVIDENCE,
    "message": "judges 10 %; any moment now",
}
STORY: Final = (
    (0, "ReleaseStarted", "revision 7f5c8d9e1 starts from the first step", {}),
    (9, "StepStarted", "step 1 of 4, 10 %: the canary's first pods are ready", {"phase": "Progressing", "step": "1/4"}),
    (12, "WeightAcknowledged", "10 % is in force at every proxy (5/5)", JUDGED),
    (
        94,
        "ApprovalRequested",
        "step 2 of 4, an approval: Does the till still ring?",
        {
            "phase": "AwaitingApproval",
            "step": "2/4",
            "stepIndex": 1,
            "message": "waits at 10 % for approval; the guards stay on",
        },
    ),
)


def _rollout() -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "shop",
            "name": "payment",
            "uid": "5b8a1f0e",
            "annotations": {"coalmine.dev/git-commit": "9c1e7a40d2f3b5c6a7089e1f2d3c4b5a69788776"},
        },
        "spec": {
            "workloadRef": {"name": "payment"},
            "steps": [{"setWeight": 10}, {"approval": {}}, {"setWeight": 50}, {"setWeight": 100}],
        },
        "status": dict(STATUS),
    }


async def _told(double: SlackDouble, token: Path) -> None:
    """Let the sink tell the story."""
    settings = Slack.model_validate(
        {
            "tokenFile": str(token),
            "appTokenFile": str(token),
            "channel": "C0RELEASES",
            "commands": {"users": ["U0ANN"]},
            "links": {
                "commit": "https://git.example/shop/{name}/commit/{commit}",
                "dashboard": "https://coalmine.example/#/rollouts/{namespace}/{name}",
                "logs": "https://logs.example/?q={revision}",
            },
            "apiUrl": double.api_url,
        }
    )
    rollout, client = _rollout(), SlackClient(settings.token_file, settings.api_url)
    sink = SlackSink(client, settings, lambda *_: rollout)
    memory: Any = {}
    for number, (seconds, reason, note, change) in enumerate(STORY, 1):
        asked = {"approval": QUESTION} if reason == "ApprovalRequested" else {}
        rollout["status"] |= {**change, **asked, "internal": {"number": number}}
        double.clock = double.workspace.clock = lambda at=BEGAN + seconds: at  # type: ignore[misc]
        told = Transition(
            "shop", "payment", rollout["metadata"]["uid"], number, BEGAN + seconds, "Normal", reason, note,
            status=dict(rollout["status"]), annotations=rollout["metadata"]["annotations"],
        )  # fmt: skip
        memory = await sink.send(told, memory, doubtful=False)
    await client.close()


async def render(browser: Browser, path: Path) -> None:
    """Take the picture.

    Args:
        browser: A running Chromium.
        path: Where to, a PNG.
    """
    double = SlackDouble(clock=lambda: BEGAN)
    await double.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            token = Path(folder) / "token"
            token.write_text(BOT_TOKEN)
            await _told(double, token)
    finally:
        await double.stop()
    (top,) = double.workspace.top()
    thread = [m.seen(metadata=False) for m in double.workspace.thread(top)]
    page = await browser.new_page(viewport={"width": 1180, "height": 400}, device_scale_factor=1.25)
    await page.set_content(channel_page("releases", [top.seen(metadata=False)], thread, NAMES))
    await page.screenshot(path=path, full_page=True)
    await page.close()


async def _main(path: Path) -> None:
    build = [sys.executable, str(ROOT / "tests" / "tools" / "chromium" / "build.py")]
    program = subprocess.run(build, check=True, capture_output=True, text=True).stdout.strip()  # noqa: ASYNC221 - alone
    async with async_playwright() as playwright:
        # Chromium's sandbox cannot be had as root.
        browser = await playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        await render(browser, path)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "slack.png"))
