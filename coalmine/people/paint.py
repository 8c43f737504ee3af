"""Lines of styled text, in colour or plain. No library: a command that prints ten lines shall not wait for one."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from rollouts.views.looks import Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO

__all__ = ["Line", "Span", "colours", "cut", "length", "paint", "table", "tone_style", "width_of", "wrap", "write"]

Span = tuple[str, str]
"""Text and its style: words of ``_CODES`` with spaces between them; empty for the terminal's own."""
Line = list[Span]

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_LEAST: Final = 40


def tone_style(tone: Tone) -> str:
    """Return the style of a tone."""
    return tone.colour or ("dim" if tone is Tone.IDLE else "")


def colours(stream: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Return whether to write colours: on a terminal that can, unless NO_COLOR is set; anywhere with FORCE_COLOR."""
    env = os.environ if environment is None else environment
    if env.get("NO_COLOR"):
        return False
    return bool(env.get("FORCE_COLOR")) or (stream.isatty() and env.get("TERM") != "dumb")


def width_of(stream: TextIO) -> int:
    """Return the terminal's width; 0, which cuts nothing, where it is none."""
    if not stream.isatty() and not os.environ.get("COLUMNS"):
        return 0
    return max(_LEAST, shutil.get_terminal_size().columns)


def paint(lines: Iterable[Line], *, colour: bool) -> str:
    """Return the lines as text, each with its end."""
    return "".join("".join(_painted(span, colour=colour) for span in line).rstrip(" ") + "\n" for line in lines)


def _painted(span: Span, *, colour: bool) -> str:
    text, style = span
    if not colour or not style or not text.strip():
        return text
    return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m"


def length(line: Line) -> int:
    """Return how many characters a line has."""
    return sum(len(text) for text, _ in line)


def cut(line: Line, width: int) -> Line:
    """Return a line of at most ``width`` characters (0: any), with an ellipsis where it was cut."""
    if not width or length(line) <= width:
        return line
    found, room = [], width - 1
    for text, style in line:
        found.append((text[:room], style))
        room -= len(text)
        if room <= 0:
            break
    return [*found, ("…", "dim")]


def wrap(text: str, style: str, width: int, indent: int) -> list[Line]:
    """Return a text in lines of at most ``width`` characters (0: one line), each after ``indent`` spaces."""
    room = width - indent
    words, rows = text.split(" "), [""]
    for word in words:
        if not rows[-1]:
            rows[-1] = word
        elif width and len(rows[-1]) + 1 + len(word) > room:
            rows.append(word)
        else:
            rows[-1] += f" {word}"
    return [[(" " * indent, ""), (row, style)] for row in rows]


def table(header: Sequence[str], rows: Sequence[Sequence[Span]], gap: int = 3) -> list[Line]:
    """Return a table as kubectl prints one: columns as wide as their widest; rows alone without a header."""
    titles = header or [""] * len(rows[0])
    widths = [max([len(title), *(len(row[i][0]) for row in rows)]) for i, title in enumerate(titles)]
    lines: list[Line] = [[(title.ljust(widths[i] + gap), "") for i, title in enumerate(header)]] if header else []
    return lines + [[(text.ljust(widths[i] + gap), style) for i, (text, style) in enumerate(row)] for row in rows]


def write(lines: Iterable[Line], stream: TextIO | None = None) -> None:
    """Print lines as the stream wants them."""
    out = stream or sys.stdout
    width = width_of(out)
    out.write(paint((cut(line, width) for line in lines), colour=colours(out)))
    out.flush()
