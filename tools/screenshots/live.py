"""Takes the pictures of a real release: the dashboard, the service graph and the terminal.

    python tools/screenshots/live.py [docs/images]

A local cluster with the example shop runs a bad release and then a good one; the pictures are taken while that happens.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from playwright.sync_api import expect, sync_playwright
from rich.console import Console
from rich.text import Text

from coalmine.local.cluster import LocalCluster
from coalmine.local.progress import ConsoleProgress

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["Shop"]

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "examples" / "shop" / "deploy"
NAMESPACE: Final = "shop"
PATIENCE_SECONDS: Final = 600.0
SIZE: Final = {"width": 1280, "height": 1000}
STEPS: Final = [
    {"setWeight": 10},
    {"setWeight": 50},
    {"approval": {"message": "Is the sale over?"}},
    {"setWeight": 100},
]
RATE: Final = 40
"""Requests a second: few, so that a busy machine takes the same pictures. Wider margins make up for it."""
ERRORS: Final = {"warmUp": "0s", "maxIncreasePercent": 2}
ANALYSIS: Final = {"minStepDuration": "40s", "errors": ERRORS, "latency": {"warmUp": "0s", "maxRatio": 3}}
COLUMNS: Final = 104


class Shop:
    """The example shop in a cluster."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self._kubectl = cluster.kubectl()

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl in the shop's namespace."""
        return self._kubectl("-n", NAMESPACE, *args, stdin=stdin, timeout=180.0)

    def open(self) -> None:
        """Bring it up, and wait until its Rollout is healthy."""
        objects: list[dict[str, Any]] = [
            obj
            for path in sorted(DEPLOY.glob("*.yaml"))
            for obj in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        ]
        for obj in objects:
            if obj["kind"] == "Rollout":
                obj["spec"] |= {"steps": STEPS, "analysis": ANALYSIS}
            if obj["kind"] == "Deployment" and obj["metadata"]["name"] == "load":
                (container,) = obj["spec"]["template"]["spec"]["containers"]
                next(variable for variable in container["env"] if variable["name"] == "RATE")["value"] = str(RATE)
        objects.sort(key=lambda obj: obj["kind"] != "Namespace")
        self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))
        self.until("Healthy")
        self.kubectl("wait", "--for=condition=Available", "deployment", "--all", "--timeout=180s")

    def release(self, version: str, errors: float) -> None:
        """Change the payment service as a commit would."""
        image = f"registry.example/shop/payment:{version}"
        patch = {"env": [{"name": "VERSION", "value": version}, {"name": "ERROR_RATE", "value": str(errors)}]}
        container = {"name": "payment", "image": image, **patch}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        self.kubectl("patch", "deployment", "payment", "--type=strategic", "-p", yaml.safe_dump(body))

    @property
    def phase(self) -> str:
        """``status.phase`` of its Rollout."""
        return self.kubectl("get", "rollout", "payment", "-o", "jsonpath={.status.phase}")

    def until(self, phase: str) -> None:
        """Wait for a phase."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (now := self.phase) != phase:
            if time.monotonic() > deadline:
                sys.exit(f"the Rollout is {now!r} after {PATIENCE_SECONDS:.0f} s and not {phase}")
            time.sleep(0.5)


def take(page: Page, shop: Shop, folder: Path) -> None:
    """Release twice, and take pictures on the way."""
    url = shop.cluster.dashboard_url
    page.goto(f"{url}#/graph")
    expect(page.locator(".node")).to_have_count(3)
    expect(page.locator('.edge-label[data-health="bad"]')).to_have_count(0)  # what failed while pods started is past
    shop.release("v2", 0.15)
    canary = page.locator(f'.node[data-id="{NAMESPACE}/payment"] [data-role="canary"]').first
    expect(canary.get_by_role("img", name="failing")).to_be_visible()
    page.screenshot(path=folder / "graph.png")
    shop.until("RolledBack")
    page.goto(f"{url}#/rollouts/{NAMESPACE}/payment")
    shop.release("v3", 0.0)
    expect(page.locator(".message")).to_contain_text("judges 50 %")
    measured = page.locator(".facts div").filter(has_text="Measured").locator("dd")
    expect(measured).to_have_text(re.compile(r"^(4[5-9]|5[0-5])\b"))
    expect(page.locator(".evidence-words")).to_contain_text("shown to be fine")
    page.mouse.move(0, 0)
    page.screenshot(path=folder / "dashboard.png")
    terminal(shop, folder / "terminal.svg")
    page.emulate_media(color_scheme="dark")
    page.locator(".columns .card").first.screenshot(path=folder / "evidence.png")
    shop.until("AwaitingApproval")


def terminal(shop: Shop, path: Path) -> None:
    """Take what ``coalmine status`` shows at this moment."""
    command = ["coalmine", "status", "payment", "--namespace", NAMESPACE]
    colours = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    kubectl = shop.cluster.kubectl().program.parent
    places = {"KUBECONFIG": str(shop.cluster.kubeconfig), "PATH": f"{kubectl}{os.pathsep}{os.environ['PATH']}"}
    environment = {**os.environ, **colours, **places}
    program = Path(sys.executable).with_name(command[0])
    shown = subprocess.run([program, *command[1:]], env=environment, check=False, capture_output=True, text=True)
    if shown.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{shown.stderr}")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ {' '.join(command)}\n{shown.stdout}"))
    # A picture loads nothing from elsewhere: the reader's own font serves.
    drawn = re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", console.export_svg(title="coalmine"), flags=re.DOTALL)
    path.write_text(drawn, encoding="utf-8")


def main(folder: Path) -> None:
    """Start everything, take the pictures, end everything."""
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # the cluster is taken down all the same
    built = ROOT / "tests" / "tools" / "chromium" / "build.py"
    chromium = subprocess.run([sys.executable, built], check=True, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="coalmine-screenshots-") as state:
        progress = ConsoleProgress(Console(stderr=True))
        cluster = LocalCluster("screenshots", Path(state), pod_cidr="127.13.0.0/16", progress=progress)
        try:
            cluster.up()
            shop = Shop(cluster)
            shop.open()
            with sync_playwright() as playwright:
                sandbox = os.geteuid() != 0
                browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=sandbox)
                expect.set_options(timeout=PATIENCE_SECONDS * 1000)
                page = browser.new_page(viewport=SIZE, locale="en-GB", device_scale_factor=1.25, color_scheme="light")
                page.set_default_timeout(PATIENCE_SECONDS * 1000)
                with progress.task("releasing twice and taking pictures (minutes)"):
                    take(page, shop, folder)
                browser.close()
        finally:
            cluster.down(delete=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
