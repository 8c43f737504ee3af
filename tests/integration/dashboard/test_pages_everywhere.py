"""What holds for every page: accessible, light and dark, on a phone, with nothing from elsewhere, and small."""

from __future__ import annotations

import gzip
import re

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PAGES = {
    "list": ("#/", "table.rollouts tbody tr"),
    "canary": ("#/rollouts/shop/payment", ".picture canvas"),
    "approval": ("#/rollouts/bank/quotes", ".approval"),
    "rolled-back": ("#/rollouts/shop/search", ".picture canvas"),
    "gone": ("#/rollouts/shop/nothing", ".empty strong"),
    "history": ("#/history", ".history tbody tr"),
    "graph": ("#/graph", '.node[style*="left"]'),
    "mesh": ("#/mesh", ".tile"),
    "unknown": ("#/nowhere", ".empty strong"),
}
MOST_BYTES = 1_500_000
MOST_BYTES_AT_FIRST = 200_000


async def violations(page, axe):
    await page.evaluate(axe)
    found = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        (violation["id"], [node["target"] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("name", PAGES)
async def test_axe_finds_nothing_serious_in_light_and_dark(visit, axe, name):
    path, there = PAGES[name]
    page = await visit(path, color_scheme="light", reduced_motion="reduce")
    await page.wait_for_selector(there)
    assert await violations(page, axe) == []
    before = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.get_by_role("button", name="switch to dark colours").click()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert await violations(page, axe) == []


@pytest.mark.parametrize("name", PAGES)
async def test_a_phone_needs_no_scrolling_to_the_side(visit, name):
    path, there = PAGES[name]
    page = await visit(path, width=390, height=844, color_scheme="dark", has_touch=True, is_mobile=True)
    await page.wait_for_selector(there)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_the_machines_choice_of_colours_holds_until_somebody_chooses(visit):
    page = await visit("#/", color_scheme="dark")
    await page.wait_for_selector("h1")
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.get_by_role("button", name="switch to light colours").click()
    await page.reload()
    await page.wait_for_selector("h1")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


async def test_who_wants_little_motion_gets_none(visit):
    page = await visit("#/rollouts/shop/payment", reduced_motion="reduce")
    rail = await page.wait_for_selector('.steps [data-state="current"] .rail')
    assert float((await rail.evaluate("e => getComputedStyle(e).animationDuration")).removesuffix("s")) < 0.001
    assert await rail.evaluate("e => getComputedStyle(e).animationIterationCount") == "1"


async def test_the_dialogs_are_accessible_too(visit, axe):
    page = await visit("#/rollouts/bank/quotes", color_scheme="dark")
    await page.get_by_role("button", name="Approve").click()
    await page.wait_for_selector("dialog[open]")
    assert await violations(page, axe) == []


async def test_everything_together_is_small_and_the_first_page_smaller(built):
    files = {path: path.read_bytes() for path in built.rglob("*") if path.is_file()}
    assert sum(len(body) for body in files.values()) < MOST_BYTES
    index = (built / "index.html").read_text(encoding="utf-8")
    first = set(re.findall(r'(?:src|href)="([^"]+)"', index))
    scripts = {built / name for name in first if name.endswith(".js")}
    # What the first script imports at once comes with it; what it imports later does not count.
    for script in list(scripts):
        scripts |= {
            built / "assets" / name
            for name in re.findall(rb'from"\./([^"]+)"', files[script])
            for name in [name.decode()]
        }
    assert sum(len(gzip.compress(files[path])) for path in scripts) < MOST_BYTES_AT_FIRST


async def test_the_files_name_no_other_host(built):
    page = (built / "index.html").read_text(encoding="utf-8")
    styles = "".join(path.read_text(encoding="utf-8") for path in built.rglob("*.css"))
    assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []
    assert re.findall(r"url\(\"?(?:https?:)?//|@import", styles) == []
