"""How soon a page shows something, and how soon it shows 500 Rollouts, in a headless Chromium that has never seen it.

    python -m benchmarks.dashboard.paint [--rollouts 500] [--visits 10]

The built pages and the real headers on loopback; the stream tells the rows at once. Each visit has a profile of its own, so that
nothing is cached. Times run from the navigation's begin, by the browser's own clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from playwright.async_api import async_playwright

from rollouts.dashboard.guards import guard
from rollouts.dashboard.pages import Pages

if TYPE_CHECKING:
    from playwright.async_api import Browser

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests" / "unit" / "rollouts" / "dashboard" / "examples"
PAGES = {
    "list of {rollouts}": ("#/", "table.rollouts tbody tr", "rollouts"),
    "one Rollout": ("#/rollouts/shop/payment", ".picture canvas", "1"),
    "graph": ("#/graph", ".node", "7"),
}
SHOWN = """([selector, count]) => new Promise((done) => {
  const look = () => document.querySelectorAll(selector).length >= count ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""
PAINTED = 'performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null'
BYTES = """performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter((entry) => !entry.name.includes("/api/")).reduce((sum, entry) => sum + entry.encodedBodySize, 0)"""


def example(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return found


def application(rollouts: int) -> web.Application:
    """Serve the pages, and every topic's first event."""
    base = example("rollouts")["rollouts"]
    rows = [{**base[n % len(base)], "name": f"app-{n}", "namespace": f"team-{n % 20}"} for n in range(rollouts)]
    views = {
        "rollouts": {"version": 1, "at": 1_780_000_000.0, "rollouts": rows},
        "rollout/shop/payment": example("rollout-canary"),
        "graph": example("graph"),
    }

    async def info(_: web.Request) -> web.Response:
        return web.json_response(example("info"))

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        topic = request.query["topics"]
        await answer.write(f"event: {topic}\ndata: {json.dumps({'full': True, **views[topic]})}\n\n".encode())
        await asyncio.Event().wait()
        return answer

    app = web.Application(middlewares=[guard((), tls=False)])
    app.router.add_get("/api/v1/info", info)
    app.router.add_get("/api/v1/stream", stream)
    app.router.add_get("/{path:.*}", Pages().serve)
    return app


async def visit(browser: Browser, url: str, selector: str, count: int) -> tuple[float, float, int]:
    """Return milliseconds until the first paint and until everything is there, and the bytes that came."""
    profile = await browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 860})
    page = await profile.new_page()
    page.set_default_timeout(120_000)
    await page.goto(url, wait_until="commit")
    shown = await page.evaluate(SHOWN, [selector, count])
    painted = None
    while painted is None:
        painted = await page.evaluate(PAINTED)
    found = float(painted), float(shown), int(await page.evaluate(BYTES))
    await profile.close()
    return found


async def run(rollouts: int, visits: int) -> None:
    runner = web.AppRunner(application(rollouts), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    builder = ROOT / "tests" / "tools" / "chromium" / "build.py"
    program = subprocess.run([sys.executable, builder], check=True, capture_output=True, text=True).stdout.strip()  # noqa: ASYNC221
    load = os.getloadavg()[0]
    print(f"{visits} visits each; load average {load:.1f} on {os.cpu_count()} cores")
    print(f"{'page':<16}{'first paint':>14}{'worst':>10}{'all there':>12}{'worst':>10}{'bytes':>10}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        await visit(browser, f"http://127.0.0.1:{runner.addresses[0][1]}/", "h1", 1)  # starts the browser's processes
        for name, (path, selector, count) in PAGES.items():
            number = rollouts if count == "rollouts" else int(count)
            address = f"http://127.0.0.1:{runner.addresses[0][1]}/{path}"
            found = [await visit(browser, address, selector, number) for _ in range(visits)]
            painted, shown = [f[0] for f in found], [f[1] for f in found]
            print(
                f"{name.format(rollouts=rollouts):<16}{statistics.median(painted):>11.0f} ms{max(painted):>7.0f} ms"
                f"{statistics.median(shown):>9.0f} ms{max(shown):>7.0f} ms{found[0][2]:>10,}"
            )
        await browser.close()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=500)
    parser.add_argument("--visits", type=int, default=10)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.rollouts, arguments.visits))
