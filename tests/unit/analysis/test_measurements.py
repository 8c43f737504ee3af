"""Measuring value metrics: when, what is kept, and that whatever goes wrong is told and never evidence."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.api.metric import Metric
from analysis.model.values import ValueSample, ValueTest
from analysis.providers.base import ConfigurationError, UnavailableError
from analysis.run.measure import Measured, Measurements, policy_of
from analysis.run.schedule import next_time


def metric(**changes):
    return Metric.model_validate(
        {
            "name": "queue",
            "provider": {"web": {"url": "http://x/", "jsonPath": "$.x"}},
            "comparison": {},
            "interval": "10s",
            **changes,
        }
    )


@dataclass
class Source:
    """Answers in turn, then waits for ever."""

    answers: list
    closed: bool = False

    async def measure(self, at):
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self):
        self.closed = True


@dataclass
class Time:
    """A clock that sleeping moves on."""

    now: float = 1000.0
    slept: list = field(default_factory=list)

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def measure(canary, baseline=None, *, kept=None, **changes):
    """Run until the sources have nothing left to say."""
    time, done = Time(), asyncio.Event()
    sources = Source(list(canary)), None if baseline is None else Source(list(baseline))
    measured = Measured(metric(**changes), *sources)
    wanted = len(canary)
    seen = []

    def changed():
        seen.append(found.series[0])
        if len(seen) == wanted:
            done.set()

    found = Measurements(
        [measured], began=1000.0, clock=lambda: time.now, sleep=time.sleep, on_change=changed, kept=kept
    )
    await asyncio.wait_for(done.wait(), 5)
    dumped = json.loads(json.dumps(found.dump()))
    await found.close()
    assert all(source is None or source.closed for source in sources)
    return seen, dumped, time


async def test_both_versions_are_measured_at_the_same_times():
    seen, _, _ = await measure([1.0, 2.0], [3.0, 4.0], initialDelay="5s")
    assert seen[-1].samples == (ValueSample(1005.0, 1.0, 3.0), ValueSample(1015.0, 2.0, 4.0))


async def test_no_data_and_failures_leave_no_sample_and_are_told_until_it_works_again():
    answers = [None, float("nan"), UnavailableError("503"), ConfigurationError("401"), ValueError("a plug-in's"), 7.0]
    seen, _, _ = await measure(answers, consecutiveErrorLimit=1, thresholdRange={"max": 9}, comparison=None)
    assert [s.problem for s in seen] == [
        "no data for the canary",
        "no data for the canary",
        "503",
        "failed 2 times in a row, more than consecutiveErrorLimit: 401",
        "failed 3 times in a row, more than consecutiveErrorLimit: ValueError: a plug-in's",
        "",
    ]
    assert [len(s.samples) for s in seen] == [0, 0, 0, 0, 0, 1]


async def test_a_service_that_asks_to_be_left_alone_is_left_alone():
    _, _, time = await measure([UnavailableError("429", retry_after=77.0), 1.0])
    assert 77.0 in time.slept


async def test_a_restart_goes_on_with_what_was_measured():
    _, dumped, _ = await measure([1.0, 2.0], [3.0, 4.0])
    seen, _, _ = await measure([5.0], [6.0], kept=dumped)
    assert [s.canary for s in seen[-1].samples] == [1.0, 2.0, 5.0]
    for nonsense in ({"queue": 3}, {"other": {}}, {"queue": {"taken": "x", "samples": [["a"]]}}):
        seen, _, _ = await measure([5.0], [6.0], kept=nonsense)
        assert [s.canary for s in seen[-1].samples] == [5.0]


async def test_it_stops_after_count_measurements():
    seen, _, _ = await measure([1.0, 2.0], [1.0, 2.0], count=2)
    assert len(seen[-1].samples) == 2
    assert next_time(metric(count=2), began=0.0, taken=2, now=50.0) is None


@given(now=st.floats(0, 1e6), interval=st.integers(1, 1000), delay=st.integers(0, 1000))
def test_the_next_time_is_on_the_grid_and_never_in_the_past(now, interval, delay):
    chosen = metric(interval=f"{interval}s", initialDelay=f"{delay}s")
    at = next_time(chosen, began=100.0, taken=0, now=now)
    assert at is not None
    assert at > now or at == 100.0 + delay
    assert (at - 100.0 - delay) % interval == pytest.approx(0, abs=1e-6)


def test_policies_say_what_the_metric_says():
    comparison = policy_of(metric(comparison={"worse": "Either", "maxRatio": 1.2, "bounds": {"min": 0, "max": 1}}))
    assert (comparison.test, comparison.max_ratio, comparison.bounds) == (ValueTest.COMPARISON, 1.2, (0.0, 1.0))
    limit = policy_of(metric(comparison=None, limit={"max": 3}, critical=False, dryRun=True))
    assert (limit.test, limit.upper, limit.critical, limit.dry_run) == (ValueTest.LIMIT, 3.0, False, True)
    bare = policy_of(metric(comparison=None, thresholdRange={"min": 1}, failureLimit=2))
    assert (bare.test, bare.lower, bare.failure_limit) == (ValueTest.THRESHOLD, 1.0, 2)
