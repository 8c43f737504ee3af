"""Replay, compare, plan: from Python and from the command line."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import analysis
from analysis.cli import analysis as command
from analysis.model.policy import DEFAULT_BOUNDS_MS, Policy
from analysis.model.recording import Recording, load
from analysis.model.verdict import Decision
from analysis.run.compare import compare
from analysis.run.plan import Traffic, plan
from mesh.api.telemetry import LATENCY_BOUNDS_MS

SAMPLE = Path(__file__).parents[3] / "examples" / "analysis" / "twice-the-errors.jsonl.gz"


@pytest.fixture(scope="module")
def sample():
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        return load(lines)


def run(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(command, [str(a) for a in arguments])


def test_replay_takes_the_sample_back_and_many_recordings_at_once(sample):
    looks = analysis.replay(sample, every=10.0, explain=False)
    back = [look.time for look in looks if look.verdict.decision is Decision.ROLL_BACK]
    assert 200 <= back[0] - sample.step_starts[0] <= 300
    assert analysis.replay([sample, sample], every=100.0, explain=False)[1] == analysis.replay(
        sample, every=100.0, explain=False
    )


def test_replay_refuses_what_cannot_be(sample):
    with pytest.raises(ValueError, match="every is 0"):
        analysis.replay(sample, every=0.0)
    with pytest.raises(ValueError, match="boundsMs"):
        analysis.replay(sample, Policy((1.0,)))
    assert analysis.replay(Recording((1.0,))) == []


def test_compare_puts_ours_first_and_every_rule_sees_the_same(sample):
    rows = compare(sample)
    assert [row.judge.split(",")[0] for row in rows] == [
        "Coalmine",
        "Flagger",
        "Flagger",
        "Argo Rollouts",
        "Kayenta",
        "Kayenta",
    ]
    assert rows[0].decision is Decision.ROLL_BACK
    assert rows[-1].after == 600.0
    assert compare(Recording((1.0,))) == []


def test_a_plan_says_about_what_simulation_says():
    """benchmarks/judges: 1 → 2 % at 100/s in about 240 s, 1 → 10 % in 20 s, a fifth slower in 130 s, equal in 260 s."""
    (found,) = plan(
        Traffic(100.0, 0.01),
        Policy(DEFAULT_BOUNDS_MS),
        weights=[10.0],
        error_ratios=[2.0, 10.0],
        latency_ratios=[1.2],
    )
    assert found.errors[2.0] == pytest.approx(240, rel=0.3)
    assert found.errors[10.0] == pytest.approx(20, rel=0.5)
    assert found.latency[1.2] == pytest.approx(130, rel=0.3)
    assert found.equal == pytest.approx(260, rel=0.3)


def test_more_traffic_and_larger_regressions_take_less_time():
    policy = Policy(DEFAULT_BOUNDS_MS)
    slow, fast = (
        plan(Traffic(rps, 0.001), policy, weights=[10.0], error_ratios=[3.0, 9.0], latency_ratios=[1.5])[0]
        for rps in (20.0, 500.0)
    )
    assert slow.errors[3.0] > slow.errors[9.0] > fast.errors[9.0]
    assert slow.latency[1.5] > fast.latency[1.5]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"rps": 0}, "rps"), ({"error_rate": 1.0}, "error rate"), ({"p50_ms": 90.0}, "p99"), ({"canary_pods": 0}, "pods")],
)
def test_what_is_no_service_is_refused_by_name(change, words):
    with pytest.raises(ValueError, match=words):
        Traffic(**{"rps": 1.0, "error_rate": 0.1, **change})


def test_the_commands_show_when_and_why(tmp_path):
    replayed = run("replay", SAMPLE, "--every", 10)
    assert replayed.exit_code == 0, replayed.output
    assert "RollBack: errors: canary 2" in replayed.output
    assert "step 2 begins" in replayed.output
    compared = run("compare", SAMPLE)
    assert compared.output.count("RollBack") >= 4
    first = json.loads(run("replay", SAMPLE, "--every", 300, "--json").output.splitlines()[0])
    assert first["decision"] == "RollBack"
    planned = run("plan", "--rps", 100, "--error-rate", 1, "--weight", 10, "--plot", tmp_path / "plan.svg")
    assert planned.exit_code == 0, planned.output
    assert "10 %" in planned.output
    assert (tmp_path / "plan.svg").read_text().startswith("<?xml")


def test_the_commands_say_what_is_wrong_with_a_file(tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text("nonsense\n")
    answer = run("replay", broken)
    assert answer.exit_code == 1
    assert "broken.jsonl:1: this is not JSON" in answer.output
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"format": "coalmine.dev/recording/v1", "boundsMs": [1]}\n')
    assert "no canary requests" in run("compare", empty).output
    (tmp_path / "binary.gz").write_bytes(b"\x00\x01")
    assert "cannot be read" in run("replay", tmp_path / "binary.gz").output
    assert "above 0" in run("plan", "--rps", 0, "--error-rate", 1).output


def test_the_meshs_buckets_are_the_default_ones():
    assert LATENCY_BOUNDS_MS == DEFAULT_BOUNDS_MS
