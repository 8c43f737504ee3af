"""A Job's measurement is asked for with one time until it has answered: another time would be another Job."""

from __future__ import annotations

import asyncio

from analysis.api.metric import Metric
from analysis.providers.base import UnavailableError
from analysis.run.measure import Measured, Measurements

SPEC = {"template": {"spec": {"containers": [{"name": "check", "image": "checks"}]}}}
METRIC = Metric.model_validate(
    {"name": "smoke", "provider": {"job": {"spec": SPEC}}, "thresholdRange": {"min": 1}, "interval": "10s"}
)


class Jobs:
    """Answers in turn, then runs for ever; remembers the times that it was asked about."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.running = asyncio.Event()

    async def measure(self, at):
        self.asked.append(at)
        if not self.answers:
            self.running.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self):
        pass


class Process:
    """One life of the controller, until its Jobs have no more answers and one runs."""

    def __init__(self, *answers, now, kept=None):
        self.now, self.slept, self.jobs = now, [], Jobs(*answers)
        self.measurements = Measurements(
            [Measured(METRIC, self.jobs)],
            began=1000.0,
            clock=lambda: self.now,
            sleep=self.sleep,
            on_change=lambda: None,
            kept=kept,
        )

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def killed(self):
        """Wait until a Job runs for ever, and end there; return what was kept."""
        await asyncio.wait_for(self.jobs.running.wait(), 5)
        kept = self.measurements.dump()
        await self.measurements.close()
        return kept


async def test_a_restart_asks_for_the_job_that_was_running():
    first = Process(1.0, now=1000.0)
    kept = await first.killed()
    second = Process(1.0, now=1234.5, kept=kept)
    await second.killed()
    assert first.jobs.asked == [1000.0, 1010.0]
    assert second.jobs.asked == [1010.0, 1020.0]


async def test_after_an_outage_the_same_job_is_asked_for_but_not_at_once():
    process = Process(UnavailableError("the API server is down"), UnavailableError("still"), 1.0, now=1000.0)
    await process.killed()
    assert process.jobs.asked == [1000.0, 1000.0, 1000.0, 1010.0]
    assert process.slept.count(10.0) == 2
