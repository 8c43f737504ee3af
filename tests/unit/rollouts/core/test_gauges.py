"""What monitoring is told of each Rollout: statuses that the controller itself wrote, as numbers."""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision
from rollouts.core.gauges import GAUGES, samples


@pytest.fixture
def told(world):
    """Returns what is told of the Rollout now: values by the gauge's name and its own labels."""

    def tell():
        body = {
            "metadata": {"namespace": "shop", "name": "payment"},
            "spec": world.spec,
            "status": world.status,
        }
        found = {}
        for sample in samples([body], world.now):
            assert sample.labels[:2] == ("shop", "payment")
            key = (sample.gauge.removeprefix("coalmine_rollout_"), *sample.labels[2:])
            assert key not in found, "a series twice"
            found[key] = sample.value
        return found

    return tell


def test_a_rollout_that_rests_has_few_series(world, told):
    world.settle()
    found = told()
    stable = world.status["stable"]["revision"]
    assert found["info", "payment", stable, ""] == 1
    assert found["phase", "Healthy", "Healthy"] == 1
    assert found["weight_ratio", "configured"] == 0
    assert found["step",] == 0
    assert found["state_start_timestamp_seconds",] == pytest.approx(world.now, abs=60)
    assert not {"verdict", "gate_waiting_seconds", "release_start_timestamp_seconds"} & {key[0] for key in found}


def test_a_rollout_that_nobody_has_looked_at_is_initializing():
    found = {(s.gauge, *s.labels): s.value for s in samples([{"metadata": {"name": "x", "namespace": "shop"}}], 0.0)}
    assert found["coalmine_rollout_phase", "shop", "x", "Initializing", "Initializing"] == 1


def test_a_release_tells_its_weights_its_step_and_its_evidence(world, told):
    world.share = 9.4
    world.misses(missed=False)
    world.released()
    world.says(Decision.CONTINUE)
    world.settle()
    found = told()
    assert found["phase", "Progressing", "Judging"] == 1
    assert (found["step",], found["steps",]) == (1, 3)
    assert found["weight_ratio", "configured"] == found["weight_ratio", "acknowledged"] == 0.1
    assert found["weight_ratio", "actual"] == 0.094
    assert found["verdict", "Continue"] == 1
    assert found["evidence_e_value", "slo/availability", "rollback"] == 5000
    assert found["evidence_threshold", "slo/availability", "rollback"] == 1000
    assert ("evidence_e_value", "slo/availability", "promote") not in found, "an objective promotes nothing"
    assert (found["judged_requests", "canary"], found["judged_requests", "baseline"]) == (1204, 10911)
    assert found["measurement_problems",] == 0
    assert found["release_start_timestamp_seconds",] == pytest.approx(world.now, abs=60)


@pytest.mark.parametrize("gate", [{"steps": [{"setWeight": 10}, {"approval": {}}]}, {"promotionApproval": {}}])
def test_a_gate_that_waits_says_for_how_long(world, told, gate):
    world.spec = {"workloadRef": {"name": "payment"}, "steps": [{"setWeight": 10}], **gate}
    world.released()
    world.says(Decision.PROMOTE)
    world.wait(40)
    assert world.phase == "AwaitingApproval"
    before = told()["gate_waiting_seconds",]
    world.wait(30)
    assert told()["gate_waiting_seconds",] == before + 30


def test_what_a_release_came_to_stays_known(world, told):
    world.released()
    world.says(Decision.ROLL_BACK, "errors")
    world.wait(40)
    found = told()
    assert found["phase", "RolledBack", "RolledBack"] == 1
    assert found["last_release_end_timestamp_seconds", "RolledBack"] == pytest.approx(world.now, abs=60)
    assert found["last_decision_timestamp_seconds",] == pytest.approx(world.now, abs=60)
    assert ("release_start_timestamp_seconds",) not in found


def test_every_series_belongs_to_a_gauge_with_these_labels(world, told):
    labels = {gauge.name.removeprefix("coalmine_rollout_"): len(gauge.labels) for gauge in GAUGES}
    world.share = 9.4
    world.misses(missed=False)
    world.released()
    world.says(Decision.CONTINUE)
    world.settle()
    for name, *values in told():
        assert labels[name] == len(values)


def test_of_a_release_with_very_many_metrics_only_some_are_told(world):
    evidence = [{"metric": f"m{n}", "rollbackAt": 100, "rollbackE": n} for n in range(100)]
    body = {
        "metadata": {"namespace": "shop", "name": "payment"},
        "status": {"internal": {"state": "Judging"}, "evidence": evidence},
    }
    assert sum(s.gauge == "coalmine_rollout_evidence_e_value" for s in samples([body], 0.0)) == 24
