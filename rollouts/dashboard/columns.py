"""A bounded table of numbers over time, kept by column. Pure."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_POINTS", "Columns"]

MOST_POINTS: Final = 1200


class Columns:
    """Rows of numbers, the first of which is the time; when there are too many, every other one of the older half goes.

    Attributes:
        names: Of the columns.
        thinned: How often rows were left out: whoever was given rows before has others now.
    """

    def __init__(self, *names: str, most: int = MOST_POINTS) -> None:
        """Make an empty one.

        Args:
            names: Of the columns; the first is the time.
            most: How many rows are kept.
        """
        self.names = names
        self.thinned = 0
        self._most = most
        self._data = tuple(array("d") for _ in names)

    def __len__(self) -> int:
        return len(self._data[0])

    def add(self, row: Sequence[float | None]) -> None:
        """Append a row; what is None is unknown."""
        for column, value in zip(self._data, row, strict=True):
            column.append(math.nan if value is None else value)
        if len(self) > self._most:
            self.thin()

    def thin(self) -> None:
        """Leave out every other row of the older half; the first stays."""
        half = len(self) // 2
        for column in self._data:
            column[:half] = column[:half:2]
        self.thinned += 1

    def last(self) -> tuple[float | None, ...] | None:
        """Return the newest row."""
        return tuple(_known(column[-1]) for column in self._data) if len(self) else None

    def dump(self, first: int = 0) -> dict[str, list[float | None]]:
        """Return the columns by name.

        Args:
            first: From which row on.
        """
        return {
            name: [_known(value) for value in column[first:]]
            for name, column in zip(self.names, self._data, strict=True)
        }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
