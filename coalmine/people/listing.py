"""Many Rollouts as tables. No I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from coalmine.people.paint import table, tone_style
from rollouts.views.looks import Tone
from rollouts.views.words import age, percent, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coalmine.people.paint import Line, Span
    from rollouts.views.release import Release

__all__ = ["QUIET", "get_table", "overview"]

QUIET: Final = 20
"""So many Rollouts are all shown, also those that rest."""
_URGENCY: Final = {Tone.BAD: 0, Tone.WAITING: 1, Tone.BUSY: 2, Tone.IDLE: 3, Tone.GOOD: 4}
_MESSAGE: Final = 80


def get_table(releases: Sequence[Release], now: float, *, everywhere: bool, wide: bool) -> list[Line]:
    """Return what ``kubectl get rollouts`` shows, in colour."""
    header = ["NAMESPACE"] if everywhere else []
    header += ["NAME", "STATUS", "STEP", "WEIGHT", "ACTUAL", "VERDICT", "AGE"]
    header += ["STABLE", "CANARY", "MESSAGE"] if wide else []
    rows = []
    for r in releases:
        row: list[Span] = [(r.namespace, "")] if everywhere else []
        row += [
            (r.name, ""),
            (r.phase or "<unknown>", tone_style(r.look.tone)),
            (r.step, ""),
            (str(r.weights.configured), ""),
            ("" if r.weights.actual is None else f"{r.weights.actual:g}", ""),
            (r.verdict, ""),
            ("" if r.created is None else age(now - r.created), ""),
        ]
        row += [(r.stable.words, ""), (r.canary.words, ""), (r.message, "")] if wide else []
        rows.append(row)
    return table(header, rows)


def overview(releases: Sequence[Release], now: float, *, everywhere: bool) -> list[Line]:
    """Return how a namespace or a cluster is: counts, and what needs somebody or moves, most urgent first."""
    counts = Counter((r.look.title, r.look.symbol, r.look.tone) for r in releases)
    ordered = sorted(counts.items(), key=lambda x: (_URGENCY[x[0][2]], x[0][0]))
    heading: Line = [(f"{len(releases)} Rollouts  " if len(releases) != 1 else "1 Rollout  ", "bold")]
    for (title, symbol, tone), number in ordered:
        heading += [(f"  {symbol} {number} {title.lower()}", tone_style(tone))]
    shown = [r for r in releases if r.phase != "Healthy" or len(releases) <= QUIET]
    shown.sort(key=lambda r: (_URGENCY[r.look.tone], r.namespace, r.name))
    lines = [heading]
    if shown:
        lines += [[], *table([], [_row(r, now, everywhere=everywhere) for r in shown], gap=2)]
    if len(shown) < len(releases):
        lines += [[], [(f"{len(releases) - len(shown)} healthy ones are not shown: coalmine get lists all", "dim")]]
    return lines


def _row(r: Release, now: float, *, everywhere: bool) -> list[Span]:
    name = f"{r.namespace}/{r.name}" if everywhere else r.name
    since = age(now - r.started) if r.started and r.under_way else ""
    at = r.present
    place = f"{r.step} {at.step.label}" if at is not None and r.under_way else ""
    weight = percent(r.weights.configured) if r.under_way else ""
    return [
        (r.look.symbol, tone_style(r.look.tone)),
        (name, "bold"),
        (r.look.title, tone_style(r.look.tone)),
        (weight, ""),
        (place, ""),
        (since, "dim"),
        (short(r.message, _MESSAGE) if r.phase != "Healthy" or " waits: " in r.message else r.stable.words, ""),
    ]
