"""The whole of it, live: a real Prometheus scrapes the controller and the mesh during real releases of a real shop.

Every panel of every dashboard gets data, an alert fires while a gate waits and ends with it, and what belongs to a release says so in the log.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
BUILDER = ROOT / "tests" / "tools" / "prometheus" / "build.py"
BOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"


class Prometheus:
    """A server with our rules, the hour of the gate's alert shortened to a second."""

    def __init__(self, folder: Path, targets: dict[str, int]) -> None:
        program = subprocess.run([sys.executable, BUILDER], check=True, capture_output=True, text=True).stdout.strip()
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        rules = yaml.safe_load(RULES.read_text())
        for rule in (r for g in rules["groups"] for r in g["rules"]):
            if rule["alert"] == "CoalmineGateWaiting":
                rule["expr"] = rule["expr"].replace("> 3600", "> 1")
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        config = {
            "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                for job, port in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=self.log, stderr=self.log
        )

    def get(self, path: str, **query: str) -> Any:
        """Ask the API; a query that it cannot read fails."""
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        found = self.get("query", query=expr)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def value(self, expr: str) -> float:
        """The one value; 0 where there is none."""
        found = self.query(expr)
        return found[0][1] if found else 0.0

    def firing(self) -> set[tuple[str, str]]:
        """Alerts, each with its namespace."""
        alerts = self.get("alerts")["alerts"]
        return {(a["labels"]["alertname"], a["labels"].get("namespace", "")) for a in alerts if a["state"] == "firing"}

    def up(self) -> bool:
        with contextlib.suppress(OSError):
            return len(self.query("up == 1")) == 2
        return False

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


@pytest.fixture
def prometheus(stack: Any, tmp_path: Path) -> Iterator[Prometheus]:
    ports = stack.settings.ports
    targets = {"coalmine-controller": ports.controller_health, "coalmine-mesh": ports.mesh_http}
    found = Prometheus(tmp_path, targets)
    yield found
    found.close()


def panels() -> dict[str, str]:
    """Every query of every panel, for all namespaces and the last minute."""
    found = {}
    for file in BOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "10m")
                for variable in ("$namespace", "$service"):
                    expr = expr.replace(variable, ".*")
                found[f"{file.stem}/{panel['title']}/{target['refId']}"] = expr.replace("$rollout", "payment")
    return found


def await_(condition: Callable[[], Any], what: Callable[[], str], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds:g} s: {what()}")


def test_dashboards_alerts_and_logs_of_a_release(shop, prometheus):
    empty = panels()

    def look() -> None:
        """Ask what was empty until now."""
        for name, expr in list(empty.items()):
            if prometheus.query(expr):
                del empty[name]

    def seen(condition: Callable[[], Any], what: str) -> None:
        def check() -> Any:
            look()
            return condition()

        await_(check, lambda: f"{what}; the Rollout says {shop.status['message']}", 240)

    def outcomes(outcome: str) -> float:
        return prometheus.value(f'coalmine_releases_total{{outcome="{outcome}"}}')

    gate = ("CoalmineGateWaiting", shop.namespace)
    chosen = f'{{namespace="{shop.namespace}"}}'
    steps = [{"setWeight": 20}, {"approval": {"message": "look"}}, {"setWeight": 50}]
    errors = {"warmUp": "0s", "maxIncreasePercent": 5}
    shop.open(rate=60, steps=steps, analysis={"minStepDuration": "2s", "errors": errors, "latency": {"enabled": False}})
    await_(prometheus.up, lambda: "both are scraped")
    assert prometheus.value("coalmine_controller_leader") == 1
    assert {g["name"] for g in prometheus.get("rules")["groups"]} >= {"coalmine-rollouts", "coalmine-mesh"}

    promoted, taken_back = outcomes("Promoted"), outcomes("RolledBack")
    asked = prometheus.value('coalmine_decisions_total{decision="ApprovalRequested"}')
    shop.push("v2")
    of_payment = f'coalmine_rollout_phase{{namespace="{shop.namespace}",rollout="payment",phase='
    seen(lambda: prometheus.query(f'{of_payment}"Progressing",state="Judging"}}'), "the release is seen judged")
    seen(lambda: gate in prometheus.firing(), "the gate's alert fires")
    weights = {m["kind"]: v for m, v in prometheus.query(f"coalmine_rollout_weight_ratio{chosen}")}
    assert weights["configured"] == weights["acknowledged"] == 0.2
    assert abs(weights["actual"] - 0.2) < 0.15
    assert ("CoalmineNoLeader", "") not in prometheus.firing()

    shop.annotate("approve")
    seen(lambda: outcomes("Promoted") == promoted + 1, "the promotion is counted")
    assert prometheus.value('coalmine_decisions_total{decision="ApprovalRequested"}') == asked + 1
    await_(lambda: gate not in prometheus.firing(), lambda: "the gate's alert ends")

    shop.push("v3", errors=0.3)
    ended = f'coalmine_rollout_last_release_end_timestamp_seconds{{namespace="{shop.namespace}",outcome="RolledBack"}}'
    seen(lambda: prometheus.query(ended), "the rollback is told")
    assert outcomes("RolledBack") == taken_back + 1
    await_(lambda: look() or not empty, lambda: f"panels without data: {empty}", 30)
    assert {m["state"]: v for m, v in prometheus.query("coalmine_mesh_proxies")}["synced"] >= 4

    revision = shop.status["history"][-1]["revision"]
    log = shop.cluster.layout.log("controller").read_text()
    lines = [line for line in log.splitlines() if f"rollout={shop.namespace}/payment" in line]
    assert any(f" revision={revision} release={revision}-" in line for line in lines)
    assert shop.failed_by_us() == []
