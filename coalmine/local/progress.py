"""Showing that long work goes on: a spinner on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ConsoleProgress", "Progress", "SilentProgress", "Update"]

Update = Callable[[str], None]
"""Takes what the work is at, such as ``"31 of 105 MB"``."""
PLAIN_INTERVAL: Final = 15.0
"""Seconds between two plain lines about the same work."""


class Progress(Protocol):
    """Where work says what it does."""

    def line(self, text: str) -> None:
        """Show one finished fact."""

    def task(self, text: str) -> contextlib.AbstractContextManager[Update]:
        """Show that ``text`` goes on, with the seconds it has taken, until the context is left."""


class SilentProgress:
    """Shows nothing."""

    def line(self, text: str) -> None:
        """Show nothing."""

    @contextlib.contextmanager
    def task(self, text: str) -> Iterator[Update]:
        """Show nothing."""
        del text
        yield lambda _detail: None


class ConsoleProgress:
    """Shows work on a console."""

    def __init__(self, console: Console, *, interval: float = PLAIN_INTERVAL) -> None:
        self._console = console
        self._interval = interval

    def line(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def task(self, text: str) -> Iterator[Update]:
        """Spin with the elapsed time on a terminal; elsewhere print a line at every interval."""
        if self._console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
            with RichProgress(*columns, console=self._console, transient=True) as bar:
                identifier = bar.add_task(text)
                yield lambda detail: bar.update(identifier, description=f"{text}: {detail}")
        else:
            with self._plain(text) as update:
                yield update

    @contextlib.contextmanager
    def _plain(self, text: str) -> Iterator[Update]:
        begun = time.monotonic()
        ended = threading.Event()
        details = [""]

        def tell() -> None:
            while not ended.wait(self._interval):
                detail = f": {details[0]}" if details[0] else ""
                self.line(f"{text}{detail} ({time.monotonic() - begun:.0f} s)")

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield lambda detail: details.__setitem__(0, detail)
        finally:
            ended.set()
            teller.join()
