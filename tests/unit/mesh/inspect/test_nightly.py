"""CronJobs that have not run while calls were observed."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.inspect.nightly import unseen
from mesh.lint.resources import read_resources

SINCE = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def cron_job(namespace: str = "batch", labels: dict[str, str] | None = None, last: str = "", **spec: Any) -> Any:
    template = {"metadata": {"labels": labels or {}}}
    body = {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}, **spec}
    meta = {"name": "nightly", "namespace": namespace}
    return {"kind": "CronJob", "metadata": meta, "spec": body, "status": {"lastScheduleTime": last} if last else {}}


@pytest.fixture
def resources() -> Any:
    meshed = {"name": "shop", "labels": {"coalmine.dev/inject": "enabled"}}
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": m} for m in (meshed, {"name": "batch"})]
    return read_resources(spaces, complete=True)


@pytest.mark.parametrize(
    ("job", "named"),
    [
        (cron_job(), True),
        (cron_job(last="2025-12-31T03:00:00Z"), True),
        (cron_job(last="2026-01-01T03:00:00Z"), False),
        (cron_job(suspend=True), False),
        (cron_job("shop"), False),
        (cron_job("shop", {"coalmine.dev/inject": "disabled"}), True),
        (cron_job("batch", {"coalmine.dev/inject": "enabled"}), False),
    ],
)
def test_one_without_a_sidecar_that_has_not_run_is_named(resources, job, named):
    found = unseen([job], resources, SINCE)
    assert [(u.namespace, u.schedule) for u in found] == (
        [(job["metadata"]["namespace"], "0 3 * * *")] if named else []
    )
