"""Evidence to verdict. No I/O."""

from analysis.judges.judge import judge, judge_table
from analysis.judges.objectives import judge_objectives

__all__ = ["judge", "judge_objectives", "judge_table"]
