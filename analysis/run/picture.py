"""Pictures of plans. Needs matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run.plan import Plan

__all__ = ["draw_plan"]


def draw_plan(plans: list[Plan], path: Path) -> None:
    """Write the seconds until a decision over the size of the regression, a line for each weight.

    Args:
        plans: As ``plan`` returns them.
        path: Where to; its suffix says the format.

    Raises:
        ValueError: Matplotlib does not know the format.
        OSError: It cannot be written.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for entry in plans:
        for axis, times in ((left, entry.errors), (right, entry.latency)):
            known = [(ratio, seconds) for ratio, seconds in times.items() if seconds is not None]
            axis.plot([r for r, _ in known], [s for _, s in known], marker="o", label=f"{entry.weight:g} %")
    left.set_xlabel("times as many errors")
    right.set_xlabel("times as slow")
    left.set_ylabel("seconds until it is taken back")
    for axis in (left, right):
        axis.set_yscale("log")
        axis.grid(visible=True, which="both", alpha=0.25)
    right.legend(title="canary's share", frameon=False)
    figure.savefig(path)
