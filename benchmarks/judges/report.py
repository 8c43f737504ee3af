"""The tables judges × scenarios, with exact binomial bounds, as text and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

from analysis.stats.classical import clopper_pearson
from benchmarks.judges.wald import bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.judges.case import Case
    from benchmarks.judges.run import Outcome

    Results = dict[str, list[dict[str, Outcome]]]

__all__ = ["markdown", "text"]


@dataclass(frozen=True)
class Sheet:
    """One table."""

    title: str
    rows: list[list[str]]


def text(cases: list[Case], results: Results, every: float) -> str:
    """All tables for a terminal."""
    lines = []
    for sheet in _sheets(cases, results, every):
        widths = [max(len(row[i]) for row in sheet.rows) for i in range(len(sheet.rows[0]))]
        lines += ["", sheet.title]
        for first, *rest in sheet.rows:
            lines.append(f"{first:{widths[0]}}" + "".join(f"  {c:>{w}}" for c, w in zip(rest, widths[1:], strict=True)))
    return "\n".join([*lines, "", *_notes(results)])


def markdown(cases: list[Case], results: Results, every: float) -> str:
    """All tables for the documentation."""
    lines = []
    for sheet in _sheets(cases, results, every):
        head, *rows = (f"| {' | '.join(row)} |" for row in sheet.rows)
        lines += [f"**{sheet.title}**", "", head, "|" + " --- |" * len(sheet.rows[0]), *rows, ""]
    return "\n".join([*lines, *_notes(results), ""])


def _sheets(cases: list[Case], results: Results, every: float) -> list[Sheet]:
    runs, judges = len(next(iter(results.values()))), list(next(iter(results.values()))[0])
    how = f"({runs} runs, a look every {every:g} s)"
    groups = {group: [case for case in cases if case.group == group] for group in ("null", "regression", "promotion")}
    harmed = [case for case in groups["regression"] if case.excess > 0]
    sheets = [
        _sheet(f"The same version twice: rolled back, % {how}", groups["null"], results, judges, _wrong),
        _sheet(
            f"A worse version: rolled back, % / median seconds {how}", groups["regression"], results, judges, _found
        ),
        _sheet("Harm before the rollback: canary requests / excess failures, mean", harmed, results, judges, _harm),
        _sheet(f"Promotion: promoted, % / median seconds {how}", groups["promotion"], results, judges, _promoted),
    ]
    for sheet, chosen in zip(sheets, (groups["null"], groups["regression"], [], groups["promotion"]), strict=True):
        _with_targets(sheet, chosen)
    if len(sheets[1].rows) > 1:
        _with_bounds(sheets[1], groups["regression"], results, judges[0])
    return [sheet for sheet in sheets if len(sheet.rows) > 1]


def _sheet(
    title: str, cases: list[Case], results: Results, judges: list[str], cell: Callable[[list[Outcome]], str]
) -> Sheet:
    rows = [[case.name, *(cell([run[judge] for run in results[case.name]]) for judge in judges)] for case in cases]
    return Sheet(title, [["", *judges], *rows])


def _with_targets(sheet: Sheet, cases: list[Case]) -> None:
    if cases:
        sheet.rows[0].append("target")
    for row, case in zip(sheet.rows[1:], cases, strict=False):
        row.append(case.target or ("≤ 1" if case.group == "null" else "–"))


def _with_bounds(sheet: Sheet, cases: list[Case], results: Results, judge: str) -> None:
    """Wald's bound, and how many times that our median is."""
    sheet.rows[0] += ["Wald", "×"]
    for row, case in zip(sheet.rows[1:], cases, strict=True):
        best = bound(case)
        times = [run[judge].rolled_back for run in results[case.name] if run[judge].rolled_back is not None]
        row.append(f"{best:.0f}" if best else "–")
        row.append(f"{median(times) / best:.1f}" if best and times else "–")


def _wrong(runs: list[Outcome]) -> str:
    hits = sum(run.rolled_back is not None for run in runs)
    low, high = clopper_pearson(hits, len(runs))
    return f"{100 * hits / len(runs):.3g} [{100 * low:.1f}–{100 * high:.1f}]" if hits else "0"


def _found(runs: list[Outcome]) -> str:
    return _share_and_time(runs, [run.rolled_back for run in runs])


def _promoted(runs: list[Outcome]) -> str:
    return _share_and_time(runs, [run.promoted for run in runs])


def _share_and_time(runs: list[Outcome], times: list[float | None]) -> str:
    hits = [time for time in times if time is not None]
    return f"{100 * len(hits) / len(runs):.3g}/{median(hits):.0f}" if hits else "0"


def _harm(runs: list[Outcome]) -> str:
    return f"{mean(run.requests for run in runs):.0f}/{mean(run.excess for run in runs):.0f}"


def _notes(results: Results) -> list[str]:
    runs = len(next(iter(results.values())))
    most = 100 * clopper_pearson(0, runs, 0.9)[1]
    return [
        f"In brackets: exact 95 % bounds. With {runs} runs, 0 wrong means at most {most:.1f} % at 95 %.",
        "Wald: expected seconds of the test that knows both error rates beforehand; ×: our median over it.",
    ]
