"""Many Rollouts in the middle of their releases, on a real API server."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from coalmine.local.cluster import LocalCluster
from coalmine.local.progress import ConsoleProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACES = 50
WORDS = "canary 0.12 % errors of 1,204 requests, baseline 0.11 % of 10,911; worse by at most 0.3 points, 95 % confidence at any time"
PHASES = ("Healthy",) * 8 + ("Progressing", "AwaitingApproval")


@contextmanager
def cluster() -> Iterator[LocalCluster]:
    """A Kubernetes without mesh and controller: nobody changes what is measured."""
    folder = Path(tempfile.mkdtemp(prefix="coalmine-bench-cli-"))
    made = LocalCluster(
        "bench-cli",
        folder,
        pod_cidr=f"127.{70 + os.getpid() % 40}.0.0/16",
        progress=ConsoleProgress(Console(stderr=True)),
    )
    try:
        made.up(bare=True)
        yield made
    finally:
        made.down(delete=True)
        shutil.rmtree(folder, ignore_errors=True)


def fill(made: LocalCluster, number: int) -> None:
    """Write the Rollouts with as much status as releases have."""
    kubectl = made.kubectl()
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{n}"}} for n in range(NAMESPACES)]
    kubectl("apply", "--server-side", "--validate=false", "-f", "-", stdin=as_list(spaces), timeout=600)
    kubectl(
        "apply",
        "--server-side",
        "--validate=false",
        "-f",
        "-",
        stdin=as_list([rollout(n) for n in range(number)]),
        timeout=600,
    )
    filled = [rollout(n) | {"status": status(n)} for n in range(number)]
    kubectl(
        "apply",
        "--server-side",
        "--validate=false",
        "--subresource=status",
        "-f",
        "-",
        stdin=as_list(filled),
        timeout=600,
    )


def as_list(items: list[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def rollout(n: int) -> dict[str, Any]:
    metadata = {"name": f"service-{n}", "namespace": f"team-{n % NAMESPACES}"}
    return {
        "apiVersion": "coalmine.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": metadata,
        "spec": {"workloadRef": {"name": f"service-{n}"}},
    }


def status(n: int) -> dict[str, Any]:
    phase = PHASES[n % len(PHASES)]
    evidence = {
        "words": WORDS, "canary": 0.0012, "baseline": 0.0011, "canaryCount": 1204, "baselineCount": 10911, "difference": 0.0001,
        "interval": [-0.002, 0.003], "rollbackE": 0.6, "rollbackAt": 200.0, "promoteE": 4.5, "promoteAt": 20.0,
    }  # fmt: skip
    entry = {
        "revision": "be5dcb48b3", "images": ["registry.example/shop/service:v1"], "stable": "aaaaaaaaaa", "outcome": "Promoted",
        "reason": "all steps have passed", "startedAt": "2026-01-01T00:00:00Z", "endedAt": "2026-01-01T00:30:00Z",
    }  # fmt: skip
    return {
        "observedGeneration": 1, "phase": phase, "message": "judges 50 %; about 20s more: nothing is shown yet", "step": "2/3", "stepIndex": 1,
        "stable": {"revision": "be5dcb48b3", "images": ["registry.example/shop/service:v1"]},
        "canary": {"revision": "b588b7b48c", "images": ["registry.example/shop/service:v2"]},
        "startedAt": "2026-01-02T00:00:00Z", "stepStartedAt": "2026-01-02T00:10:00Z", "verdict": "Continue", "summary": "nothing is shown yet",
        "weight": {"configured": 50, "acknowledged": 50, "actual": 49.8, "proxies": "5/5"},
        "evidence": [{"metric": m, **evidence} for m in ("errors", "latency", "gross-errors", "gross-latency")],
        "history": [entry] * 10,
        "internal": {"announcements": [{"number": i, "at": 1.0, "reason": "StepStarted", "note": WORDS} for i in range(16)]},
    }  # fmt: skip
