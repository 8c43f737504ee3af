from __future__ import annotations

import io

from rich.console import Console

from coalmine.local.progress import ConsoleProgress


def test_without_a_terminal_long_work_says_now_and_then_how_long_it_takes():
    out = io.StringIO()
    with ConsoleProgress(Console(file=out, width=30), interval=0.001).task("building [etcd]") as update:
        update("12 packages of a great many that do not fit")
        while "12 packages" not in out.getvalue():
            pass
    assert "building [etcd]: 12 packages of a great many that do not fit (0 s)\n" in out.getvalue()


def test_without_a_terminal_short_work_says_nothing():
    out = io.StringIO()
    with ConsoleProgress(Console(file=out)).task("building"):
        pass
    assert out.getvalue() == ""


def test_on_a_terminal_it_spins_and_leaves_nothing_behind():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60)
    with ConsoleProgress(console).task("building [etcd]") as update:
        update("12 packages")
    text = out.getvalue()
    assert "building [etcd]: 12 packages" in text
    assert text.endswith("\x1b[2K")


def test_a_line_is_printed_as_it_is():
    out = io.StringIO()
    ConsoleProgress(Console(file=out, width=10)).line("etcd [v3] is ready and waiting")
    assert out.getvalue() == "etcd [v3] is ready and waiting\n"
