"""How a followed Rollout is shown: redrawn in place on a terminal, otherwise a line for each change."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING, Protocol

from coalmine.people.paint import colours, cut, paint, width_of
from coalmine.people.screen import screen
from rollouts.views.release import release_of, step_bar, weight_words

if TYPE_CHECKING:
    from typing import TextIO

    from coalmine.people.paint import Line
    from coalmine.people.watching import Objects

__all__ = ["Display", "Lines", "Redrawn", "display_on", "screen_of"]


class Display(Protocol):
    """Where a Rollout is shown."""

    def show(self, objects: Objects, now: float) -> None:
        """Show it as it is now."""

    def end(self) -> None:
        """Leave what is to stay."""


def display_on(stream: TextIO) -> Display:
    """Return what suits a stream."""
    return Redrawn(stream) if stream.isatty() else Lines(stream)


class Redrawn:
    """The whole tree, drawn over the one before, and only when it differs. The last one stays."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: list[str] = []

    def show(self, objects: Objects, now: float) -> None:
        """Draw it, cut to the terminal's height: a part that has scrolled away cannot be drawn over."""
        if objects.rollout is None:
            return
        height = max(4, shutil.get_terminal_size().lines - 1)
        lines = screen_of(objects, width_of(self._stream), now)
        if len(lines) > height:
            lines = [*lines[: height - 1], [(f"… {len(lines) - height + 1} more lines: make the window higher", "dim")]]
        rows = paint(lines, colour=colours(self._stream)).splitlines()
        if rows == self._shown:
            return
        back = f"\x1b[{len(self._shown)}F" if self._shown else ""
        self._stream.write(back + "".join(f"{row}\x1b[K\n" for row in rows) + "\x1b[J")
        self._stream.flush()
        self._shown = rows

    def end(self) -> None:
        """Leave the last one."""


class Lines:
    """One line for each change that matters: what a log of CI keeps."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: tuple[object, ...] = ()

    def show(self, objects: Objects, now: float) -> None:
        """Write a line where phase, step, weights or verdict have changed."""
        if objects.rollout is None:
            return
        r = release_of(objects.rollout)
        troubles = tuple(f"{plural} are not seen: {words}" for plural, words in objects.troubles.items() if words)
        weights = (r.weights.configured, r.weights.acknowledged)
        said = (r.phase, r.step, weights, r.verdict, r.canary.revision, troubles)
        if said == self._said:
            return
        self._said = said
        time = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%H:%M:%SZ")
        parts = [f"{time} {r.name}: {r.look.title}"]
        if r.under_way:
            parts += [step_bar(r), weight_words(r.weights)]
        self._stream.write(" | ".join([*(p for p in parts if p), r.message, *troubles]) + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Nothing is left to do."""


def screen_of(objects: Objects, width: int, now: float) -> list[Line]:
    """Return the lines that show a Rollout with its objects, and what of them is not seen."""
    if objects.rollout is None:
        return []
    lines = screen(release_of(objects.rollout), objects.tree(now), width, now)
    for plural, trouble in objects.troubles.items():
        if trouble:
            lines.append(cut([(f"  {plural} are not seen: {trouble}", "yellow")], width))
    return lines
