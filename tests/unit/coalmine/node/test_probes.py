from __future__ import annotations

from coalmine.local.node.probes import ProbeMachine, ProbeSpec


def machine(kind, *, initial=None, now=0.0, **fields):
    return ProbeMachine(ProbeSpec(kind=kind, handler={}, **fields), now=now, initial=initial)


def answers(probe, *outcomes):
    """Ask whenever due; return (time asked, change) of each answer."""
    found = []
    for outcome in outcomes:
        now = probe.next_at
        found.append((round(now, 3), probe.record(success=outcome, now=now)))
    return found


def test_kubernetes_defaults():
    spec = ProbeSpec.of({"livenessProbe": {"httpGet": {"port": 80}}}, "liveness")
    assert (spec.initial_delay, spec.period, spec.timeout) == (0, 10, 1)
    assert (spec.success_threshold, spec.failure_threshold) == (1, 3)
    assert ProbeSpec.of({}, "liveness") is None


def test_liveness_fails_after_so_many_failures_in_a_row():
    probe = machine("liveness", initial_delay=5, period=2, failure_threshold=2)
    assert answers(probe, True, False, True, False, False) == [
        (5, None),
        (7, None),
        (9, None),
        (11, None),
        (13, False),
    ]


def test_a_readiness_probe_is_asked_eagerly_until_it_first_succeeds_then_at_its_period():
    probe = machine("readiness", period=10)
    found = answers(probe, False, False, False, False, True, True)
    assert found == [(0, None), (0.05, None), (0.15, None), (0.35, None), (0.75, True), (10.75, None)]


def test_eager_failures_do_not_count():
    probe = machine("startup", period=1, failure_threshold=3)
    found = answers(probe, *[False] * 20)
    assert next(when for when, change in found if change is False) == 3
    assert probe.failures >= 3


def test_a_program_has_the_documented_time_to_start():
    probe = machine("startup", initial_delay=4, period=5, failure_threshold=2)
    found = answers(probe, *[False] * 20)
    assert next(when for when, change in found if change is False) == 4 + 5 * 2


def test_readiness_flips_both_ways():
    probe = machine("readiness", period=1, failure_threshold=2)
    assert [change for _, change in answers(probe, True, False, False, True)] == [True, None, False, True]
    assert probe.result is True


def test_success_threshold_is_counted_in_a_row_and_at_the_period():
    probe = machine("readiness", period=1, success_threshold=2)
    assert answers(probe, True, False, True, True) == [(0, None), (1, None), (2, None), (3, True)]


def test_startup_succeeds_once():
    probe = machine("startup", period=1)
    assert probe.result is None
    assert answers(probe, True)[0] == (0, True)


def test_a_new_agent_knows_that_a_container_was_ready():
    probe = machine("readiness", initial=True, initial_delay=30, period=1, failure_threshold=2)
    assert answers(probe, False, False) == [(0, None), (1, False)]
