"""``coalmine analysis``: judge recorded releases, compare rules, plan steps. No cluster is needed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table as Grid

from analysis.model.policy import DEFAULT_BOUNDS_MS, ErrorPolicy, LatencyPolicy, Policy
from analysis.model.recording import InvalidRecording
from analysis.model.verdict import Decision
from analysis.run.files import read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from analysis.model.recording import Recording
    from analysis.run.plan import Plan
    from analysis.run.replay import Look

__all__ = ["analysis"]

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_COLOURS: Final = {Decision.PROMOTE: "green", Decision.ROLL_BACK: "red", Decision.OUTLIER: "yellow"}
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def analysis() -> None:
    """Judge recorded releases, compare rules, plan steps."""


def _policy_options(whose: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for what differs from the default policy, or from the recording's."""
    above, share = click.FloatRange(min=1), click.FloatRange(0, 0.5, min_open=True, max_open=True)
    options = (
        click.option("--errors-ratio", type=above, show_default=f"{whose}1.5", help="As spec.analysis.errors.maxRatio."),
        click.option("--errors-points", type=click.FloatRange(0, 100), show_default=f"{whose}0.25", help="As errors.maxIncreasePercent."),
        click.option("--latency-ratio", type=click.FloatRange(min=1, min_open=True), show_default=f"{whose}1.25", help="As latency.maxRatio."),
        click.option("--errors-warm-up", type=click.FloatRange(min=0), show_default=f"{whose}10", help="Seconds."),
        click.option("--latency-warm-up", type=click.FloatRange(min=0), show_default=f"{whose}90", help="Seconds."),
        click.option("--slo-percent", type=click.FloatRange(0, 100, min_open=True), help="As errors.sloPercent."),
        click.option("--rollback-alpha", type=share, show_default=f"{whose}0.01"),
        click.option("--promotion-alpha", type=share, show_default=f"{whose}0.05"),
    )  # fmt: skip

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


def _policy(base: Policy, chosen: dict[str, Any]) -> Policy:
    """Return the policy with what was chosen; what was chosen for errors or latency is judged."""

    def percent(name: str) -> float | None:
        return None if chosen[name] is None else chosen[name] / 100.0

    errors = {
        "ratio": chosen["errors_ratio"],
        "absolute": percent("errors_points"),
        "warm_up": chosen["errors_warm_up"],
        "slo": percent("slo_percent"),
    }
    latency = {"ratio": chosen["latency_ratio"], "warm_up": chosen["latency_warm_up"]}
    alphas = {"rollback_alpha": chosen["rollback_alpha"], "promotion_alpha": chosen["promotion_alpha"]}
    written = [{name: value for name, value in part.items() if value is not None} for part in (errors, latency, alphas)]
    return replace(
        base,
        errors=replace(base.errors or ErrorPolicy(), **written[0]) if base.errors or written[0] else None,
        latency=replace(base.latency or LatencyPolicy(), **written[1]) if base.latency or written[1] else None,
        **written[2],
    )


@analysis.command()
@_FILE
@click.option("--every", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="Seconds between looks.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each look.")
@_policy_options("the recording's, or ")
def replay(file: Path, every: float, *, as_json: bool, **chosen: Any) -> None:
    """Judge a recorded release again, as the controller would have.

    \b
    coalmine analysis replay release.jsonl
    coalmine analysis replay release.jsonl.gz --errors-ratio 2 --every 5
    """  # noqa: D301 - click wants the character
    from analysis.run.replay import looks  # noqa: PLC0415 - help needs no judge

    recording = _recording(file)
    policy = _policy(recording.policy or Policy(recording.bounds_ms), chosen)
    if as_json:
        for look in looks(recording, policy, every=every):
            click.echo(json.dumps({"time": look.time, **asdict(look.verdict)}))
        return
    found = list(looks(recording, policy, every=every))
    if not found:
        raise click.ClickException(_nothing(file, every))
    _timeline(recording, found, every)


def _timeline(recording: Recording, found: list[Look], every: float) -> None:
    console = Console(highlight=False)
    start = found[0].time - every
    if recording.title:
        console.print(f"[bold]{recording.title}[/bold]")
    for time, words in sorted([*_changes(found), *((s, "") for s in recording.step_starts if s >= start)]):
        after = f"{time - start:8.0f} s  "
        console.print(after + (words or f"[dim]step {1 + sorted(recording.step_starts).index(time)} begins[/dim]"))
    grid = Grid("metric", "canary", "baseline", "against it", "for promotion", box=None, pad_edge=False)
    for entry in found[-1].verdict.evidence:
        grid.add_row(
            entry.metric,
            _number(entry.canary, entry.metric),
            _number(entry.baseline, entry.metric),
            f"{_e(entry.rollback_e)} of {_e(entry.rollback_at)}",
            f"{_e(entry.promote_e)} of {_e(entry.promote_at)}"
            if "gross" not in entry.metric and entry.metric != "slo"
            else "",
        )
    console.print(f"\nAt the end, after {found[-1].time - start:.0f} s (evidence, and how much is needed):\n")
    console.print(grid)
    console.print()
    for entry in found[-1].verdict.evidence:
        console.print(f"[bold]{entry.metric}[/bold]: {entry.words}")


def _changes(found: list[Look]) -> Iterator[tuple[float, str]]:
    """The looks at which the decision changed."""
    last = None
    for look in found:
        decision = look.verdict.decision
        if decision is not last:
            last = decision
            colour = _COLOURS.get(decision, "default")
            yield look.time, f"[{colour}]{decision.value}[/{colour}]: {look.verdict.summary}"


