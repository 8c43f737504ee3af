"""People watch a real release in a browser, and decide there."""

from __future__ import annotations

import os
import re

import pytest
from playwright.sync_api import Page, expect, sync_playwright

pytestmark = pytest.mark.integration

PATIENCE = 240_000
STEPS = [{"setWeight": 20}, {"approval": {"message": "is the till closed?"}}, {"setWeight": 100}]


@pytest.fixture
def page(chromium, built, stack):
    """A tab; nothing that it logs or asks for is wrong when the test ends."""
    problems, elsewhere = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=os.geteuid() != 0)
        tab = browser.new_page(locale="en-GB")
        tab.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        tab.on(
            "request", lambda r: None if r.url.startswith((stack.dashboard_url, "data:")) else elsewhere.append(r.url)
        )
        yield tab
        browser.close()
    assert [text for text in problems if "Failed to load resource" not in text] == []
    assert elsewhere == []


def token(shop, name, *, may):
    """Return a token of a new service account, which may edit Rollouts or not."""
    shop.kubectl("create", "serviceaccount", name)
    if may:
        shop.kubectl("create", "rolebinding", name, "--clusterrole=edit", f"--serviceaccount={shop.namespace}:{name}")
    return shop.kubectl("create", "token", name).strip()


def sign_in(page: Page, value: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Token").fill(value)
    dialog.get_by_role("button", name="Sign in").click()


def test_a_release_is_watched_approved_and_taken_back_without_a_reload(shop, stack, page):
    shop.open(rate=60, steps=STEPS)
    page.goto(f"{stack.dashboard_url}#/rollouts/{shop.namespace}/payment")
    phase, current = page.locator(".head .badge").first, page.locator('.steps [aria-current="step"]')
    expect(phase).to_have_text("Healthy")
    page.evaluate("window.same = true")

    shop.push("v2")
    expect(current).to_contain_text("20 %")
    expect(page.locator(".evidence-words")).to_contain_text("Canary")
    expect(phase).to_have_text("Awaiting approval")
    expect(page.locator(".approval")).to_contain_text("is the till closed?")
    expect(page.locator('.picture [role="img"]')).to_have_attribute("aria-label", re.compile("decided: go on"))

    expect(page.get_by_text("Pre-flight:")).to_have_count(0)

    page.locator(".approval").get_by_role("button", name="Approve").click()
    sign_in(page, token(shop, "visitor", may=False))
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Approve").click()
    expect(dialog.get_by_role("alert")).to_contain_text("visitor")
    dialog.get_by_role("button", name="Cancel").click()
    assert shop.status["phase"] == "AwaitingApproval"

    page.get_by_role("button", name="sign out").click()
    page.locator(".approval").get_by_role("button", name="Approve").click()
    sign_in(page, token(shop, "clerk", may=True))
    dialog.get_by_label("Comment").fill("it is")
    dialog.get_by_role("button", name="Approve").click()
    expect(page.locator(".history tbody tr").first).to_contain_text("Promoted")
    expect(phase).to_have_text("Healthy")

    shop.push("v3", errors=0.4)
    expect(phase).to_have_text("Rolled back")
    expect(page.locator(".history tbody tr").first).to_contain_text("Rolled back")
    expect(page.locator(".timeline")).to_contain_text("Rolled back")
    expect(page.locator('.picture [role="img"]')).to_have_attribute("aria-label", re.compile("take it back"))
    assert page.evaluate("window.same")

    page.get_by_role("link", name="Graph").click()
    called = page.locator(f'.node[data-id="{shop.namespace}/payment"]')
    expect(called).to_contain_text("100 %")
    expect(page.locator(".edge-label").get_by_role("img", name="mTLS", exact=True).first).to_be_visible()
    page.get_by_role("link", name="Mesh").click()
    expect(page.locator(".tile").first).to_contain_text("all have what they should")
    page.get_by_role("link", name="Rollouts").first.click()
    expect(page.locator("table.rollouts tbody tr").filter(has_text=shop.namespace)).to_contain_text("Rolled back")
