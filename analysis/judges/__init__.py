"""Evidence to verdict. No I/O."""

from analysis.judges.judge import judge

__all__ = ["judge"]
