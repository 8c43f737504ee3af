"""All judges of the table, and what their results depend on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.judges.rivals.argo import Argo
from analysis.judges.rivals.base import Rival, error_rate, p99
from analysis.judges.rivals.flagger import Flagger
from analysis.judges.rivals.kayenta import Kayenta
from benchmarks.judges.ours import Coalmine
from benchmarks.judges.textbook import Classical, MixtureSprt, NaiveEProcess

if TYPE_CHECKING:
    from benchmarks.judges.case import Case
    from benchmarks.judges.simulate import World

__all__ = ["FAMILIES", "family", "version"]

FAMILIES = {
    "ours": ("Coalmine",),
    "rules": ("Flagger", "Flagger tuned", "Argo tuned", "Kayenta", "Kayenta at end"),
    "textbook": ("Fisher + MW", "mixture SPRT", "naive e-process"),
}
"""Judges by what they are made of: a change of one family's code does not make the others' results stale."""

_ROOT = Path(__file__).parents[2]
_MADE_OF = {
    "ours": ("benchmarks/judges/ours.py", "analysis/judges/*.py", "analysis/stats/*.py", "analysis/model/*.py"),
    "rules": ("benchmarks/judges/lineup.py", "analysis/judges/rivals/*.py", "analysis/stats/classical.py"),
    "textbook": ("benchmarks/judges/textbook.py", "analysis/stats/counting.py", "analysis/stats/bets.py"),
}


def family(name: str, case: Case, world: World) -> list[Rival]:
    """The judges of a family, new for one release."""
    if name == "ours":
        return [Coalmine(case, world)]
    if name == "textbook":
        return [Classical(), MixtureSprt(), NaiveEProcess()]
    return _rules(case, world)


def _rules(case: Case, world: World) -> list[Rival]:
    """The rivals' rules. The tuned ones know the service: 2 × its own errors, 1.5 × its own p99."""
    bounds, history = case.policy.bounds_ms, slice(0, int(np.searchsorted(world.table.start, -1e-9)))
    own = error_rate(world.table, history, canary=False) or 0.0
    usual = p99(world.table, history, bounds, canary=False) or 1.0
    tuned = {"most_errors": 2 * own, "most_p99": 1.5 * usual}
    return [
        Flagger(bounds, name="Flagger"),
        Flagger(bounds, **tuned, name="Flagger tuned"),
        Argo(bounds, **tuned, failure_limit=3, interval=10.0, name="Argo tuned"),
        Kayenta(bounds, start=0.0, name="Kayenta"),
        Kayenta(bounds, start=0.0, end=case.end, name="Kayenta at end"),
    ]


def version(name: str) -> str:
    """A hash of everything that a family's results depend on, the simulator included."""
    patterns = (*_MADE_OF[name], "benchmarks/judges/simulate.py")
    files = sorted({path for pattern in patterns for path in _ROOT.glob(pattern)})
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
