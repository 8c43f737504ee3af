"""How long one look takes: 500 rollouts of 20 pods on one core. Target: under a second.

    python -m benchmarks.judges.speed [--rollouts N] [--pods N]

Each is held as the controller holds it: a ledger that grew by the newest second since the last look. Told apart are taking
up that second, the decision alone, and the decision with its evidence and its estimate of what is still needed; and a
first look at a ledger that was stored and loaded, as after a restart. Ledgers are many enough not to stay in the
processor's caches. Some of a few simulated releases stand for all, as the time hardly depends on the counts.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before NumPy is loaded: one core

import argparse
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analysis.judges.judge import judge_table
from analysis.judges.ledger import Ledger
from analysis.model.counts import Arm, PodCounts, Window
from benchmarks.judges.case import Case, cases
from benchmarks.judges.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

AGES = (30, 120, 600)
KINDS = 5
DISTINCT = 50
LOOKS = 10
"""So many in a row: now and then a ledger merges what has become old."""


@dataclass(frozen=True)
class Release:
    """One simulated release.

    Attributes:
        case: Its world.
        windows: Its counts as a source gives them.
        born: Start of the canary's pods.
    """

    case: Case
    windows: list[Window]
    born: dict[str, float]

    def steps(self, now: float) -> list[float]:
        return [step for step in self.case.steps if step < now]

    def ledger(self, until: float) -> Ledger:
        """What the controller has of it at a time."""
        ledger = Ledger(len(self.case.policy.bounds_ms) + 1)
        ledger.add([window for window in self.windows if window.end <= until], self.steps(until))
        return ledger

    def look(self, ledger: Ledger, now: float, *, explain: bool) -> None:
        judge_table(
            ledger.table,
            self.case.policy,
            pods_started=self.born,
            step_starts=self.steps(now),
            now=now,
            explain=explain,
        )


def release(case: Case, run: int) -> Release:
    """Simulate one."""
    world = simulate(case, run)
    table = world.table
    arms = [Arm.CANARY if c else Arm.BASELINE for c in table.canary]
    found = []
    for row in range(int((table.start < AGES[-1]).sum())):
        pods = tuple(
            PodCounts(arm, pod, int(n), int(bad), tuple(int(count) for count in latency))
            for arm, pod, n, bad, latency in zip(
                arms, table.pods, table.attempts[row], table.errors[row], table.latency[row], strict=True
            )
        )
        found.append(Window(float(table.start[row]), float(table.end[row]), pods))
    return Release(case, found, {pod: born for pod, born in world.born.items() if pod.startswith("canary")})


def seconds(work: Callable[[], object]) -> float:
    """CPU time of something."""
    began = time.process_time()
    work()
    return time.process_time() - began


def steady(releases: list[Release], age: int) -> tuple[float, float, float]:
    """Mean seconds of CPU for one rollout: taking up the newest second, deciding, and deciding with an explanation."""
    held = [(one, one.ledger(age - LOOKS)) for one in releases * (DISTINCT // len(releases))]
    taking = deciding = explaining = 0.0
    for now in range(age - LOOKS + 1, age + 1):
        for one, ledger in held:
            newest = [window for window in one.windows if now - 1 < window.end <= now]
            taking += seconds(lambda: ledger.add(newest, one.steps(now), now))  # noqa: B023 - called at once
            deciding += seconds(lambda: one.look(ledger, now, explain=False))  # noqa: B023
            explaining += seconds(lambda: one.look(ledger, now, explain=True))  # noqa: B023
    looks = LOOKS * len(held)
    return taking / looks, deciding / looks, explaining / looks


def first(releases: list[Release], age: int) -> float:
    """Mean seconds of CPU for the first look at one rollout after a restart."""
    stored = [(one, one.ledger(age).dump()) for one in releases * (DISTINCT // len(releases))]
    return sum(seconds(lambda: one.look(Ledger.load(data), age, explain=True)) for one, data in stored) / len(stored)  # noqa: B023


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=500)
    parser.add_argument("--pods", type=int, default=20)
    args = parser.parse_args()
    usual = next(case for case in cases() if case.name == "pods differ, 1,000 rps")
    canaries = max(args.pods // 4, 1)
    case = replace(usual, stable=args.pods - canaries, canaries=[canaries])
    releases = [release(case, run) for run in range(KINDS)]
    print(
        f"{args.rollouts} rollouts × {args.pods} pods, {len(case.policy.bounds_ms) + 1} buckets, ten minutes of history; "
        "seconds of one core for a look at all"
    )
    print("   age  newest second taken + decided  + explained   ms for one: taken, decided, explained; first look")
    for age in AGES:
        took, decided, explained = steady(releases, age)
        print(
            f"{age:4d} s {args.rollouts * (took + decided):29.2f} {args.rollouts * (took + explained):12.2f}"
            f"{1000 * took:17.2f} {1000 * decided:8.2f} {1000 * explained:10.2f} {1000 * first(releases, age):11.2f}"
        )


if __name__ == "__main__":
    main()
