"""The table as a picture: false rollbacks on the left, speed on the right."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.judges.case import Case
    from benchmarks.judges.run import Outcome

_NONE = 0.15
"""Where 0 % is drawn, as the axis is logarithmic."""


def draw(cases: list[Case], results: dict[str, list[dict[str, Outcome]]], path: Path) -> None:
    """Write the picture. A judge is one colour; hollow marks found fewer than four of five regressions."""
    judges = list(next(iter(results.values()))[0])
    nulls = [case for case in cases if case.group == "null"]
    worse = [case for case in cases if case.group == "regression"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(15, 8), layout="constrained")
    colours = {judge: f"C{i}" for i, judge in enumerate(judges)}
    for judge in judges:
        ours = judge == judges[0]
        style = {"color": colours[judge], "s": 90 if ours else 40, "zorder": 3 if ours else 2}
        wrong = [100 * _share(results[case.name], judge) for case in nulls]
        left.scatter([max(w, _NONE) for w in wrong], range(len(nulls)), label=judge, **style)
        for row, case in enumerate(worse):
            times = [run[judge].rolled_back for run in results[case.name] if run[judge].rolled_back is not None]
            if times:
                full = len(times) >= 0.8 * len(results[case.name])
                right.scatter(median(times), row, facecolors=style["color"] if full else "none",
                              edgecolors=style["color"], s=style["s"], zorder=style["zorder"])  # fmt: skip
    left.axvline(1, color="grey", linewidth=0.8, linestyle="--")
    for axis, chosen in ((left, nulls), (right, worse)):
        axis.set_yticks(range(len(chosen)), [case.name for case in chosen])
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.grid(visible=True, axis="y", alpha=0.3)
    left.set_xticks([_NONE, 1, 10, 100], ["0", "1", "10", "100"])
    right.set_xticks([10, 30, 100, 300, 600], ["10", "30", "100", "300", "600"])
    right.minorticks_off()
    left.set_xlabel("false rollbacks, % (dashed: the promised 1 %)")
    right.set_xlabel("median seconds to the rollback (hollow: in < 80 % of runs)")
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=len(judges), frameon=False, fontsize=9
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def _share(runs: list[dict[str, Outcome]], judge: str) -> float:
    return sum(run[judge].rolled_back is not None for run in runs) / len(runs)
