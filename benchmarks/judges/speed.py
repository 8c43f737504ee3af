"""How long one look takes: 500 rollouts of 20 pods, ten minutes old, on one core. Target: under a second.

    python -m benchmarks.judges.speed [--rollouts N] [--pods N]

Each is held as the controller holds it, in a ledger; a look takes up the newest second and judges. Some of a few simulated
releases stand for all, as the time does not depend on the counts.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before NumPy is loaded: one core

import argparse
import time
from dataclasses import replace

from analysis.judges.judge import judge_table
from analysis.judges.ledger import Ledger
from analysis.model.counts import Arm, PodCounts, Window
from benchmarks.judges.case import Case, cases
from benchmarks.judges.simulate import simulate

AGES = (30, 120, 600)
KINDS = 5


def windows(case: Case, run: int, until: int) -> list[Window]:
    """A release's counts as a source gives them."""
    table = simulate(case, run).table
    arms = [Arm.CANARY if c else Arm.BASELINE for c in table.canary]
    found = []
    for row in range(int((table.start < until).sum())):
        pods = tuple(
            PodCounts(arm, pod, int(n), int(bad), tuple(int(count) for count in latency))
            for arm, pod, n, bad, latency in zip(
                arms, table.pods, table.attempts[row], table.errors[row], table.latency[row], strict=True
            )
        )
        found.append(Window(float(table.start[row]), float(table.end[row]), pods))
    return found


def measure(case: Case, age: int, rollouts: int) -> tuple[float, float]:
    """Seconds of CPU for one look at all rollouts: taking up the newest window, and judging."""
    steps = [step for step in case.steps if step < age]
    releases = []
    for run in range(KINDS):
        told = windows(case, run, age)
        ledger = Ledger(len(case.policy.bounds_ms) + 1)
        ledger.add(told[:-1], steps)
        releases.append((ledger, told[-1]))
    taking = judging = 0.0
    for number in range(rollouts):
        held, newest = releases[number % KINDS]
        ledger = Ledger(len(case.policy.bounds_ms) + 1, held.table)
        began = time.process_time()
        ledger.add([newest], steps)
        taken = time.process_time()
        judge_table(ledger.table, case.policy, pods_started={}, step_starts=steps, now=float(age))
        taking, judging = taking + taken - began, judging + time.process_time() - taken
    return taking, judging


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=500)
    parser.add_argument("--pods", type=int, default=20)
    args = parser.parse_args()
    usual = next(case for case in cases() if case.name == "pods differ, 1,000 rps")
    canaries = max(args.pods // 4, 1)
    case = replace(usual, stable=args.pods - canaries, canaries=[canaries])
    print(
        f"{args.rollouts} rollouts × {args.pods} pods, {len(case.policy.bounds_ms) + 1} buckets, ten minutes of history"
    )
    first = None
    for age in AGES:
        taking, judging = measure(case, age, args.rollouts)
        first = first or judging
        print(
            f"{age:4d} s old: {taking + judging:6.2f} s a look ({1000 * judging / args.rollouts:.1f} ms to judge one, "
            f"{1000 * taking / args.rollouts:.1f} ms to take up the newest second), {judging / first:.1f} × the youngest"
        )


if __name__ == "__main__":
    main()
