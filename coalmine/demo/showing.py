"""How the demo shows itself: a live view on a terminal, otherwise a line for each change."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

from rich.live import Live

from coalmine.demo.scenes import Scene, clock, evidence_words
from coalmine.demo.screens import screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

__all__ = ["Display", "LiveDisplay", "PlainDisplay"]

REDRAW_SECONDS: Final = 0.5
EVIDENCE_SECONDS: Final = 5.0


class Display(Protocol):
    """Where the demo shows what it does."""

    def say(self, text: str) -> None:
        """Show that something happened."""

    async def run(self, scene: Callable[[], Scene]) -> None:
        """Show the scene again and again until cancelled."""


class PlainDisplay:
    """One line for each change, and now and then one for the evidence."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """Print it with the time of day."""
        self._console.print(f"{clock(time.time())} {text}", highlight=False, markup=False, soft_wrap=True)

    async def run(self, scene: Callable[[], Scene]) -> None:
        """Say how the evidence stands, every few seconds while there is a canary."""
        while True:
            await asyncio.sleep(EVIDENCE_SECONDS)
            if words := evidence_words(scene()):
                self.say(words)


class LiveDisplay:
    """The whole screen, redrawn twice a second."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """Show nothing: the scene has it."""
        del text

    async def run(self, scene: Callable[[], Scene]) -> None:
        """Redraw until cancelled, on the terminal's other screen, so that the scrollback stays as it is."""
        with Live(console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                live.update(screen(scene(), self._console.height), refresh=True)
                await asyncio.sleep(REDRAW_SECONDS)
