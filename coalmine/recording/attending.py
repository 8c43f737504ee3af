"""Sees to it that what was recorded is written, however the recording ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analysis.run.files import write_recording

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from analysis.run.record import Recorder

__all__ = ["Output", "attend"]

SAVE_SECONDS: Final = 30.0
"""How often what is recorded so far is written, so that not even a kill -9 loses more."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where the recording goes.

    Attributes:
        path: The file; None for standard output.
    """

    path: Path | None

    def save(self, recorder: Recorder) -> None:
        """Write what is recorded.

        Raises:
            OSError: It cannot be written.
        """
        if self.path is not None:
            write_recording(self.path, recorder.lines())
            return
        for line in recorder.lines():
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


async def attend(work: Awaitable[None], recorder: Recorder, output: Output, *, every: float = SAVE_SECONDS) -> bool:
    """Wait until the work is done, or somebody ends it (Ctrl-C, SIGTERM); write what is there now and then.

    Args:
        work: What records.
        recorder: Where it records to.
        output: Where that is written.
        every: Seconds between two writings.

    Returns:
        Whether it was ended before it was done.

    Raises:
        Exception: What the work raises.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    working = asyncio.ensure_future(work)
    stopping, saving = asyncio.create_task(stop.wait()), asyncio.create_task(_save_at_times(recorder, output, every))
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        interrupted = not working.done()
        for task in (working, stopping, saving):
            task.cancel()
        await asyncio.wait({working, stopping, saving})
    if not interrupted:
        working.result()
    return interrupted


async def _save_at_times(recorder: Recorder, output: Output, every: float) -> None:
    while output.path is not None:
        await asyncio.sleep(every)
        if recorder.windows:
            with contextlib.suppress(OSError):  # it was possible at the start, and is told at the end if it is not then
                output.save(recorder)
