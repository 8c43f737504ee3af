"""What people see of one Rollout."""

from __future__ import annotations

import copy

import pytest

from rollouts.api.status import Phase
from rollouts.views.looks import PHASES, StepState, Tone, Waits
from rollouts.views.release import release_of, step_bar, weight_words

JUDGED = {
    "metadata": {"namespace": "shop", "name": "payment", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"workloadRef": {"name": "payment"}},
    "status": {
        "observedGeneration": 2,
        "phase": "Progressing",
        "message": "judges 50 %; about 20s more: nothing is shown yet",
        "stable": {"revision": "aaa", "images": ["registry.example/shop/payment:v1"]},
        "canary": {"revision": "bbb", "images": ["registry.example/shop/payment:v2"]},
        "startedAt": "2026-01-01T00:10:00Z",
        "stepIndex": 1,
        "step": "2/3",
        "stepStartedAt": "2026-01-01T00:12:00Z",
        "weight": {"configured": 50, "acknowledged": 50, "actual": 49.8, "heldBack": 0, "proxies": "5/5", "message": ""},
        "verdict": "Continue",
        "summary": "nothing is shown yet",
        "need": "about 400 more canary requests, about 20s at the present rate",
        "evidence": [
            {
                "metric": "errors", "words": "canary 0.1 %, baseline 0.1 %", "rollbackE": 0.5, "rollbackAt": 200.0,
                "promoteE": 4.472, "promoteAt": 20.0,
            },
            {"metric": "gross-errors", "words": "no", "rollbackE": 1e4, "rollbackAt": 1e3, "promoteE": 1.0, "promoteAt": 0.0},
        ],
    },
}  # fmt: skip


def rollout(**status):
    changed = copy.deepcopy(JUDGED)
    changed["status"].update(status)
    return changed


def test_a_judged_step_has_its_place_the_three_weights_and_the_evidence_with_how_far_it_is():
    seen = release_of(JUDGED)
    assert (seen.namespace, seen.name, seen.workload, seen.service) == ("shop", "payment", "payment", "payment")
    assert (seen.stable.words, seen.canary.words, seen.step) == ("v1", "v2", "2/3")
    assert step_bar(seen) == "✔ 10 %  ▶ 50 %  · 100 %"
    assert weight_words(seen.weights) == "50 % set, 50 % acknowledged by 5/5 proxies, 49.8 % measured"
    errors, gross = seen.evidence
    assert (errors.tone, round(errors.for_promotion, 2), errors.for_rollback) == (Tone.IDLE, 0.5, 0.0)
    assert (gross.tone, gross.for_promotion, gross.for_rollback, gross.guard) == (Tone.BAD, None, 1.0, True)
    assert (seen.waits, seen.under_way, seen.current) == (Waits.JUDGE, True, True)
    assert seen.started - seen.created == 600


def test_every_phase_has_a_look_of_its_own():
    assert set(PHASES) == set(Phase)
    assert len({look.symbol for look in PHASES.values()}) == len(PHASES)


@pytest.mark.parametrize(
    ("status", "bar"),
    [
        ({"phase": "RollingBack"}, "✔ 10 %  ✖ 50 %  · 100 %"),
        ({"phase": "RolledBack"}, "✔ 10 %  ✖ 50 %  · 100 %"),
        ({"phase": "Promoting"}, "✔ 10 %  ✔ 50 %  ✔ 100 %"),
        ({"phase": "Starting", "stepIndex": None}, "· 10 %  · 50 %  · 100 %"),
        ({"phase": "Healthy", "stepIndex": None, "history": [{"outcome": "Promoted"}]}, "✔ 10 %  ✔ 50 %  ✔ 100 %"),
        ({"phase": "Healthy", "stepIndex": None, "history": [{"outcome": "Reverted"}]}, "· 10 %  · 50 %  · 100 %"),
        ({"phase": "Healthy", "stepIndex": None}, "· 10 %  · 50 %  · 100 %"),
    ],
)
def test_the_bar_says_where_it_ended_without_colours(status, bar):
    assert step_bar(release_of(rollout(**status))) == bar


@pytest.mark.parametrize(
    ("phase", "weight", "started", "waits"),
    [
        ("Progressing", {"configured": 10, "acknowledged": 10}, None, Waits.PODS),  # the weight before: it still scales
        ("Progressing", {"configured": 50, "acknowledged": 10}, None, Waits.PROXIES),
        ("Progressing", {"configured": 50, "acknowledged": 50}, "2026-01-01T00:12:00Z", Waits.JUDGE),
        ("AwaitingApproval", {}, None, Waits.PEOPLE),
        ("Paused", {}, None, Waits.PEOPLE),
        ("RolledBack", {}, None, Waits.GIT),
        ("Stalled", {}, None, Waits.FIX),
        ("Healthy", {}, None, Waits.NOBODY),
    ],
)
def test_it_says_whom_it_waits_for(phase, weight, started, waits):
    assert release_of(rollout(phase=phase, weight=weight, stepStartedAt=started)).waits is waits


def test_a_pause_with_a_time_waits_for_nobody():
    timed = rollout(phase="Paused", stepIndex=0)
    timed["spec"]["steps"] = [{"pause": {"duration": "5m"}}]
    assert release_of(timed).waits is Waits.TIME


def test_a_question_is_the_gates_own_or_the_steps():
    asked = rollout(phase="AwaitingApproval", stepIndex=0)
    asked["spec"]["steps"] = [{"approval": {"message": "look at the dashboard"}}]
    assert release_of(asked).approval.message == "look at the dashboard"
    asked["status"]["approval"] = {
        "gate": "g1",
        "message": "two of you",
        "required": 2,
        "until": "2026-01-01T01:00:00Z",
    }
    approval = release_of(asked).approval
    assert (approval.gate, approval.message, approval.required, approval.until) == ("g1", "two of you", 2, 1767229200.0)
    assert release_of(JUDGED).approval is None


@pytest.mark.parametrize(
    "raw", [{}, {"metadata": {"name": "x"}}, {"status": {"phase": "ANewOne"}}, {"spec": {"strategy": None}}]
)
def test_what_is_missing_or_new_is_no_error(raw):
    seen = release_of(raw)
    assert seen.look.title
    assert [s.state for s in seen.steps if s.state is not StepState.TO_COME] == []
    assert not seen.under_way
