"""A release that is judged by what a real Prometheus scraped from its pods."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

BUILDER = Path(__file__).parents[2] / "tools" / "prometheus" / "build.py"


class Prometheus:
    """Scrapes the pods of one shop; which ones it is told at each look, as its service discovery would."""

    def __init__(self, folder: Path) -> None:
        program = subprocess.run([sys.executable, BUILDER], check=True, capture_output=True, text=True).stdout.strip()
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.config = folder / "prometheus.yml"
        self.known: dict[str, str] = {}
        self.write()
        command = [program, f"--config.file={self.config}", f"--storage.tsdb.path={folder}/data"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"]
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def write(self) -> None:
        scraped = [
            {"targets": [f"{ip}:8080"], "labels": {"pod": name, "app": "payment"}} for name, ip in self.known.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "900ms"},
            "scrape_configs": [{"job_name": "payment", "static_configs": scraped}],
        }
        self.config.write_text(yaml.safe_dump(config))

    def follow(self, pods: dict[str, str]) -> None:
        if pods != self.known:
            self.known = pods
            self.write()
            request = urllib.request.Request(f"{self.address}/-/reload", method="POST")
            urllib.request.urlopen(request, timeout=10).close()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    found = Prometheus(tmp_path)
    yield found
    found.close()


def payments(shop: Any) -> dict[str, str]:
    pods = json.loads(shop.kubectl("get", "pods", "-o", "json"))["items"]
    return {
        pod["metadata"]["name"]: pod["status"]["podIP"]
        for pod in pods
        if pod["metadata"]["name"].startswith("payment-") and pod["status"].get("podIP")
    }


def test_counts_from_prometheus_promote_and_take_back(shop, prometheus):
    def ended(outcome: str) -> bool:
        prometheus.follow(payments(shop))
        return [h["outcome"] for h in shop.status.get("history", ())][-1:] == [outcome]

    source = {"address": prometheus.address, "preset": "Http", "scrapeInterval": "1s", "lateness": "1s"}
    analysis = {
        "minStepDuration": "2s",
        "errors": {"warmUp": "0s", "maxIncreasePercent": 5},
        "latency": {"warmUp": "0s"},
        "source": {"prometheus": {**source, "matchers": 'app="payment"'}},
    }
    shop.open(rate=60, steps=[{"setWeight": 50}], analysis=analysis)
    prometheus.follow(payments(shop))
    shop.push("v2")
    shop.until(lambda: ended("Promoted"))
    told = shop.status["history"][0]["reason"]
    assert "errors: canary" in told
    assert "latency: canary p99" in told

    shop.push("v3", errors=0.2)
    shop.until(lambda: ended("RolledBack"))
    assert "errors: canary" in shop.status["message"]
    assert shop.failed_by_us() == []
