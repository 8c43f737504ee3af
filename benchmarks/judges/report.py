"""The table judges × scenarios, with exact binomial bounds."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from scipy import stats

if TYPE_CHECKING:
    from benchmarks.judges.simulate import Case

CONFIDENCE = 0.95


def table(cases: list[Case], results: dict[str, list[dict]], every: float) -> str:
    """Three tables as text: false rollbacks, regressions, promotion."""
    runs = len(next(iter(results.values())))
    judges = list(next(iter(results.values()))[0])
    lines = []
    for group, title, cell in (
        ("null", "The same version twice: rolled back, %", _wrong),
        ("regression", "A worse version: rolled back, % / median seconds", _found),
        ("promotion", "Promotion: promoted, % / median seconds", _promoted),
    ):
        chosen = [case for case in cases if case.group == group]
        if not chosen:
            continue
        lines += ["", f"{title} ({runs} runs, a look every {every:g} s)", _row(["", *judges, "target"])]
        for case in chosen:
            cells = [cell([run[judge] for run in results[case.name]]) for judge in judges]
            if group == "regression" and (bound := wald(case)) is not None:
                cells[0] += f" ({_ratio(results[case.name], judges[0], bound)})"
            lines.append(_row([case.name, *cells, case.target or ("<= 1" if group == "null" else "")]))
    lines += [
        "",
        *_harm(cases, results, judges),
        f"With {runs} runs, 0 wrong means at most {_upper(0, runs):.1f} % (exact, 95 %).",
    ]
    lines.append("In brackets: our median over the Wald bound, which knows both rates beforehand.")
    return "\n".join(lines)


def wald(case: Case) -> float | None:
    """Expected seconds of Wald's sequential test at α = 1 % that knows both error rates; None for latency cases."""
    if case.canary_errors < 0 or case.errors <= 0:
        return None
    left = math.log(100.0)
    for share in case.shares:
        gain = case.rps * _information(case.errors, case.canary_errors, share)
        if left <= gain * case.step_seconds:
            return case.shares.index(share) * case.step_seconds + left / gain
        left -= gain * case.step_seconds
    return None


def _information(p: float, worse: float, share: float) -> float:
    """Log likelihood ratio a request of the sum (Poisson), given only which arm the failures fall to."""
    bad = share * worse + (1 - share) * p
    q, r = share, share * worse / bad
    return bad * (r * math.log(r / q) + (1 - r) * math.log((1 - r) / (1 - q)))


def _ratio(runs: list[dict], judge: str, bound: float) -> str:
    times = [run[judge]["RollBack"] for run in runs if run[judge]["RollBack"] is not None]
    return f"{median(times) / bound:.1f}x" if times else "-"


def _wrong(runs: list[dict]) -> str:
    hits = sum(run["RollBack"] is not None for run in runs)
    return f"{100 * hits / len(runs):.3g}" + (
        f" [{_lower(hits, len(runs)):.1f}-{_upper(hits, len(runs)):.1f}]" if hits else ""
    )


def _found(runs: list[dict]) -> str:
    return _share_and_time(runs, "RollBack")


def _promoted(runs: list[dict]) -> str:
    return _share_and_time(runs, "Promote")


def _share_and_time(runs: list[dict], what: str) -> str:
    times = [run[what] for run in runs if run[what] is not None]
    return f"{100 * len(times) / len(runs):.3g}/{median(times):.0f}" if times else "0"


def _harm(cases: list[Case], results: dict[str, list[dict]], judges: list[str]) -> list[str]:
    lines = ["Harm before the rollback: canary requests / excess failures, mean", _row(["", *judges, ""])]
    for case in cases:
        if case.group == "regression" and case.canary_errors >= 0:
            cells = []
            for judge in judges:
                own = [run[judge] for run in results[case.name]]
                requests, excess = (sum(run[key] for run in own) / len(own) for key in ("requests", "excess"))
                cells.append(f"{requests:.0f}/{excess:.0f}")
            lines.append(_row([case.name, *cells, ""]))
    return lines if len(lines) > 2 else []


def _lower(hits: int, runs: int) -> float:
    return 100 * float(stats.beta.ppf((1 - CONFIDENCE) / 2, hits, runs - hits + 1)) if hits else 0.0


def _upper(hits: int, runs: int) -> float:
    side = CONFIDENCE if not hits else (1 + CONFIDENCE) / 2
    return 100 * float(stats.beta.ppf(side, hits + 1, runs - hits)) if hits < runs else 100.0


def _row(cells: list[str]) -> str:
    first, *rest = cells
    return f"{first:40}" + "".join(f"{cell:>17}" for cell in rest)
