"""Evidence to verdict. No I/O."""

from analysis.judges.judge import judge, judge_table

__all__ = ["judge", "judge_table"]
