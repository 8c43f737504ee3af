"""How often the judge is wrong, and how fast it is right: simulated releases with known truth.

    python benchmarks/judge_operating_characteristics.py [--quick] [--runs N] [--look SECONDS] [--only TEXT]

The protocol unless a case says otherwise: ten minutes of history, then 10 % of the traffic for five minutes and
50 % for five more; 10 stable pods, 3 and then 5 canary pods that start with their step; the default policy.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from analysis.judges.judge import judge_table
from analysis.judges.table import Table
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy
from analysis.model.verdict import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BOUNDS = (
    0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12.5, 15, 17.5, 20, 25, 30, 35, 40, 50, 60, 75, 100, 125, 150, 200, 250, 300,
    400, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10000, 15000, 30000, 60000,
)  # fmt: skip
HISTORY, HISTORY_WINDOW = 600, 10


@dataclass(frozen=True)
class Case:
    """One simulated world. Functions take seconds since the release began (arrays) and return factors."""

    name: str
    rps: float = 100.0
    errors: float = 0.01
    canary_errors: float | None = None
    median_ms: float = 20.0
    sd: float = 0.6
    stable: int = 10
    canaries: tuple[int, ...] = (3, 5)
    shares: tuple[float, ...] = (0.1, 0.5)
    step_seconds: int = 300
    error_sd: float = 0.0
    latency_sd: float = 0.0
    drift: float = 0.0
    clump: int = 1
    shared: Callable[[np.ndarray], np.ndarray] | None = None
    load: Callable[[np.ndarray], np.ndarray] | None = None
    cold: float = 0.0
    bad_nodes: float = 0.0
    slow: Callable[[np.ndarray], np.ndarray] | None = None
    slow_share: tuple[float, float] = (0.0, 0.0)
    tail: float = 0.0
    policy: Policy = field(default_factory=lambda: Policy(BOUNDS))
    target: str = ""
    limit_promotion: bool = False


def simulate(case: Case, rng: np.random.Generator) -> tuple[Table, dict[str, float], list[float]]:
    """Counts of one release as a table (release starts at 0), pod ages, step starts."""
    seconds = case.step_seconds * len(case.shares)
    start = np.concatenate([np.arange(-HISTORY, 0, HISTORY_WINDOW), np.arange(seconds)]).astype(float)
    length = np.where(start < 0, HISTORY_WINDOW, 1.0)
    pods = case.stable + max(case.canaries)
    canary = np.arange(pods) >= case.stable
    step = np.clip(start // case.step_seconds, 0, len(case.shares) - 1).astype(int)
    born = np.full(pods, -1e6)
    for number, count in enumerate(case.canaries):
        fresh = canary & (born < -1e5) & (np.arange(pods) < case.stable + count)
        born[fresh] = number * case.step_seconds
    alive = (start[:, None] >= born) | ~canary
    share = np.where(start < 0, 0.0, np.asarray(case.shares)[step])
    arm = np.where(canary, share[:, None], 1 - share[:, None]) * alive
    counts = np.where(canary, (alive & canary).sum(1)[:, None], case.stable)
    load = case.load(start) if case.load else np.ones(start.size)
    mean = case.rps * (length * load)[:, None] * arm / np.maximum(counts, 1)
    attempts = rng.poisson(mean).astype(float)
    errors = _errors(case, rng, start, canary, attempts)
    latency = _latency(case, rng, start, canary, attempts, born)
    names = tuple(f"{'canary' if c else 'stable'}-{i}" for i, c in enumerate(canary))
    table = Table(start, start + length, names, canary, attempts, np.minimum(errors, attempts), latency)
    ages = {name: float(b) for name, b in zip(names, born, strict=True)}
    return table, ages, [float(i * case.step_seconds) for i in range(len(case.shares))]


def _wander(case: Case, rng: np.random.Generator, start: np.ndarray, pods: int, sd: float) -> np.ndarray:
    """Log factors of pods: constant, or an autoregressive walk with the given time constant (seconds)."""
    level = rng.normal(0, sd, pods)
    if not case.drift:
        return np.broadcast_to(level, (start.size, pods))
    path = np.empty((start.size, pods))
    gaps = np.diff(start, prepend=start[0])
    for row, gap in enumerate(gaps):
        keep = np.exp(-gap / case.drift)
        level = keep * level + np.sqrt(1 - keep**2) * rng.normal(0, sd, pods)
        path[row] = level
    return path


def _errors(
    case: Case, rng: np.random.Generator, start: np.ndarray, canary: np.ndarray, attempts: np.ndarray
) -> np.ndarray:
    worse = case.errors if case.canary_errors is None else case.canary_errors
    rate = np.where(canary, worse, case.errors)[None, :] * np.exp(_wander(case, rng, start, canary.size, case.error_sd))
    if case.bad_nodes:
        rate = rate * np.where(rng.random(canary.size) < case.bad_nodes, 3.0, 1.0)
    if case.shared:
        rate = rate * case.shared(start)[:, None]
    rate = np.clip(rate, 0, 1)
    if case.clump > 1:
        return case.clump * rng.poisson(attempts * rate / case.clump).astype(float)
    return rng.binomial(attempts.astype(int), rate).astype(float)


def _latency(  # noqa: PLR0917 - arrays of one simulation
    case: Case, rng: np.random.Generator, start: np.ndarray, canary: np.ndarray, attempts: np.ndarray, born: np.ndarray
) -> np.ndarray:
    shift = np.array(_wander(case, rng, start, canary.size, case.latency_sd))
    if case.slow:
        shift = shift + np.log(case.slow(start))[:, None] * canary
    if case.cold:
        age = np.clip(start[:, None] - born[None, :], 0, None)
        shift = shift + np.log(1 + 3 * np.clip(1 - age / case.cold, 0, 1)) * canary
    edges = np.log(np.asarray(BOUNDS) / case.median_ms)
    z = (edges[None, None, :] - shift[:, :, None]) / case.sd
    below = special.ndtr(z)
    if case.tail:  # the slowest 5 % are slower by this factor
        stretched = special.ndtr((edges[None, None, :] - np.log(case.tail)) / case.sd)
        mixed = np.minimum(below, np.maximum(0.95, stretched))
        below = np.where(
            canary[None, :, None], np.where(below < 0.95, below, np.maximum(0.95, mixed * 0 + stretched)), below
        )
    if case.slow_share[0]:
        part, extra = case.slow_share
        late = stats.norm.cdf(np.log(np.maximum(np.asarray(BOUNDS) - extra, 1e-9) / case.median_ms) / case.sd)
        below = np.where(canary[None, :, None], (1 - part) * below + part * late, below)
    ends = np.concatenate([np.zeros((*below.shape[:2], 1)), below, np.ones((*below.shape[:2], 1))], axis=2)
    shares = np.clip(np.diff(ends, axis=2), 0, 1)
    return rng.multinomial(attempts.astype(int), shares / shares.sum(axis=2, keepdims=True)).astype(float)


@dataclass(frozen=True)
class Outcome:
    rolled_back: float | None
    outlier: float | None
    promoted: float | None
    metric: str = ""


def run(case: Case, seed: int, look: float) -> Outcome:
    """One release, looked at until it is rolled back or ends; notes when it would first have been promoted."""
    table, born, steps = simulate(case, np.random.default_rng(seed))
    outlier = promoted = None
    end = steps[-1] + case.step_seconds
    for now in np.arange(look, end + 1e-9, look):
        rows = slice(0, int(np.searchsorted(table.end, now + 1e-9, side="right")))
        part = replace(
            table, start=table.start[rows], end=table.end[rows], attempts=table.attempts[rows],
            errors=table.errors[rows], latency=table.latency[rows],
        )  # fmt: skip
        begun = [s for s in steps if s < now]
        verdict = judge_table(part, case.policy, pods_started=born, step_starts=begun, now=float(now), explain=False)
        if verdict.decision is Decision.ROLL_BACK:
            return Outcome(float(now), outlier, promoted, verdict.summary.split(":")[0])
        if verdict.decision is Decision.OUTLIER and outlier is None:
            outlier = float(now)
        if verdict.decision is Decision.PROMOTE and promoted is None:
            promoted = float(now)
            if case.limit_promotion:
                break
    return Outcome(None, outlier, promoted)


def _outage(start: np.ndarray) -> np.ndarray:
    return np.where((start > 100) & (start < 160), 30.0, 1.0)


def _swing(start: np.ndarray) -> np.ndarray:
    return np.exp(0.7 * np.sin(start / 40))


_PODS = {"error_sd": 0.3, "latency_sd": 0.05}
DEFAULT = Policy(BOUNDS)
NO_WARM_UP = Policy(BOUNDS, latency=LatencyPolicy(warm_up=0.0))
DEMO = Policy(BOUNDS, errors=ErrorPolicy(1.5, 0.02, 2.0), latency=LatencyPolicy(1.5, 5.0))

NULLS = (
    Case("independent, 100 rps, 1 % errors"),
    Case("traffic and errors swing together", load=_swing, shared=_swing),
    Case("5 rps", rps=5),
    Case("pods differ, 1,000 rps", rps=1000, **_PODS),
    Case("pods drift, 1,000 rps", rps=1000, drift=120.0, **_PODS),
    Case("errors in clumps of five", clump=5),
    Case("shared dependency fails for a while", shared=_outage),
    Case("new pods start x4 slow, 1,000 rps", rps=1000, cold=20.0),
    Case("3 stable and 1 canary pod that differ", rps=1000, stable=3, canaries=(1, 1), **_PODS),
    Case("a bad node (10 % of pods with x3 errors)", bad_nodes=0.1),
    Case("demo: 2 stable, 1 canary, sd .05 of log latency", rps=200, errors=0.001, stable=2, canaries=(1, 1), sd=0.3,
         latency_sd=0.05, policy=DEMO, shares=(0.1, 0.5), step_seconds=60),
    Case("demo, no errors", rps=200, errors=0.0, stable=2, canaries=(1, 1), sd=0.3,
         latency_sd=0.05, policy=DEMO, shares=(0.1, 0.5), step_seconds=60),
)  # fmt: skip

REGRESSIONS = (
    Case("errors .1 to .3 %, 1,000 rps", rps=1000, errors=0.001, canary_errors=0.003, target="100/80"),
    Case("errors .1 to .3 %, 100 rps", errors=0.001, canary_errors=0.003, target="84/460"),
    Case("errors .1 to 1 %, 100 rps", errors=0.001, canary_errors=0.01, target="100/80"),
    Case("errors 1 to 2 %, 100 rps", canary_errors=0.02, target="100/240"),
    Case("errors 1 to 2 %, 1,000 rps, pods differ", rps=1000, canary_errors=0.02, target="99.5/40", **_PODS),
    Case("errors 1 to 10 %, 100 rps", canary_errors=0.1, target="100/20"),
    Case("errors 1 to 10 %, 5 rps", rps=5, canary_errors=0.1, target="100/150"),
    Case("errors 0 to .5 %, 100 rps", errors=0.0, canary_errors=0.005, target="100/105"),
    Case("latency +20 %, 100 rps", slow=lambda s: np.full(s.size, 1.2), target="100/130"),
    Case("latency +20 %, no warm-up", slow=lambda s: np.full(s.size, 1.2), policy=NO_WARM_UP, target="100/40"),
    Case("p99 doubled, 100 rps", tail=2.0, target="100/140"),
    Case("5 % of requests +500 ms", slow_share=(0.05, 500.0), target="100/110"),
    Case("latency leak to x2 in ten minutes", slow=lambda s: 1 + np.clip(s, 0, None) / 600, target="100/130"),
    Case("demo (1): 0 to 5 % errors, 100 rps, 1 of 3 pods", errors=0.0, canary_errors=0.05, stable=2, canaries=(1,), shares=(0.1,),
         step_seconds=60, policy=replace(DEFAULT, errors=ErrorPolicy(warm_up=0.0)), sd=0.3, target="100/<12"),
    Case("demo (1b): the same, 200 rps, demo policy less warm-up", rps=200, errors=0.0, canary_errors=0.05, stable=2, canaries=(1,), shares=(0.1,),
         step_seconds=60, policy=replace(DEMO, errors=ErrorPolicy(1.5, 0.02, 0.0)), sd=0.3, target="100/<12"),
    Case("demo (2): latency doubled, 200 rps", rps=200, errors=0.0, slow=lambda s: np.full(s.size, 2.0), stable=2, canaries=(1,),
         shares=(0.1,), step_seconds=60, policy=DEMO, sd=0.3, latency_sd=0.05, target="100/<20"),
)  # fmt: skip

PROMOTIONS = (
    Case("A/A, 1,000 rps", rps=1000, target="100/100"),
    Case("A/A, 100 rps, 1 % errors", target="92/270"),
    Case("A/A, pods differ, 1,000 rps", rps=1000, target="-", **_PODS),
    Case("A/A demo, 200 rps at 10 %", rps=200, errors=0.0, stable=2, canaries=(1,), shares=(0.1,), step_seconds=60, sd=0.3,
         latency_sd=0.05, policy=DEMO, target="100/<25"),
    Case("A/A demo, .1 % errors", rps=200, errors=0.001, stable=2, canaries=(1,), shares=(0.1,), step_seconds=60, sd=0.3,
         latency_sd=0.05, policy=DEMO, target="100/<25"),
    Case("A/A demo at 50 %", rps=200, errors=0.001, stable=2, canaries=(1,), shares=(0.5,), step_seconds=60, sd=0.3,
         latency_sd=0.05, policy=DEMO, target="100/<10"),
    Case("at the limit: errors, 1,000 rps", rps=1000, canary_errors=0.0175, limit_promotion=True, target="<= 5 %"),
    Case("at the limit: errors, 100 rps", canary_errors=0.0175, limit_promotion=True, target="<= 5 %"),
    Case("at the limit: latency, 100 rps", slow=lambda s: np.full(s.size, 1.25), limit_promotion=True, target="<= 5 %"),
)  # fmt: skip


def table_of(cases: Iterable[Case], runs: int, look: float, only: str) -> None:
    for case in cases:
        if only not in case.name:
            continue
        began = time.monotonic()
        own = 1.0 if case.name.startswith(("demo", "A/A demo")) else look
        outcomes = [run(case, seed, own) for seed in range(runs)]
        back = [o.rolled_back for o in outcomes if o.rolled_back is not None]
        promoted = [o.promoted for o in outcomes if o.promoted is not None]
        outlier = [o for o in outcomes if o.outlier is not None]
        metric = ",".join(sorted({o.metric for o in outcomes if o.metric}))
        print(
            f"{case.name:56} rolled back {100 * len(back) / runs:5.1f} % at {median(back) if back else float('nan'):5.0f} s | "
            f"promoted {100 * len(promoted) / runs:5.1f} % at {median(promoted) if promoted else float('nan'):5.0f} s | "
            f"outlier {100 * len(outlier) / runs:4.1f} % | target {case.target:8} | {metric} [{time.monotonic() - began:.0f} s]",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs: a couple of minutes")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--look", type=float, default=10.0, help="seconds between looks (demo cases: 1)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    args = parser.parse_args()
    runs = 8 if args.quick else args.runs
    for title, cases in (("Same versions", NULLS), ("Regressions", REGRESSIONS), ("Promotion", PROMOTIONS)):
        print(f"\n{title} ({runs} runs, a look every {args.look:g} s)")
        table_of(cases, runs, args.look, args.only)


if __name__ == "__main__":
    sys.exit(main())
