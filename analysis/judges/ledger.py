"""The judge's memory of one release: counts, bounded, and the same whether it was kept, stored and loaded, or made anew."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.intake import Intake
from analysis.judges.table import Table, tabulate
from analysis.model.counts import Arm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from analysis.model.counts import Window

__all__ = ["Ledger"]

_FORMAT: Final = 1
_AGES: Final = ((60.0, 10.0), (600.0, 30.0), (3600.0, 300.0))
"""From which age on (seconds) cells are merged to which length. Each length divides the next."""
_LONGEST: Final = 86_400.0


class Ledger:
    """Counts of one release by time, version, pod and route: by the second lately, coarser the longer ago.

    Older cells are merged, never across the start of a step, and dropped after a day, so that the size is bounded however
    long a release takes. The result does not depend on how the windows were portioned out, so a ledger that was stored and
    loaded goes on exactly as one that was not.
    """

    def __init__(self, buckets: int, table: Table | None = None) -> None:
        """Make one.

        Args:
            buckets: Number of latency buckets: one more than the policy's bounds.
            table: What it already holds.
        """
        self._buckets = buckets
        self._table = tabulate((), buckets) if table is None else table
        self._intake = Intake(buckets, self.until)

    @property
    def buckets(self) -> int:
        """Number of latency buckets."""
        return self._buckets

    @property
    def table(self) -> Table:
        """What it holds, for ``judge_table``."""
        return self._table

    @property
    def until(self) -> float:
        """End of the newest window that was added, Unix seconds; minus infinity for none."""
        return float(self._table.end[-1]) if self._table.end.size else -np.inf

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with windows that were left out, in words."""
        return self._intake.problems

    def add(self, windows: Iterable[Window], step_starts: Sequence[float], now: float = np.inf) -> None:
        """Add windows. Those that were added before, and those that cannot be counts, are left out.

        Args:
            windows: New windows, in any order.
            step_starts: When the share of traffic changed: no cell spans these.
            now: Unix seconds, to notice clocks that are ahead.
        """
        fresh = self._intake.take(windows, now)
        if not fresh:
            return
        self._table = _compacted(_joined(self._table, tabulate(fresh, self._buckets)), step_starts)

    def leave_out(self, pod: str, until: float) -> None:
        """Forget what a canary pod was counted for before a time: it was replaced.

        Args:
            pod: Its name.
            until: Unix seconds; one of the times that cells do not span.
        """
        table = self._table
        gone = table.canary & np.array([name == pod for name in table.pods], dtype=np.bool_)
        where = np.ix_(table.start < until, gone)
        if table.attempts[where].any():
            counts = [part.copy() for part in (table.attempts, table.errors, table.latency)]
            for part in counts:
                part[where] = 0.0
            attempts, errors, latency = counts
            self._table = replace(table, attempts=attempts, errors=errors, latency=latency)

    def dump(self) -> bytes:
        """Everything, as a compressed NumPy archive of whole numbers."""
        table = self._table
        columns = [
            [str(Arm.CANARY if canary else Arm.BASELINE), pod, route]
            for canary, pod, route in zip(table.canary, table.pods, table.routes, strict=True)
        ]
        header = json.dumps({"format": _FORMAT, "buckets": self._buckets, "columns": columns})
        file = io.BytesIO()
        np.savez_compressed(
            file,
            header=np.frombuffer(header.encode(), dtype=np.uint8),
            start=table.start,
            end=table.end,
            attempts=table.attempts.astype(np.int64),
            errors=table.errors.astype(np.int64),
            latency=table.latency.astype(np.int64),
        )
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes) -> Ledger:
        """Take up what was dumped.

        Raises:
            ValueError: It is no dump, or one of another format.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                parts = {name: found[name] for name in found.files}
            header = json.loads(parts["header"].tobytes())
            columns = [(Arm(arm), pod, route) for arm, pod, route in header["columns"]]
        except (EOFError, OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"this is not a stored ledger: {error}") from None
        if header["format"] != _FORMAT:
            raise ValueError(f"this is not a stored ledger of format {_FORMAT} but of format {header['format']}")
        table = Table(
            start=parts["start"],
            end=parts["end"],
            pods=tuple(pod for _, pod, _ in columns),
            canary=np.array([arm is Arm.CANARY for arm, _, _ in columns], dtype=np.bool_),
            attempts=parts["attempts"].astype(np.float64),
            errors=parts["errors"].astype(np.float64),
            latency=parts["latency"].astype(np.float64),
            routes=tuple(route for _, _, route in columns),
        )
        return cls(header["buckets"], table)


def _joined(old: Table, new: Table) -> Table:
    """Both, one after the other, with the columns of both."""
    if not old.start.size:
        return new
    keys = list(zip(old.canary.tolist(), old.pods, old.routes, strict=True))
    more = [key for key in zip(new.canary.tolist(), new.pods, new.routes, strict=True) if key not in set(keys)]
    place = {key: number for number, key in enumerate([*keys, *more])}
    to = np.array([place[key] for key in zip(new.canary.tolist(), new.pods, new.routes, strict=True)], dtype=np.intp)
    rows = slice(old.start.size, None)
    parts = []
    for before, after in ((old.attempts, new.attempts), (old.errors, new.errors), (old.latency, new.latency)):
        whole = np.zeros((old.start.size + new.start.size, len(place), *before.shape[2:]))
        whole[: old.start.size, : len(keys)] = before
        whole[rows, to] = after
        parts.append(whole)
    return Table(
        start=np.concatenate([old.start, new.start]),
        end=np.concatenate([old.end, new.end]),
        pods=tuple(pod for _, pod, _ in place),
        canary=np.array([canary for canary, _, _ in place], dtype=np.bool_),
        attempts=parts[0],
        errors=parts[1],
        latency=parts[2],
        routes=tuple(route for _, _, route in place),
    )


def _compacted(table: Table, step_starts: Sequence[float]) -> Table:
    """Merge what is old, drop what is older than a day, and forget the columns that this leaves empty."""
    newest = float(table.end[-1])
    step = np.searchsorted(np.sort(np.asarray(step_starts, dtype=np.float64)), table.start, side="right")
    cell, length = np.arange(table.start.size, dtype=np.float64), np.zeros(table.start.size)
    for age, seconds in _AGES:
        block = np.floor(table.start / seconds)
        old = (block + 1) * seconds <= newest - age
        cell, length = np.where(old, block, cell), np.where(old, seconds, length)
    first = np.ones(table.start.size, dtype=np.bool_)
    first[1:] = (np.diff(cell) != 0) | (np.diff(length) != 0) | (np.diff(step) != 0)
    if not first.all():
        table = table.grouped(np.flatnonzero(first))
    recent = table.end > newest - _LONGEST
    return table if recent.all() else _without_empty(table.rows(recent))


def _without_empty(table: Table) -> Table:
    kept = np.flatnonzero(table.attempts.sum(axis=0) + table.latency.sum(axis=(0, 2)) > 0)
    return replace(
        table,
        pods=tuple(table.pods[i] for i in kept),
        canary=table.canary[kept],
        attempts=table.attempts[:, kept],
        errors=table.errors[:, kept],
        latency=table.latency[:, kept],
        routes=tuple(table.routes[i] for i in kept),
    )
