"""What is kept of what the cluster said."""

import pytest

from coalmine.demo.journal import Acknowledged, Ended, Journal, PhaseChanged, WeightSet, moment_words, parse_time
from mesh.api.trafficsplit import TrafficSplitSpec, TrafficSplitStatus
from rollouts.api.rollout import HistoryEntry, Phase, RolloutStatus, Version


def split(canary: int) -> TrafficSplitSpec:
    backends = [{"service": "payment", "weight": 100 - canary}, {"service": "payment-canary", "weight": canary}]
    return TrafficSplitSpec.model_validate({"service": "payment", "backends": backends})


def acknowledged(canary: int, time: str = "1970-01-01T00:00:05.250000Z", generation: int = 1) -> TrafficSplitStatus:
    weights = {"payment": 100 - canary, "payment-canary": canary}
    return TrafficSplitStatus.model_validate(
        {
            "acknowledged": {"generation": generation, "weights": weights, "time": time},
            "proxies": {"affected": 2, "acknowledged": 2},
        }
    )


def entry(image: str, outcome: str = "Promoted", started: str = "2026-01-01T00:00:00Z") -> HistoryEntry:
    return HistoryEntry.model_validate(
        {
            "revision": image,
            "images": (f"r/payment:{image}",),
            "outcome": outcome,
            "reason": "because",
            "startedAt": started,
            "endedAt": started,
        }
    )


def test_a_phase_is_noted_once() -> None:
    journal = Journal()
    canary = Version(revision="abc", images=("r/payment:v2",))
    status = RolloutStatus(phase=Phase.PROGRESSING, canary=canary, message="judging")
    assert journal.take_rollout(status, 1.0) == (PhaseChanged(1.0, Phase.PROGRESSING, "v2", "judging"),)
    assert journal.take_rollout(status, 2.0) == ()


def test_a_weight_is_set_then_acknowledged_at_the_time_the_mesh_says() -> None:
    journal = Journal()
    assert journal.take_split(split(10), TrafficSplitStatus(), 5.0) == (WeightSet(5.0, 10),)
    assert journal.take_split(split(10), acknowledged(10), 5.5) == (Acknowledged(5.25, 10, 2),)
    assert (journal.weight_set, journal.weight_acknowledged) == (10, 10)


def test_an_acknowledgement_to_the_second_counts_from_when_it_was_seen() -> None:
    journal = Journal()
    journal.take_split(split(10), acknowledged(10, "1970-01-01T00:00:05Z"), 5.75)
    assert journal.moments[-1] == Acknowledged(5.75, 10, 2)


def test_an_old_acknowledgement_of_the_same_weight_is_no_news() -> None:
    journal = Journal()
    journal.take_split(split(10), acknowledged(10), 5.5)
    assert journal.take_split(split(50), acknowledged(10), 6.0) == (WeightSet(6.0, 50),)


def test_a_deleted_split_means_weight_zero() -> None:
    journal = Journal()
    journal.take_split(split(10), acknowledged(10), 5.5)
    assert journal.take_split(None, TrafficSplitStatus(), 6.0) == (WeightSet(6.0, 0),)


def test_each_end_in_the_history_is_noted_once_wherever_it_stands() -> None:
    journal = Journal()
    first, second = entry("v2"), entry("v3", "RolledBack", "2026-01-01T00:01:00Z")
    assert journal.take_rollout(RolloutStatus(history=(first,)), 1.0) == (Ended(1.0, first),)
    assert journal.take_rollout(RolloutStatus(history=(second, first)), 2.0) == (Ended(2.0, second),)


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (PhaseChanged(1, Phase.PAUSED, "v2", ""), "rollout is Paused"),
        (PhaseChanged(1, Phase.PAUSED, "v2", "a break"), "rollout is Paused: a break"),
        (WeightSet(1, 10), "weight set to 10 %"),
        (Acknowledged(1, 10, 3), "weight 10 % in force at every proxy (3 of 3)"),
        (Ended(1, entry("v2")), "v2 Promoted: because"),
    ],
)
def test_moments_have_words(moment: object, words: str) -> None:
    assert moment_words(moment) == words


def test_times_with_a_fraction_are_taken() -> None:
    assert parse_time("1970-01-01T00:01:00.5Z", otherwise=3.0) == 60.5
    assert parse_time("1970-01-01T00:01:00Z", otherwise=3.0) == 3.0
