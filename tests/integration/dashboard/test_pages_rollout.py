"""One Rollout's page: live, its evidence as a picture, and what people do there."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=60_000)

COUNT = """(canvas, name) => {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/[0-9]+/g).map(Number);
  probe.remove();
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4)
    if (Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 12 && data[at + 3] > 200) count += 1;
  return count;
}"""


def current(page):
    return page.locator('.steps [aria-current="step"]')


async def test_the_step_moves_without_a_reload(visit, server):
    page = await visit("#/rollouts/shop/payment")
    await expect(current(page)).to_contain_text("50 %")
    await page.evaluate("window.same = true")
    plan = server.details["shop/payment"]["rollout"]["plan"]
    moved = [{**step, "state": "current" if step["index"] == 2 else "done"} for step in plan]
    await server.move("shop/payment", plan=moved, step="3/3", stepIndex=2, message="step 3/3: all requests")
    await expect(current(page)).to_contain_text("100 %")
    await expect(page.locator(".message")).to_contain_text("step 3/3: all requests")
    assert await page.evaluate("window.same")


async def test_new_points_and_transitions_are_appended(visit, server):
    page = await visit("#/rollouts/shop/payment")
    await expect(page.locator(".timeline li")).to_have_count(7)
    held = server.details["shop/payment"]
    at = held["at"]
    item = {"number": 38, "at": at, "type": "Normal", "reason": "StepStarted", "note": "step 3/3"}
    lane = {"t": [at], "rate": [123.0], "errors": [0.5], "p50Ms": [5.0], "p99Ms": [4321.0]}
    change = {
        "full": False,
        "at": at,
        "timeline": {"since": 31, "items": [item]},
        "traffic": {**held["traffic"], "stable": lane, "canary": lane},
    }
    await server.tell("rollout/shop/payment", change)
    await expect(page.locator(".timeline li")).to_have_count(8)
    await expect(page.locator(".timeline li").first).to_contain_text("Step started")
    requests = page.get_by_role("img", name="Requests: stable 123/s, canary 123/s now")
    await expect(requests).to_be_visible()
    # The last bucket comes again as it fills: it is replaced.
    lane |= {"rate": [125.0]}
    await server.tell("rollout/shop/payment", {**change, "timeline": {"since": 31, "items": []}})
    await expect(page.get_by_role("img", name="Requests: stable 125/s, canary 125/s now")).to_be_visible()


async def test_the_evidence_is_a_picture_with_margin_and_moment(visit):
    page = await visit("#/rollouts/shop/payment", color_scheme="light")
    picture = page.locator('.picture [role="img"]')
    label = await picture.get_attribute("aria-label")
    assert "worse by at most 0.28 points" in label
    assert "decided: go on at" in label
    assert "shown to be fine at" in label
    canvas = page.locator(".picture canvas")
    assert await canvas.evaluate(COUNT, "accent") > 300, "the band's edges"
    assert await canvas.evaluate(COUNT, "bad") > 200, "the margin"
    assert await canvas.evaluate(COUNT, "good") > 200, "the moment"
    await page.get_by_role("group", name="Metric").get_by_role("button", name="latency").click()
    await expect(page.locator(".evidence-words")).to_contain_text("still open")
    await page.get_by_role("group", name="Metric").get_by_role("button", name="slo/checkout").click()
    await expect(page.locator(".picture")).to_contain_text("no margin")


async def test_only_checks_that_did_not_pass_are_told(visit):
    page = await visit("#/rollouts/shop/payment")
    await expect(page.locator(".notes li")).to_have_text(
        ["Pre-flight: MutualTls: payment is called in plaintext by CronJob shop/report"]
    )


async def test_a_rollback_is_told_with_its_evidence(visit):
    page = await visit("#/rollouts/shop/search")
    await expect(page.locator(".head")).to_contain_text("Rolled back")
    await expect(page.locator(".evidence-words")).to_contain_text("shown to be worse")
    assert "decided: take it back" in await page.locator('.picture [role="img"]').get_attribute("aria-label")
    await expect(page.get_by_role("button", name="Retry")).to_be_visible()
    await expect(page.get_by_role("button", name="Roll back")).to_have_count(0)
    await expect(page.locator(".history tbody tr").first).to_contain_text("Rolled back")


async def test_a_page_says_that_it_is_not_live_and_becomes_live_again(visit, server):
    page = await visit("#/rollouts/shop/payment")
    live = page.locator(".live")
    await expect(live).to_have_text("Live")
    await server.break_off()
    await expect(live).to_have_text("Not live")
    await expect(page.locator(".stale-note")).to_contain_text("has not been heard for")
    await expect(page.locator("h1")).to_have_text("payment")
    server.details["shop/payment"]["rollout"]["message"] = "it went on meanwhile"
    server.down = False
    await expect(live).to_have_text("Live")
    await expect(page.locator(".message")).to_contain_text("it went on meanwhile")


async def test_an_approval_asks_for_a_token_and_is_given_with_it(visit, server):
    page = await visit("#/rollouts/bank/quotes")
    await expect(page.locator(".approval")).to_contain_text("2 approvals needed, 1 given")
    await expect(page.locator(".approval")).to_contain_text("jane@example.com")
    await page.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Token").fill("bad-token")
    await dialog.get_by_role("button", name="Sign in").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("does not know this token")
    await dialog.get_by_label("Token").fill("good-token")
    await dialog.get_by_role("button", name="Sign in").click()
    await expect(dialog).to_contain_text("As jane@example.com")
    await dialog.get_by_label("Comment").fill("the month is closed")
    await dialog.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("status").filter(has_text="was asked for")).to_be_visible()
    assert server.acted == [
        {
            "namespace": "bank",
            "name": "quotes",
            "action": "approve",
            "body": {"comment": "the month is closed"},
            "kind": "application/json",
        }
    ]
    assert await page.evaluate("localStorage.length + document.cookie.length") == 0
    assert "good-token" not in page.url
    await page.get_by_role("button", name="sign out").click()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_nothing_is_done_without_a_confirmation(visit, server):
    page = await visit("#/rollouts/shop/payment")
    await page.evaluate("sessionStorage.setItem('coalmine-token', 'good-token')")
    await page.reload()
    await page.get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("All requests go to the stable version at once")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    assert server.acted == []


async def test_a_refusal_is_told_with_its_fix(visit, server):
    server.refusal = (403, server.example("action-refused"))
    page = await visit("#/rollouts/shop/payment")
    await page.evaluate("sessionStorage.setItem('coalmine-token', 'good-token')")
    await page.reload()
    await page.get_by_role("button", name="Promote now").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Promote now").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("may not patch rollouts.coalmine.dev")
    await expect(dialog.get_by_role("alert")).to_contain_text("give it a Role with verb patch")


async def test_a_dashboard_without_actions_offers_none(visit, server):
    server.answers["info"]["actions"] = False
    page = await visit("#/rollouts/bank/quotes")
    await expect(page.locator(".approval")).to_be_visible()
    await expect(page.locator("[data-action]")).to_have_count(0)
