"""The table at the end of the demo, and the words that it shares with the live view. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coalmine.demo.releases import Outcome

if TYPE_CHECKING:
    from coalmine.demo.report import DemoReport, ReleaseReport

__all__ = ["OUTCOME_STYLE", "minutes", "outcome_words", "summary"]

OUTCOME_STYLE: Final = {Outcome.PROMOTED: "green", Outcome.ROLLED_BACK: "yellow", Outcome.UNDECIDED: "red"}


def summary(report: DemoReport) -> RenderableType:
    """Draw the table at the end."""
    table = Table(
        title="What came of it",
        title_style="bold",
        title_justify="left",
        box=None,
        header_style="dim",
        padding=(0, 2, 0, 0),
    )
    for name in ("release", "outcome", "share\nset: actual"):
        table.add_column(name, no_wrap=True)
    for name in ("decided\nafter", "bad until\nweight 0", "requests\n(failed)"):
        table.add_column(name, justify="right")
    for release in report.releases:
        table.add_row(*_summary_cells(release))
    verdict = Text(
        f"{report.requests:,} requests in {minutes(report.seconds)}, {report.failed_by_us} failed by us. ",
        style="bold green" if report.ok else "bold red",
    )
    verdict.append("Everything ended as it must." if report.ok else "Not as it must be.")
    reasons = [Text(f"{r.version}: {r.reason}") for r in report.releases]
    trouble = [Text(line, style="red") for line in (*report.failures, *report.trouble)]
    return Group(table, *reasons, verdict, *trouble)


def _summary_cells(release: ReleaseReport) -> tuple[Text | str, ...]:
    sign = Text("✔ " if release.as_expected else "✘ ", style="green" if release.as_expected else "red")
    failed, asked = release.failed.get(release.version, 0), release.requests.get(release.version, 0)
    exit_code = "no end" if release.kubectl_exit_code is None else f"exit {release.kubectl_exit_code}"
    shares = [f"{weight:>3} %: {share:.1f} %" for weight, share in release.actual_share.items()]
    return (
        sign.append(f"{release.version} {release.name}", style="default"),
        Text(outcome_words(release.outcome), style=OUTCOME_STYLE[release.outcome]).append(
            f"\nkubectl: {exit_code}", style="dim"
        ),
        "\n".join(shares),
        _seconds(release.decision_seconds),
        _seconds(release.rollback_seconds),
        f"{asked:,} ({failed})",
    )


def outcome_words(outcome: Outcome) -> str:
    """Return the outcome for people."""
    return {Outcome.PROMOTED: "promoted", Outcome.ROLLED_BACK: "rolled back", Outcome.UNDECIDED: "undecided"}[outcome]


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"


def minutes(seconds: float) -> str:
    """Return seconds as minutes:seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
