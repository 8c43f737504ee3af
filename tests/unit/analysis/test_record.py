"""Recordings that are made: they replay as the windows were judged live, whatever came late, twice or broken."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import stat
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.cli import analysis as command
from analysis.judges import judge
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import Policy
from analysis.model.recording import InvalidRecording, load
from analysis.model.verdict import Decision
from analysis.providers.base import ConfigurationError, UnavailableError
from analysis.providers.counters import windows as windows_of
from analysis.providers.series import Counting, Kind, Sample, Series
from analysis.run.files import check_writable, read_recording, write_recording
from analysis.run.record import Recorder, record_counts
from analysis.run.replay import replay

BOUNDS = (10.0, 100.0)


def window(second, *pods):
    return Window(float(second), second + 1.0, pods)


def counts(arm, pod, attempts=10, errors=0, latency=()):
    return PodCounts(arm, pod, attempts, errors, latency)


STABLE, CANARY = counts(Arm.BASELINE, "stable-0"), counts(Arm.CANARY, "canary-0")


def recorded(*windows, **settings_):
    recorder = Recorder(BOUNDS, **settings_)
    recorder.add(windows)
    return recorder


def reloaded(recorder):
    return load(recorder.lines())


# --- what is recorded


@st.composite
def releases(draw):
    """Two versions' windows as a source tells them, odd lengths and silent windows included, in portions."""
    edges = [1_700_000_000 + draw(st.floats(0, 1, allow_nan=False))]
    for _ in range(draw(st.integers(1, 30))):
        edges.append(edges[-1] + draw(st.sampled_from([1.0, 1.0, 1.0000321, 1.37, 10.0])))
    found = []
    for start, end in itertools.pairwise(edges):
        pods = []
        for arm, pod in ((Arm.BASELINE, "s0"), (Arm.BASELINE, "s1"), (Arm.BASELINE, ""), (Arm.CANARY, "c0")):
            attempts = draw(st.sampled_from([0, 5, 20, 200]))
            if attempts or draw(st.booleans()):
                errors = draw(st.integers(0, attempts))
                pods.append(PodCounts(arm, pod, attempts, errors, (attempts - errors, errors, 0)))
        if draw(st.integers(0, 9)):
            found.append(Window(start, end, tuple(pods)))
    return found


@settings(max_examples=60)
@given(releases(), st.integers(1, 7))
def test_a_recording_is_judged_as_the_windows_were_live(live, portion):
    policy, step = Policy(BOUNDS), live[0].start if live else 0.0
    recorder = Recorder(BOUNDS)
    recorder.step_starts = (step,)
    recorder.pods_started = {"c0": step, "s0": step - 500, "s1": step - 400}
    for first in range(0, len(live), portion):
        recorder.add(live[max(first - 1, 0) : first + portion])  # a source may repeat itself
    for look in replay(reloaded(recorder), policy, every=10.0):
        seen = [w for w in live if w.end <= look.time + 1e-6]
        expected = judge(seen, policy, pods_started=recorder.pods_started, step_starts=(step,), now=look.time)
        assert look.verdict.decision is expected.decision
        for one, other in zip(look.verdict.evidence, expected.evidence, strict=True):
            assert one.rollback_e == pytest.approx(other.rollback_e, rel=1e-6)
            assert one.promote_e == pytest.approx(other.promote_e, rel=1e-6)


def test_a_bad_release_is_taken_back_from_its_recording_at_the_same_second(release):
    bad = release(canary_errors=(0.2,))
    recorder = Recorder(bad.policy.bounds_ms, title="payment v2")
    recorder.step_starts, recorder.pods_started = bad.steps, bad.starts
    recorder.add(bad.windows())
    looks = replay(reloaded(recorder), bad.policy)
    first = next(look.time for look in looks if look.verdict.decision is Decision.ROLL_BACK)
    assert first - bad.steps[0] == bad.decided(Decision.ROLL_BACK)


def test_a_silent_second_is_known_to_be_empty_and_a_gap_is_not():
    found = reloaded(recorded(window(1, STABLE), window(2), window(5, STABLE)))
    assert [(w.start, sum(p.attempts for p in w.pods)) for w in found.windows] == [(1, 10), (2, 0), (5, 10)]


def test_what_came_before_overlaps_or_is_no_count_is_left_out_and_said():
    recorder = recorded(window(1, STABLE), window(2, STABLE))
    recorder.add([window(2, STABLE), window(1.5, CANARY), window(3, counts(Arm.CANARY, "c", -1))], ["a reset"])
    assert [w.start for w in recorder.windows] == [1, 2]  # what cannot be a count is unknown, not silence
    assert recorder.problems[0] == "a reset"
    assert any("negative" in problem for problem in recorder.problems)


