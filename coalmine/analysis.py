"""``coalmine analysis``: the commands of ``analysis``, and ``record``, which also looks into clusters."""

from __future__ import annotations

from analysis.cli import analysis
from coalmine.recording.cli import record

__all__ = ["analysis"]

analysis.add_command(record)
