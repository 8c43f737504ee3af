"""Recordings as files. What ends in .gz is gzip; writing replaces the file at once or not at all."""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from typing import TYPE_CHECKING

from analysis.model.recording import InvalidRecording, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from analysis.model.recording import Recording

__all__ = ["check_writable", "read_recording", "write_recording"]


def read_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        InvalidRecording: It cannot be read; the message says the line, the field and the fix.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            return load(lines, str(path))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InvalidRecording(f"{path}: cannot be read: {error}") from None


def write_recording(path: Path, lines: Iterable[str]) -> None:
    """Write the lines of a recording. Whoever reads the file finds the old one or the whole new one.

    Raises:
        OSError: It cannot be written; an older file is as it was.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with _part(path) as part:
        with opener(part, "wt", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        part.replace(path)


def check_writable(path: Path) -> None:
    """Find out now, not after the release, that a recording cannot be written.

    Raises:
        OSError: It cannot; the message says why.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file: name one, or write - for standard output")
    with _part(path) as part:
        part.touch()


@contextlib.contextmanager
def _part(path: Path) -> Iterator[Path]:
    """Return where the new file grows; nothing of it is left behind."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)