def test_another_releases_canary_is_not_recorded_nor_what_comes_after_the_end():
    recorder = recorded(window(-1, CANARY), *(window(n, STABLE, CANARY) for n in range(6)), began=2.0)
    recorder.ended = 4.0
    found = reloaded(recorder)
    assert [[p.pod for p in w.pods] for w in found.windows] == [
        ["stable-0"],
        ["stable-0"],
        ["stable-0", "canary-0"],
        ["stable-0", "canary-0"],
    ]
    assert recorder.sums()[Arm.CANARY].attempts == 20


def test_pods_have_started_when_the_cluster_says_and_the_canarys_otherwise_when_they_were_first_seen():
    recorder = recorded(window(1, STABLE), window(2, STABLE, CANARY, counts(Arm.CANARY, "canary-1")))
    recorder.pods_started = {"canary-1": 0.5, "somebody-else": 7.0}
    assert reloaded(recorder).pods_started == {"canary-0": 2.0, "canary-1": 0.5}
    assert recorder.guessed() == ("canary-0",)


def test_windows_without_known_bounds_are_a_defect():
    with pytest.raises(ValueError, match="bounds_ms"):
        Recorder().add([window(1, STABLE)])
    assert not Recorder().windows


# --- from a source that is asked


class Scrapes:
    """Counters that were scraped every 15 s, read as every polled source reads them: what is not settled comes later."""

    problems: tuple[str, ...] = ()

    def __init__(self, clock, begun, end, *, away=(), late=0.0):
        self.counting, self.clock, self.late = Counting(BOUNDS, 15.0), clock, late
        self.asked = []
        self.failures = []
        times = [begun + 3.3 + 15 * n for n in range(int((end - begun) / 15))]
        self.series = [
            Series(
                arm,
                pod,
                f"{pod} {kind.value}",
                kind,
                [
                    Sample(t, float(step * int(t - begun)))
                    for t in times
                    if pod not in dict(away) or t not in dict(away)[pod]
                ],
                pod,
            )
            for arm, pod in ((Arm.BASELINE, "s0"), (Arm.CANARY, "c0"))
            for kind, step in ((Kind.PASSED, 10), (Kind.FAILED, 1))
        ]

    async def read(self, since, until):
        self.asked.append((since, until))
        if self.failures and (error := self.failures.pop(0)):
            raise error
        until = min(until, self.clock() - self.late)
        arrived = [
            Series(s.arm, s.pod, s.name, s.kind, [x for x in s.samples if x.time <= until], s.target)
            for s in self.series
        ]
        return windows_of(arrived, self.counting, since=since, until=until).windows


class World:
    """A clock that goes on while somebody sleeps, and what was told."""

    def __init__(self, now):
        self.now, self.told, self.until = now, [], []

    async def sleep(self, seconds):
        self.now += seconds

    def reached(self, time):
        self.until.append(time)

    def failed(self, words, pause):
        self.told.append((words, pause))

    async def record(self, source, since, until):
        recorder = Recorder(BOUNDS)
        await record_counts(
            source,
            recorder,
            since=since,
            until=until,
            settle=75.0,
            every=5.0,
            clock=lambda: self.now,
            sleep=self.sleep,
            progress=self,
        )
        return recorder


@pytest.mark.parametrize("length", [300, 1801, 9000])
async def test_a_past_release_is_read_in_pieces_and_loses_nothing(length):
    world = World(20_000.0)
    source = Scrapes(lambda: world.now, 5000.0, 19_000.0)
    recorder = await world.record(source, 6000.0, 6000.0 + length)
    whole = [w for w in await source.read(6000.0, 19_000.0) if w.end <= 6000 + length]
    assert list(recorder.windows) == whole
    assert world.now == 20_000.0
    assert world.until == sorted(world.until)
    assert world.until[-1] == pytest.approx(6000 + length, abs=15)


async def test_hours_without_any_sample_are_passed_over():
    world = World(30_000.0)
    source = Scrapes(lambda: world.now, 5000.0, 29_000.0)
    for one in source.series:
        one.samples[:] = [x for x in one.samples if not 7000 < x.time < 20_000]
    recorder = await world.record(source, 6000.0, 28_000.0)
    assert list(recorder.windows) == [w for w in await source.read(6000.0, 29_000.0) if w.end <= 28_000]
    assert len(source.asked) < 30


