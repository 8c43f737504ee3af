"""``kubectl_complete-coalmine``: what kubectl (1.26 and later) asks for ``kubectl coalmine <TAB>``.

It gets the words after ``coalmine``, the last of which may be begun or empty, and answers as Cobra does: one completion a
line, with a tab before its description, and in the last line what the shell shall do.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["answer", "main"]

_FILES: Final = ":0"
"""The shell completes names of files."""
_FOLDERS: Final = ":16"
_NO_FILES: Final = ":4"


def answer(words: Sequence[str]) -> list[str]:
    """Return the lines for what was typed.

    Args:
        words: After ``kubectl coalmine``.
    """
    from click.shell_completion import ShellComplete  # noqa: PLC0415 - only a shell waits for it

    from coalmine.cli import main as program  # noqa: PLC0415

    *done, begun = words or [""]
    items = ShellComplete(program, {}, "kubectl coalmine", "").get_completions(done, begun)
    kinds = {item.type for item in items}
    if "file" in kinds:
        return [_FILES]
    if "dir" in kinds:
        return [_FOLDERS]
    return [*(f"{item.value}\t{item.help}" if item.help else str(item.value) for item in items), _NO_FILES]


def main() -> None:
    """Answer kubectl."""
    sys.stdout.write("\n".join(answer(sys.argv[1:])) + "\n")


if __name__ == "__main__":
    main()
