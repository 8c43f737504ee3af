"""How answers look: tables that fit 80 columns, colours where there is a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["STYLES", "console", "milliseconds", "percent", "table"]

_PIPED: Final = 160
"""Columns where nobody looks: lines that a program reads are not wrapped early."""
STYLES: Final = {
    "Error": "bold red",
    "Warning": "yellow",
    "Info": "cyan",
    "SYNCED": "green",
    "STALE": "bold red",
    "NOT SENT": "dim",
    "HEALTHY": "green",
    "EJECTED": "bold red",
    "UNHEALTHY": "red",
    "DRAINING": "yellow",
}


def console() -> Console:
    """Return where to print."""
    return Console(width=None if sys.stdout.isatty() else _PIPED, highlight=False, soft_wrap=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """Return a table as kubectl prints it.

    Args:
        columns: Headings.
        rows: Cells; words that ``STYLES`` knows get their colour.
        right: Headings of columns with numbers.
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return made


def milliseconds(value: float | None) -> str:
    """Return a latency for people; ``-`` where there is none."""
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"  # noqa: PLR2004 - three digits


def percent(share: float | None) -> str:
    """Return a share for people; ``-`` where there is none."""
    if share is None:
        return "-"
    return f"{100 * share:.2f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"  # noqa: PLR2004 - small ones need more
