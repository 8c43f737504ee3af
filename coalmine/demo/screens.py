"""The live view: a scene becomes something that rich can draw. No I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from coalmine.demo.scenes import Mark, ReleaseLine, Scene, judged
from coalmine.demo.summaries import OUTCOME_STYLE, minutes, outcome_words
from rollouts.api.rollout import Phase
from rollouts.core.strategies import step_words, steps_of

if TYPE_CHECKING:
    from coalmine.demo.records import Traffic

__all__ = ["FULL_ROWS", "progress", "screen"]

FULL_ROWS: Final = 38
"""Rows that everything takes at 80 columns."""

_BAR: Final = 16
_EVENTS: Final = 6
_COMMITS: Final = 5
_ROUND_FROM: Final = 10
_SHORT_FROM: Final = 100_000
_PHASE_STYLE: Final = {
    Phase.ROLLING_BACK: "bold red",
    Phase.ROLLED_BACK: "yellow",
    Phase.HEALTHY: "green",
    Phase.STALLED: "bold red",
}
_AT_REST: Final = frozenset({Phase.INITIALIZING, Phase.HEALTHY, Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.STALLED})


def screen(scene: Scene, height: int = FULL_ROWS) -> RenderableType:
    """Draw the whole screen; on a terminal with fewer rows than ``FULL_ROWS`` without words, log and events."""
    full, blank = height >= FULL_ROWS, Text()
    parts: list[RenderableType] = [_status(scene, full=full), _steps(scene), _weights(scene, full=full)]
    parts += (
        [blank, _traffic(scene), blank, _evidence(scene, full=True)]
        if full
        else [_traffic(scene), _evidence(scene, full=False)]
    )
    panel = Panel(Group(*parts), title=_title(scene), title_align="left", border_style="cyan")
    return Group(_header(scene), panel, *([_log(scene), blank] if full else []), _notes(scene))


def _header(scene: Scene) -> RenderableType:
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(width=1)
    grid.add_column(width=14)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", width=22)
    for line in scene.releases:
        grid.add_row(*_release_cells(line))
    return Panel(
        grid,
        title="[bold]Coalmine[/]: releases of the shop's payment service",
        title_align="left",
        subtitle=minutes(scene.elapsed),
        subtitle_align="right",
    )


def _release_cells(line: ReleaseLine) -> tuple[Text, Text, Text, Text]:
    release = line.release
    style = {Mark.WAITING: "dim", Mark.RUNNING: "bold", Mark.DONE: ""}[line.mark]
    name, truth = Text(f"{release.version} {release.name}", style=style), Text(release.truth, style=style)
    if line.outcome is None:
        sign = Text("▶", style="cyan") if line.mark is Mark.RUNNING else Text("·", style="dim")
        return sign, name, truth, Text(f"must be {outcome_words(release.expected)}", style="dim")
    sign = Text("✔", style="green") if line.outcome is release.expected else Text("✘", style="red")
    seconds = f" in {line.seconds:.0f} s" if line.seconds is not None else ""
    return sign, name, truth, Text(outcome_words(line.outcome) + seconds, style=OUTCOME_STYLE[line.outcome])


def _title(scene: Scene) -> str:
    phase = scene.rollout.phase
    return f"rollout/payment [{_PHASE_STYLE.get(phase, 'bold cyan')}]{phase}[/]"


def _status(scene: Scene, *, full: bool) -> Text:
    text = Text(scene.rollout.message or scene.activity, overflow="ellipsis", no_wrap=True)
    if full:
        text.append(f"\nkubectl rollout status: {scene.kubectl or '…'}", style="dim")
    return text


def _steps(scene: Scene) -> Text:
    text = Text("steps    ")
    steps = steps_of(scene.spec) if scene.spec else ()
    running = scene.rollout.phase not in _AT_REST
    at = scene.rollout.step_index if running else None
    for index, step in enumerate(steps):
        done = scene.rollout.phase is Phase.PROMOTING or (at is not None and index < at)
        current = not done and index == at
        text.append(
            "● " if done else "◉ " if current else "○ ", style="green" if done else "bold cyan" if current else "dim"
        )
        text.append(
            step_words(step).removeprefix("a ").removeprefix("an "), style="bold" if current else "" if done else "dim"
        )
        text.append(" ── ", style="dim")
    promoting = scene.rollout.phase is Phase.PROMOTING
    text.append("◉ promote" if promoting else "○ promote", style="bold cyan" if promoting else "dim")
    return text


def _weights(scene: Scene, *, full: bool) -> Text:
    actual = "–" if scene.weight_actual is None else f"{scene.weight_actual:.1f} %"
    text = Text("weight   ")
    text.append(f"set {scene.weight_set} %", style="bold")
    text.append(f"   at every proxy {scene.weight_acknowledged} %")
    text.append(f" ({scene.proxies})" if scene.proxies else "", style="dim")
    text.append(f"   actual {actual}", style="bold")
    if full:
        text.append("   ").append_text(progress((scene.weight_actual or 0) / 100, style="magenta"))
    return text


def _traffic(scene: Scene) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("version", width=14)
    for name in ("requests/s", "failed", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right", width=10)
    roles = {scene.stable: "stable", scene.canary: "canary"}
    shown = {v for v in (scene.stable, scene.canary) if v} | set(scene.traffic)
    for version in sorted(shown):
        traffic = scene.traffic.get(version)
        label = Text(version, style="bold")
        label.append(f" {roles.get(version, '')}", style="magenta" if version == scene.canary else "dim")
        table.add_row(label, *(_traffic_cells(traffic) if traffic else ("0", "–", "–", "–")))
    return table


def _traffic_cells(traffic: Traffic) -> tuple[str | Text, ...]:
    share = traffic.failed / traffic.requests
    failed = Text(f"{share:.1%}", style="red" if share else "")
    return f"{traffic.rate:.0f}", failed, f"{traffic.p50:.0f}", f"{traffic.p99:.0f}"


def _evidence(scene: Scene, *, full: bool) -> RenderableType:
    if not scene.rollout.evidence:
        return Text("evidence: none yet", style="dim")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    table.add_column("evidence", width=13)
    table.add_column("for taking it back", width=_BAR + 13)
    table.add_column("for promoting it", width=_BAR + 13)
    shown = judged(scene.rollout.evidence)
    for item in shown:
        table.add_row(
            item.metric,
            _e_value(item.rollback_e, item.rollback_at, "red"),
            _e_value(item.promote_e, item.promote_at, "green"),
        )
    if not full:
        return table
    lines: list[RenderableType] = [table]
    lines += [Text(f"{e.metric}: {e.words}") for e in shown if e.words]
    if scene.rollout.need:
        lines.append(Text(f"still needed: {scene.rollout.need}", style="cyan"))
    return Group(*lines)


def _e_value(value: float, threshold: float, style: str) -> Text:
    if threshold <= 1:
        return Text("–", style="dim")
    share = math.log(max(value, 1.0)) / math.log(threshold)
    return progress(share, style=style).append(
        f" {_number(value):>5}/{_number(threshold)}", style="bold" if value >= threshold else "dim"
    )


def _number(value: float) -> str:
    if value < _ROUND_FROM:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < _SHORT_FROM else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def progress(share: float, *, style: str, width: int = _BAR) -> Text:
    """Draw a bar that is full at 1."""
    filled = round(width * min(max(share, 0.0), 1.0))
    return Text().append("━" * filled, style=style).append("━" * (width - filled), style="bright_black")


def _log(scene: Scene) -> RenderableType:
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(ratio=2)
    grid.add_column(ratio=3)
    commits = [
        Text(no_wrap=True, overflow="ellipsis")
        .append(c.short_hash, style="yellow")
        .append(f" {c.subject}")
        .append("" if c.applied else "  not applied yet", style="dim")
        for c in scene.commits[:_COMMITS]
    ]
    events = [Text(e, no_wrap=True, overflow="ellipsis") for e in scene.events[-_EVENTS:]]
    grid.add_row(Text("git log", style="dim"), Text("what happened", style="dim"))
    grid.add_row(Group(*commits), Group(*events))
    return grid


def _notes(scene: Scene) -> Text:
    text = Text(f"{scene.requests:,} requests, ")
    text.append(f"{scene.failed_by_us} failed by us", style="bold red" if scene.failed_by_us else "green")
    if scene.shortened:
        text.append("\nfor the demo only, because evidence takes traffic: " + "; ".join(scene.shortened), style="dim")
    return text