def _number(value: float | None, metric: str) -> str:
    if value is None:
        return "-"
    if "latency" in metric:
        return f"{value:.3g} ms"
    return f"{100 * value:.3g} %" if metric in {"errors", "gross-errors", "slo"} else f"{value:.4g}"


def _e(value: float) -> str:
    if value < 1e-4:  # noqa: PLR2004
        return "0"
    return f"{value:.3g}" if value < 1e6 else f"{value:.0e}"  # noqa: PLR2004


@analysis.command()
@_FILE
@click.option("--every", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, help="Seconds between looks.")  # fmt: skip
@_policy_options("the recording's, or ")
def compare(file: Path, every: float, **chosen: Any) -> None:
    """Run the rules of Flagger, Argo Rollouts and Kayenta on a recording beside ours."""
    from analysis.run.compare import compare as rows_of  # noqa: PLC0415

    recording = _recording(file)
    rows = rows_of(recording, _policy(recording.policy or Policy(recording.bounds_ms), chosen), every=every)
    if not rows:
        raise click.ClickException(_nothing(file, every))
    console = Console(highlight=False)
    grid = Grid("judge", "decision", "after", "canary requests", "failed", box=None, pad_edge=False)
    for row in rows:
        colour = _COLOURS.get(row.decision, "default") if row.decision else "default"
        decision = f"[{colour}]{row.decision.value}[/{colour}]" if row.decision else "none"
        after = "" if row.after is None else f"{row.after:.0f} s"
        grid.add_row(row.judge, decision, after, f"{row.requests:,}", f"{row.errors:,}")
    console.print(grid)
    console.print()
    for row in rows:
        console.print(
            f"[bold]{row.judge}[/bold]: {row.words}" if row.words else f"[bold]{row.judge}[/bold]: no decision"
        )


@analysis.command()
@click.option("--rps", type=float, required=True, help="Requests a second, both versions together.")
@click.option("--error-rate", "error_percent", type=float, required=True, help="Percent of requests that fail now.")
@click.option("--p50", type=float, default=20.0, show_default=True, help="Median latency, milliseconds.")
@click.option("--p99", type=float, default=80.0, show_default=True, help="99th percentile, milliseconds.")
@click.option("--pods", type=int, default=10, show_default=True, help="Pods of the present version.")
@click.option("--canary-pods", type=int, default=3, show_default=True)
@click.option("--weight", "weights", type=click.FloatRange(0, 100, min_open=True, max_open=True), multiple=True, default=(5, 10, 25, 50), help="Percent; may be repeated.")  # fmt: skip
@click.option("--errors", "error_ratios", type=click.FloatRange(min=1, min_open=True), multiple=True, default=(1.5, 2, 3, 5, 10), help="Times as many errors; may be repeated.")  # fmt: skip
@click.option("--latency", "latency_ratios", type=click.FloatRange(min=1, min_open=True), multiple=True, default=(1.1, 1.2, 1.5, 2), help="Times as slow; may be repeated.")  # fmt: skip
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture (svg, png).")
@click.option("--json", "as_json", is_flag=True)
@_policy_options()
def plan(*, plot: Path | None, as_json: bool, **chosen: Any) -> None:
    """Say how long each step must be to see a regression, and to promote a version that is as good.

    \b
    coalmine analysis plan --rps 100 --error-rate 1
    coalmine analysis plan --rps 5 --error-rate 0.1 --weight 10 --weight 50 --plot plan.svg
    """  # noqa: D301 - click wants the character
    from analysis.run.plan import Traffic  # noqa: PLC0415
    from analysis.run.plan import plan as plans  # noqa: PLC0415

    try:
        traffic = Traffic(
            chosen["rps"],
            chosen["error_percent"] / 100.0,
            chosen["p50"],
            chosen["p99"],
            chosen["pods"],
            chosen["canary_pods"],
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    found = plans(
        traffic,
        _policy(Policy(DEFAULT_BOUNDS_MS), chosen),
        weights=chosen["weights"],
        error_ratios=chosen["error_ratios"],
        latency_ratios=chosen["latency_ratios"],
    )
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in found]))
    else:
        _show_plans(found)
    if plot is not None:
        _draw(found, plot)


def _show_plans(found: list[Plan]) -> None:
    first = found[0]
    grid = Grid("canary's share", box=None, pad_edge=False)
    for entry in found:
        grid.add_column(f"{entry.weight:g} %", justify="right")
    for ratio in first.errors:
        grid.add_row(f"{ratio:g} times as many errors", *(_span(entry.errors[ratio]) for entry in found))
    for ratio in first.latency:
        grid.add_row(f"{ratio:g} times as slow", *(_span(entry.latency[ratio]) for entry in found))
    grid.add_row("as good: promoted", *(_span(entry.equal) for entry in found), style="green")
    console = Console(highlight=False)
    console.print("How long until it is taken back, about the median, warm-up included (-: more than a week):\n")
    console.print(grid)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.0f} h"


def _draw(found: list[Plan], path: Path) -> None:
    try:
        from analysis.run.picture import draw_plan  # noqa: PLC0415
    except ImportError:
        raise click.ClickException("--plot needs matplotlib: pip install 'coalmine[plot]'") from None
    try:
        draw_plan(found, path)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"--plot: {error}") from None
    click.echo(f"wrote {path}", err=True)


def _nothing(file: Path, every: float) -> str:
    return f"{file}: there is nothing to judge: no canary requests for as long as {every:g} s (a shorter --every looks sooner)"


def _recording(file: Path) -> Recording:
    try:
        recording = read_recording(file)
    except InvalidRecording as error:
        raise click.ClickException(str(error)) from None
    if recording.bounds_ms:
        return recording
    policy = None if recording.policy is None else replace(recording.policy, bounds_ms=(1.0,))
    return replace(recording, bounds_ms=(1.0,), policy=policy)
