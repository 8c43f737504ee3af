"""The page that Prometheus scrapes: who leads tells of Rollouts, who stands by says that it does."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from rollouts.engine.cache import Cache
from rollouts.engine.meters import Meters
from rollouts.wiring.metrics import Facts, add_metrics

ROLLOUT = {
    "metadata": {"namespace": "shop", "name": "payment", "uid": "1"},
    "spec": {"workloadRef": {"name": "payment"}},
    "status": {"phase": "Progressing", "internal": {"state": "Judging", "open": True, "began": 5.0, "since": 7.0}},
}


@pytest.fixture
def meters():
    return Meters()


@pytest.fixture
async def scrape(meters):
    """Scrapes a replica over a real socket: values by name and labels."""
    cache = Cache()
    cache.put("rollouts", ROLLOUT)
    leads = {"leads": True}

    def facts():
        return Facts(identity="a", leads=leads["leads"], waiting=3, most_releases=5, pending={"slack": 2})

    app = web.Application()
    add_metrics(app, meters, cache, facts)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"

    async def ask(*, as_leader=True):
        leads["leads"] = as_leader
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
            text = await answer.text()
        return {
            (s.name, *sorted(s.labels.items())): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }

    yield ask
    await runner.cleanup()


async def test_who_leads_tells_of_itself_and_of_all_rollouts(scrape):
    found = await scrape()
    assert found["coalmine_controller_leader",] == 1
    assert found["coalmine_controller_queue_depth",] == 3
    assert (found["coalmine_controller_releases",], found["coalmine_controller_max_releases",]) == (1, 5)
    assert found["coalmine_controller_objects", ("kind", "rollouts")] == 1
    assert found["coalmine_notifications_pending", ("sink", "slack")] == 2
    phase = ("coalmine_rollout_phase", ("namespace", "shop"), ("phase", "Progressing"), ("rollout", "payment"))
    assert found[*phase, ("state", "Judging")] == 1
    assert found["process_resident_memory_bytes",] > 0


async def test_who_stands_by_tells_that_alone(scrape):
    found = await scrape(as_leader=False)
    assert found["coalmine_controller_leader",] == 0
    assert found["coalmine_controller_objects", ("kind", "rollouts")] == 1
    assert not [key for key in found if key[0].startswith(("coalmine_rollout_", "coalmine_controller_queue"))]


async def test_what_was_counted_is_on_the_page(scrape, meters):
    meters.decided(["StepStarted", "StepStarted"])
    meters.ended(["Promoted"])
    meters.answered("PUT", 409, 0.02)
    meters.answered("GET", 0, 30.0)
    meters.looked(waited=0.3, took=0.004, failed=True)
    meters.told("slack", "delivered")
    found = await scrape()
    assert found["coalmine_decisions_total", ("decision", "StepStarted")] == 2
    assert found["coalmine_releases_total", ("outcome", "Promoted")] == 1
    assert found["coalmine_releases_total", ("outcome", "RolledBack")] == 0, "so that its first one is an increase"
    assert found["coalmine_controller_api_requests_total", ("code", "409"), ("verb", "PUT")] == 1
    assert found["coalmine_controller_api_requests_total", ("code", "0"), ("verb", "GET")] == 1
    assert found["coalmine_controller_reconcile_errors_total",] == 1
    assert found["coalmine_controller_reconcile_lag_seconds_sum",] == 0.3
    assert found["coalmine_controller_reconcile_duration_seconds_count",] == 1
    assert found["coalmine_notifications_total", ("result", "delivered"), ("sink", "slack")] == 1
    assert not [key for key in found if key[0].endswith("_created")]


async def test_names_follow_prometheus_conventions(scrape, meters):
    meters.answered("PUT", 200, 0.02)
    for name in {key[0] for key in await scrape()} - {"process_start_time_seconds", "process_virtual_memory_bytes"}:
        assert name == name.lower()
        assert name.startswith(("coalmine_", "process_"))
        assert not name.endswith(("_count_total", "_ms", "_percent"))
