"""The list, the graph, the mesh's health, and the keyboard."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=60_000)


def names(page):
    return page.locator("table.rollouts tbody .name a")


def many(server, number):
    base = server.answers["rollouts"]["rollouts"]
    return [{**base[n % len(base)], "name": f"app-{n:03}", "namespace": f"team-{n % 7}"} for n in range(number)]


async def test_those_that_need_people_come_first_and_columns_sort(visit):
    page = await visit("#/")
    await expect(names(page)).to_have_text(["cart", "quotes", "frontend", "search", "payment", "ledger"])
    await page.get_by_role("button", name="Rollout", exact=True).click()
    await expect(names(page)).to_have_text(["ledger", "quotes", "cart", "frontend", "payment", "search"])
    await page.get_by_role("button", name="Rollout", exact=True).click()
    await expect(page.get_by_role("columnheader", name="Rollout", exact=True)).to_have_attribute(
        "aria-sort", "descending"
    )
    await expect(names(page).first).to_have_text("search")


async def test_the_list_is_filtered_by_words_namespace_and_group(visit):
    page = await visit("#/")
    search = page.get_by_role("searchbox")
    await search.fill("shop v4")
    await expect(names(page)).to_have_text(["payment"])
    await search.fill("no such thing")
    await page.get_by_role("button", name="Show all 6").click()
    await expect(names(page)).to_have_count(6)
    await page.get_by_role("button", name="Need attention").click()
    await expect(names(page)).to_have_text(["cart", "quotes", "frontend"])
    await page.get_by_label("Namespace").select_option("bank")
    await expect(names(page)).to_have_text(["quotes"])


async def test_five_hundred_rows_are_all_there_and_change_one_by_one(visit, server):
    rows = many(server, 500)
    server.answers["rollouts"] = {"at": 1_780_000_000.0, "version": 1, "rollouts": rows}
    page = await visit("#/")
    await expect(names(page)).to_have_count(500)
    await page.get_by_role("searchbox").fill("app-123")
    await expect(names(page)).to_have_text(["app-123"])
    changed = {**rows[123], "message": "something new", "phase": "Inconclusive"}
    await server.tell(
        "rollouts",
        {"full": False, "version": 2, "at": 1_780_000_001.0, "changed": [changed], "removed": ["team-0/app-000"]},
    )
    await expect(page.locator("table.rollouts tbody tr")).to_contain_text(["something new"])
    await expect(page.locator("table.rollouts tbody tr")).to_contain_text(["Inconclusive"])
    await page.get_by_role("searchbox").fill("")
    await expect(names(page)).to_have_count(499)


async def test_the_graph_shows_shares_health_locks_and_who_comes_past_the_mesh(visit, server):
    page = await visit("#/graph")
    payment = page.locator('.node[data-id="shop/payment"]')
    await expect(payment).to_contain_text("90 %")
    await expect(payment.locator('[data-role="canary"]').first).to_contain_text("10 %")
    await expect(payment.locator('[data-role="canary"]').first.get_by_role("img", name="failing")).to_be_visible()
    bad = page.locator('.edge-label[data-health="bad"]')
    await expect(bad).to_contain_text("canary 20 % err")
    await expect(bad.get_by_role("img", name="mTLS", exact=True)).to_be_visible()
    await expect(page.locator('.edge-label[data-kind="bypass"]')).to_have_count(2)
    await expect(page.locator(".plain")).to_contain_text("CronJob shop/report (no sidecar)")
    # Live: the canary gets well, and nothing is laid out anew for it.
    place = await payment.get_attribute("style")
    graph = server.example("graph")
    edge = next(edge for edge in graph["edges"] if edge["id"] == "shop/frontend>shop/payment>mesh")
    edge["versions"][1] |= {"errorRate": 0.0, "health": "good"}
    await server.tell("graph", {"full": True, **graph})
    await expect(bad).to_have_count(0)
    assert await payment.get_attribute("style") == place
    await payment.get_by_role("link", name="payment").click()
    await expect(page.locator("h1")).to_have_text("payment")


async def test_the_graph_of_one_namespace_has_its_neighbours(visit):
    page = await visit("#/graph")
    await page.get_by_label("Namespace").select_option("bank")
    await expect(page.locator(".node")).to_have_count(3)
    await expect(page.locator('.node[data-id="shop/payment"]')).to_be_visible()


async def test_the_meshs_health_names_what_is_not_well(visit):
    page = await visit("#/mesh")
    await expect(page.locator(".tile").first).to_contain_text("2 of 4")
    await expect(page.locator("#proxies-title")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="frontend-7d4-abc")).to_contain_text(
        "Duplicate entry of domain payment"
    )
    await expect(page.locator("main")).to_contain_text("shop/payment:80: 1 of 2 pods, by 1 proxy")
    await expect(page.locator("main")).to_contain_text("CN=coalmine mesh")


async def test_a_mesh_that_does_not_answer_is_told(visit, server):
    server.answers["mesh"] = {**server.answers["mesh"], "problem": "the mesh does not answer: connection refused"}
    page = await visit("#/mesh")
    await expect(page.locator(".stale-note")).to_contain_text("connection refused")


async def test_a_controller_without_a_mesh_says_so(visit, server):
    server.answers["info"]["mesh"] = False
    page = await visit("#/")
    await expect(page.locator("footer")).to_be_visible()
    await page.get_by_role("link", name="Graph").click()
    await expect(page.locator("main")).to_contain_text("no mesh to ask")


async def test_a_dashboard_that_wants_a_login_asks_for_it(visit, server):
    server.login = True
    page = await visit("#/")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Token").fill("good-token")
    await dialog.get_by_role("button", name="Sign in").click()
    await expect(names(page)).to_have_count(6)


async def test_everything_is_reached_and_left_by_keyboard(visit):
    page = await visit("#/")
    await expect(names(page)).to_have_count(6)
    focused = (
        "document.activeElement.innerText || document.activeElement.ariaLabel || document.activeElement.placeholder"
    )
    walked = []
    for _ in range(30):
        await page.keyboard.press("Tab")
        walked.append(str(await page.evaluate(focused)).strip().split("\n")[0])
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", walked[-1]
        if walked[-1] == "payment":
            break
    assert walked[:4] == ["Skip to the content", "Coalmine", "Rollouts", "History"]
    assert walked[-1] == "payment"
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("payment")
    button = page.get_by_role("button", name="Pause")
    await button.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Token")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(button).to_be_focused()


async def test_the_skip_link_leads_to_the_content(visit):
    page = await visit("#/")
    await expect(names(page)).to_have_count(6)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"
    assert page.url.endswith("#/")


async def test_the_history_has_all_releases_with_their_verdicts_and_grows(visit, server):
    page = await visit("#/history")
    entries = page.locator(".history tbody tr")
    await expect(entries).to_have_count(5)
    await expect(entries.first).to_contain_text("payment shop")
    await expect(entries.first).to_contain_text("Rolled back")
    await expect(entries.first).to_contain_text("5.1 % errors of 1,204 requests")
    ended = {**server.answers["history"]["entries"][0], "outcome": "Promoted", "good": True, "endedAt": 1_780_000_000.5}
    server.answers["history"]["entries"].insert(0, ended)
    row = next(row for row in server.answers["rollouts"]["rollouts"] if row["name"] == "payment")
    change = {"full": False, "version": 8, "at": 1_780_000_001.0, "changed": [{**row, "last": ended}], "removed": []}
    await server.tell("rollouts", change)
    await expect(entries).to_have_count(6)
    await expect(entries.first).to_contain_text("Promoted")


async def test_requests_that_reached_no_pod_have_a_line_of_their_own(visit, server):
    edge = next(edge for edge in server.answers["graph"]["edges"] if edge["target"] == "shop/search")
    lost = {**edge["versions"][0], "version": "", "rate": 2.0, "share": 0.05, "errorRate": 1.0, "health": "bad"}
    edge["versions"].append(lost)
    page = await visit("#/graph")
    await expect(page.locator(".plain tbody tr").filter(has_text="no pod reached")).to_contain_text("100 %")
    labels = page.locator(".edge-label").filter(has=page.locator("text=/100 % err|0.04 % err/"))
    await expect(labels).to_have_count(2)
    places = {await labels.nth(number).get_attribute("style") for number in range(2)}
    assert len(places) == 2
