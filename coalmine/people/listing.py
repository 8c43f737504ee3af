"""Many Rollouts as tables. No I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from coalmine.people.paint import table, tone_style
from rollouts.views.looks import PHASES, Tone
from rollouts.views.release import release_of
from rollouts.views.words import age, percent, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coalmine.people.paint import Line, Span
    from rollouts.views.release import Release

__all__ = ["QUIET", "at_rest", "get_table", "overview"]

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


def at_rest(rollout: Mapping[str, Any]) -> bool:
    """Return whether nothing of a Rollout has to be shown where there are many: it is healthy, and no change waits."""
    status = rollout.get("status") or {}
    return status.get("phase") == "Healthy" and " waits: " not in (status.get("message") or "")


def overview(rollouts: Sequence[Mapping[str, Any]], now: float, *, everywhere: bool) -> list[Line]:
    """Return how a namespace or a cluster is: counts, and what needs somebody or moves, most urgent first."""
    resting = [r for r in rollouts if at_rest(r)] if len(rollouts) > QUIET else []
    shown = [release_of(r) for r in rollouts if not (resting and at_rest(r))]
    counts = Counter((r.look.title, r.look.symbol, r.look.tone) for r in shown)
    if resting:
        look = PHASES["Healthy"]
        counts[look.title, look.symbol, look.tone] += len(resting)
    ordered = sorted(counts.items(), key=lambda x: (_URGENCY[x[0][2]], x[0][0]))
    heading: Line = [(f"{len(rollouts)} Rollouts  " if len(rollouts) != 1 else "1 Rollout  ", "bold")]
    for (title, symbol, tone), number in ordered:
        heading += [(f"  {symbol} {number} {title.lower()}", tone_style(tone))]
    shown.sort(key=lambda r: (_URGENCY[r.look.tone], r.namespace, r.name))
    lines = [heading]
    if shown:
        lines += [[], *table([], [_row(r, now, everywhere=everywhere) for r in shown], gap=2)]
    if resting:
        lines += [[], [(f"{len(resting)} healthy ones are not shown: coalmine get lists all", "dim")]]
    return lines


def _row(r: Release, now: float, *, everywhere: bool) -> list[Span]:
    name = f"{r.namespace}/{r.name}" if everywhere else r.name
    since = age(now - r.started) if r.started and r.under_way else ""
    weight = percent(r.weights.configured) if r.under_way else ""
    return [
        (r.look.symbol, tone_style(r.look.tone)),
        (name, "bold"),
        (r.look.title, tone_style(r.look.tone)),
        (weight, ""),
        (r.step if r.under_way else "", ""),
        (since, "dim"),
        (short(r.message, _MESSAGE) if r.phase != "Healthy" or " waits: " in r.message else r.stable.words, ""),
    ]