async def test_what_lies_ahead_is_waited_for():
    world = World(6100.0)
    source = Scrapes(lambda: world.now, 5000.0, 19_000.0, late=3.0)
    recorder = await world.record(source, 6000.0, 7000.0)
    assert recorder.windows == tuple(w for w in await source.read(6000.0, 9000.0) if w.end <= 7000)
    assert recorder.windows[-1].end == pytest.approx(7000, abs=15)
    assert 7000 <= world.now <= 7080


async def test_a_source_that_stays_behind_is_waited_for_no_longer_than_it_takes():
    world = World(6100.0)
    recorder = await world.record(Scrapes(lambda: world.now, 5000.0, 6500.0), 6000.0, 7000.0)
    assert recorder.windows[-1].end < 6510
    assert 7075 <= world.now <= 7081


async def test_a_source_that_does_not_answer_is_asked_again_and_then_given_up():
    world = World(9000.0)
    source = Scrapes(lambda: world.now, 5000.0, 8000.0)
    source.failures = [UnavailableError("overloaded", 30.0), UnavailableError("still overloaded")]
    assert (await world.record(source, 6000.0, 6600.0)).windows
    assert world.told == [("overloaded", 30.0), ("still overloaded", 2.0)]
    source.failures = [UnavailableError("gone")] * 50
    with pytest.raises(UnavailableError, match="gone"):
        await world.record(source, 6000.0, 6600.0)
    source.failures = [ConfigurationError("401")]
    with pytest.raises(ConfigurationError, match="401"):
        await world.record(source, 6000.0, 6600.0)


# --- files


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz", "r.gz.jsonl"])
def test_a_file_is_what_was_recorded_and_gzip_by_its_name(tmp_path, name):
    recorder, path = recorded(window(1, STABLE), title="ä"), tmp_path / name
    write_recording(path, recorder.lines())
    assert read_recording(path) == recorder.recording()
    assert path.read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("old")

    def lines():
        yield "new"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_recording(path, lines())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_found_out_before(tmp_path):
    check_writable(tmp_path / "new.jsonl")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="No such file"):
        check_writable(tmp_path / "nowhere" / "r.jsonl")
    with pytest.raises(OSError, match="no regular file"):
        check_writable(tmp_path)


def test_a_cut_off_gzip_is_said_and_no_traceback(tmp_path):
    whole = gzip.compress(b"".join(json.dumps({"n": n}).encode() for n in range(999)))
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidRecording, match=r"r\.jsonl\.gz: cannot be read"):
        read_recording(path)
    assert math.isinf(Recorder(BOUNDS).until)


def test_a_recording_is_judged_as_its_own_policy_says_unless_another_is_asked_for(release):
    bad = release(canary_errors=(0.05,), rps=1000.0, seconds=8)
    recorder = Recorder(bad.policy.bounds_ms)
    recorder.step_starts, recorder.pods_started, recorder.policy = bad.steps, bad.starts, bad.policy
    recorder.add(bad.windows())
    found = reloaded(recorder)
    assert replay(found)[-1].verdict.decision is Decision.ROLL_BACK
    patient = Policy(found.bounds_ms)  # its first ten seconds do not count
    assert replay(found, patient)[-1].verdict.decision is Decision.CONTINUE


def test_options_change_the_recordings_policy_and_nothing_else_of_it(release, tmp_path):
    bad = release(canary_errors=(0.05,), rps=1000.0, seconds=8)
    recorder = Recorder(bad.policy.bounds_ms)
    recorder.step_starts, recorder.pods_started = bad.steps, bad.starts
    recorder.policy = replace(bad.policy, latency=None)
    recorder.add(bad.windows())
    write_recording(tmp_path / "r.jsonl", recorder.lines())

    def decided(*options):
        result = CliRunner().invoke(command, ["replay", str(tmp_path / "r.jsonl"), "--json", *options])
        last = json.loads(result.output.splitlines()[-1])
        return last["decision"], {entry["metric"] for entry in last["evidence"]}

    assert decided() == ("RollBack", {"errors", "gross-errors"})
    assert decided("--errors-warm-up", "10") == ("Continue", {"errors", "gross-errors"})
    assert decided("--latency-warm-up", "1")[1] >= {"errors", "latency"}


def test_the_last_look_has_everything_that_was_recorded():
    recorder = recorded(*(Window(1000 + 1.37 * n, 1001.37 + 1.37 * n, (STABLE, CANARY)) for n in range(9)))
    looks = replay(reloaded(recorder), Policy(BOUNDS), every=5.0)
    assert [look.time for look in looks] == [1005.0, 1010.0, pytest.approx(1012.33)]
