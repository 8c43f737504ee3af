"""Our judge in the simulator: the one place that knows how it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.judges.judge import judge_table
from analysis.judges.rivals.base import Answer
from analysis.model.verdict import Decision

if TYPE_CHECKING:
    from analysis.judges.table import Table
    from benchmarks.judges.case import Case
    from benchmarks.judges.simulate import World

__all__ = ["Coalmine"]

_SHOWN = frozenset({Decision.ROLL_BACK, Decision.PROMOTE, Decision.OUTLIER})


class Coalmine:
    """Ours, at the default policy."""

    name = "Coalmine"

    def __init__(self, case: Case, world: World) -> None:
        self._case, self._policy, self._born = case, case.policy, world.born

    def look(self, table: Table, now: float) -> Answer:
        begun = [step for step in self._case.steps if step < now]
        verdict = judge_table(table, self._policy, pods_started=self._born, step_starts=begun, now=now, explain=False)
        return Answer(verdict.decision if verdict.decision in _SHOWN else None, verdict.summary)
