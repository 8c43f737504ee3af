"""The judges of the table: ours, the rivals' rules, and textbook tests as people would write them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.judges.cells import cells_of
from analysis.judges.errors import errors_of
from analysis.judges.judge import judge_table
from analysis.judges.latency import latency_of
from analysis.judges.rivals.argo import Argo
from analysis.judges.rivals.base import Answer, error_rate, p99
from analysis.judges.rivals.flagger import Flagger
from analysis.judges.rivals.kayenta import Kayenta
from analysis.model.verdict import Decision
from analysis.stats.bets import LOG_STAKES_SLOWER, LOG_STAKES_WORSE
from analysis.stats.classical import fisher_greater, log_mixture_sprt, rank_sum_z, z_quantile
from analysis.stats.counting import log_mean

if TYPE_CHECKING:
    from analysis.judges.table import Table
    from benchmarks.judges.simulate import Case, World

ALPHA = 0.01


class Coalmine:
    """Ours, at the default policy."""

    name = "Coalmine"

    def __init__(self, case: Case, world: World) -> None:
        self._case, self._born = case, world.born

    def look(self, table: Table, now: float) -> Answer:
        begun = [step for step in self._case.steps if step < now]
        verdict = judge_table(
            table, self._case.policy, pods_started=self._born, step_starts=begun, now=now, explain=False
        )
        decided = (
            verdict.decision if verdict.decision in {Decision.ROLL_BACK, Decision.PROMOTE, Decision.OUTLIER} else None
        )
        return Answer(decided, verdict.summary)


class Classical:
    """Fisher on all errors and Mann-Whitney on all latencies so far, each at 1 %, at every look."""

    name = "Fisher + MW"

    def look(self, table: Table, now: float) -> Answer:
        errors, attempts, slower = _totals(table, now)
        p = fisher_greater(errors[0], attempts[0], errors[1], attempts[1])
        worse = p < ALPHA or slower > z_quantile(1 - ALPHA)
        return Answer(Decision.ROLL_BACK if worse else None, f"p = {p:.3g}")


class MixtureSprt:
    """Mixture SPRT with a normal mixture, on the difference of error rates and on the rank sum; α = 1 %."""

    name = "mixture SPRT"

    def look(self, table: Table, now: float) -> Answer:
        errors, attempts, slower = _totals(table, now)
        if min(attempts) <= 0:
            return Answer(None, "no data")
        pooled = (errors[0] + errors[1]) / (attempts[0] + attempts[1])
        variance = pooled * (1 - pooled) * (1 / attempts[0] + 1 / attempts[1])
        difference = errors[0] / attempts[0] - errors[1] / attempts[1]
        one = log_mixture_sprt(difference, variance, max(pooled, 1e-3)) if difference > 0 else 0.0
        own = 1 / attempts[0] + 1 / attempts[1]
        two = log_mixture_sprt(slower * math.sqrt(own), own, 0.2) if slower > 0 else 0.0
        worse = max(one, two) >= math.log(2 / ALPHA)
        return Answer(Decision.ROLL_BACK if worse else None, f"log Λ = {max(one, two):.1f}")


class NaiveEProcess:
    """Our bets without what makes them robust: no spread between pods, no dispersion, no warm-up, no restarts."""

    name = "naive e-process"

    def __init__(self, case: Case) -> None:
        self._case = case

    def look(self, table: Table, now: float) -> Answer:
        merged = table.merged([step for step in self._case.steps if step < now])
        cells = cells_of(merged, None, ())
        failed = replace(errors_of(cells), dispersion=1.0)
        errors = float(log_mean(failed.wealth(1.0).sum(axis=0), LOG_STAKES_WORSE))
        latency = latency_of(cells, self._case.policy.bounds_ms)
        ranks = float(log_mean(latency.likelihoods(1.0, (-1,))[0][0], LOG_STAKES_SLOWER)) if latency.routes else 0.0
        worse = max(errors, ranks) >= math.log(2 / ALPHA)
        return Answer(Decision.ROLL_BACK if worse else None, f"log e = {max(errors, ranks):.1f}")


def _totals(table: Table, now: float) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Errors and attempts of canary and baseline since the release began, and the rank-sum z of their latencies."""
    rows = slice(int(np.searchsorted(table.start, -1e-9)), None)
    del now
    sides = (table.canary, ~table.canary)
    errors = [float(table.errors[rows][:, side].sum()) for side in sides]
    attempts = [float(table.attempts[rows][:, side].sum()) for side in sides]
    slower = rank_sum_z(*(table.latency[rows][:, side].sum(axis=(0, 1)) for side in sides))
    return (errors[0], errors[1]), (attempts[0], attempts[1]), slower


def lineup(case: Case, world: World) -> list:
    """All judges, new for one release. The tuned rules know the service: 2 × its own errors, 1.5 × its own p99."""
    bounds, history = case.policy.bounds_ms, slice(0, int(np.searchsorted(world.table.start, -1e-9)))
    own = error_rate(world.table, history, canary=False) or 0.0
    usual = p99(world.table, history, bounds, canary=False) or 1.0
    tuned = {"most_errors": 2 * own, "most_p99": 1.5 * usual}
    return [
        Coalmine(case, world),
        Flagger(bounds, name="Flagger"),
        Flagger(bounds, **tuned, name="Flagger tuned"),
        Argo(bounds, **tuned, failure_limit=3, interval=10.0, name="Argo tuned"),
        Kayenta(bounds, start=0.0, name="Kayenta"),
        Kayenta(bounds, start=0.0, end=case.end, name="Kayenta at end"),
        Classical(),
        MixtureSprt(),
        NaiveEProcess(case),
    ]
