"""Output of containers: kept in plain files, rotated by size, read as ``kubectl logs`` asks for it.

Processes write straight into the file, so that they do not depend on the agent. When a line was written is therefore
known to the second only: once a second the agent notes how long each file is (``<file>.times``).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

__all__ = ["LogOptions", "note_times", "read_log", "rotate"]

_BLOCK: Final = 64 * 1024
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """What of a log is wanted.

    Attributes:
        follow: Go on until the container has ended.
        tail: Only that many of the last lines.
        since: Only what was written after that time (Unix seconds).
        timestamps: Each line after its time.
        limit: At most that many bytes.
    """

    follow: bool = False
    tail: int | None = None
    since: float | None = None
    timestamps: bool = False
    limit: int | None = None


def note_times(log: Path) -> None:
    """Note the length that a log has now, if it has grown."""
    size = _size(log)
    times = _Times(log)
    if size > times.last:
        with times.path.open("a") as file:
            file.write(f"{time.time():.0f} {size}\n")


def rotate(log: Path, max_bytes: int) -> None:
    """Move a log that is too long to ``<file>.old``.

    The file is copied and emptied, since a process keeps writing to it; what it writes in between is lost.
    """
    if _size(log) <= max_bytes:
        return
    shutil.copyfile(log, log.with_name(log.name + ".old"))
    os.truncate(log, 0)
    _Times(log).path.unlink(missing_ok=True)


async def read_log(log: Path, options: LogOptions, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Read a log.

    Args:
        log: The file.
        options: What is wanted.
        ended: Whether nothing more will be written.

    Yields:
        Pieces of the answer.
    """
    left = options.limit
    async for piece in _pieces(log, options, ended):
        if left is None:
            yield piece
            continue
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


async def _pieces(log: Path, options: LogOptions, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    times = _Times(log)
    position = times.offset_after(options.since) if options.since is not None else 0
    if options.tail is not None:
        position = max(position, _tail_offset(log, options.tail))
    rest = b""
    while True:
        # Asked before reading: what is written between the question and the end is not missed.
        last = not options.follow or ended()
        while piece := _read(log, position):
            if options.timestamps:
                stamped, rest = times.stamp(rest + piece, position - len(rest))
                yield stamped
            else:
                yield piece
            position += len(piece)
        if last:
            break
        await asyncio.sleep(_POLL_SECONDS)
        if _size(log) < position:
            # It was rotated.
            position = 0
    if rest:
        yield times.stamp(rest + b"\n", position - len(rest))[0]


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def _read(log: Path, position: int) -> bytes:
    try:
        with log.open("rb") as file:
            file.seek(position)
            return file.read(_BLOCK)
    except FileNotFoundError:
        return b""


def _tail_offset(log: Path, lines: int) -> int:
    """Return where the last lines begin."""
    size = _size(log)
    if lines <= 0 or size == 0:
        return size
    # The newline that ends the last line does not begin another one.
    position, wanted = size, lines + (_read(log, size - 1) == b"\n")
    with log.open("rb") as file:
        while position > 0:
            start = max(0, position - _BLOCK)
            file.seek(start)
            block = file.read(position - start)
            found = len(block)
            while wanted and (found := block.rfind(b"\n", 0, found)) >= 0:
                wanted -= 1
            if not wanted:
                return start + found + 1
            position = start
    return 0


class _Times:
    """When a log had which length."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.path = log.with_name(log.name + ".times")
        self._times: list[int] = []
        self._sizes: list[int] = []
        self._load()

    @property
    def last(self) -> int:
        """The length noted last."""
        return self._sizes[-1] if self._sizes else 0

    def offset_after(self, since: float) -> int:
        """Return where that begins which was written after a time."""
        if since >= time.time():
            return _size(self._log)
        index = bisect_right(self._times, since)
        return self._sizes[index - 1] if index else 0

    def stamp(self, content: bytes, position: int) -> tuple[bytes, bytes]:
        """Put its time before each whole line; return those lines, and the incomplete rest."""
        self._load()
        *lines, rest = content.split(b"\n")
        stamped: list[bytes] = []
        for line in lines:
            stamped.append(self._at(position).encode() + b" " + line + b"\n")
            position += len(line) + 1
        return b"".join(stamped), rest

    def _at(self, position: int) -> str:
        index = bisect_right(self._sizes, position)
        moment = self._times[index] if index < len(self._times) else time.time()
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")

    def _load(self) -> None:
        try:
            noted = [line.split() for line in self.path.read_text().splitlines()]
        except FileNotFoundError:
            noted = []
        self._times = [int(item[0]) for item in noted if len(item) == 2]  # noqa: PLR2004 - time and length
        self._sizes = [int(item[1]) for item in noted if len(item) == 2]  # noqa: PLR2004
