"""``coalmine get``, ``status``, ``history`` and ``explain``: looks that change nothing."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from coalmine.people.api import connect
from coalmine.people.errors import get_rollout, list_rollouts, list_rows
from coalmine.people.options import completed, everywhere_option, one_rollout, output_option, targeted, watch_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coalmine.people.paint import Line, Span
    from coalmine.people.target import Target

__all__ = ["explain", "get", "history", "status"]

Obj = dict[str, Any]
_OUTCOMES = {"Promoted": "green", "Overridden": "green", "RolledBack": "red", "Aborted": "red"}


@click.command(
    epilog="""\b
Examples:
  coalmine get                       the namespace's Rollouts
  coalmine get -A                    those of the whole cluster
  coalmine get payment -o yaml       one as it is stored
  coalmine get -A -o name            for scripts
"""
)
@click.argument("names", metavar="[ROLLOUT]...", nargs=-1, shell_complete=completed("rollouts"))
@everywhere_option
@output_option("wide", "json", "yaml", "name")
@targeted
def get(target: Target, names: tuple[str, ...], output: str | None) -> None:
    """List Rollouts as kubectl lists things."""
    if names and target.everywhere:
        raise click.UsageError("a Rollout can not be named together with --all-namespaces: name its namespace with -n")
    with connect(target, _listing) as api:
        listed = list_rollouts if output in {"json", "yaml"} else list_rows
        items = [get_rollout(api, target, name) for name in names] if names else listed(api, target)
    if output in {"json", "yaml"}:
        _dump(items[0] if len(names) == 1 else _list(items), output or "")
    elif output == "name":
        for item in items:
            click.echo(f"rollout.coalmine.dev/{item['metadata']['name']}")
    elif not items:
        click.echo(_none(target), err=True)
    else:
        from coalmine.people.listing import get_table  # noqa: PLC0415 - imported while kubectl started
        from coalmine.people.paint import write  # noqa: PLC0415
        from rollouts.views.release import release_of  # noqa: PLC0415

        write(
            get_table(
                [release_of(item) for item in items], time.time(), everywhere=target.everywhere, wide=output == "wide"
            )
        )


@click.command(
    epilog="""\b
Examples:
  coalmine status                    what moves, and what needs somebody
  coalmine status -A                 in the whole cluster
  coalmine status payment            one Rollout with its pods
  coalmine status payment --watch    live, until its release ends
  coalmine status payment -w --timeout 30m > release.log
\b
Exit codes with --watch: 0 promoted, 1 taken back, failed or not in time.
"""
)
@click.argument("name", metavar="[ROLLOUT]", required=False, shell_complete=completed("rollouts"))
@everywhere_option
@watch_options
@output_option("json", "yaml")
@targeted
def status(target: Target, name: str | None, output: str | None, timeout: str, *, watch: bool) -> None:
    """Show how releases stand: all of them, or one with weights, evidence and pods."""
    if name is None:
        if watch:
            raise click.UsageError("name the Rollout to watch: coalmine status ROLLOUT --watch")
        _overview(target, output)
        return
    if target.everywhere:
        raise click.UsageError("a Rollout can not be named together with --all-namespaces: name its namespace with -n")
    from coalmine.people.display import screen_of  # noqa: PLC0415 - a list needs none of these
    from coalmine.people.following import follow, seconds_or_never  # noqa: PLC0415
    from coalmine.people.paint import width_of, write  # noqa: PLC0415
    from coalmine.people.watching import look  # noqa: PLC0415

    seconds = seconds_or_never(timeout)
    with connect(target) as api:
        rollout = get_rollout(api, target, name)
        if output:
            _dump(rollout.get("status") or {}, output)
        elif watch:
            follow(api, target, rollout, seconds=seconds)
        else:
            write(screen_of(look(api, target.place, rollout), width_of(sys.stdout), time.time()))


@click.command(
    epilog="""\b
Examples:
  coalmine history payment           how its last releases ended, and why
  coalmine history payment -o json
"""
)
@one_rollout
@output_option("wide", "json", "yaml")
@targeted
def history(target: Target, name: str, output: str | None) -> None:
    """Show how the last releases ended, the newest first."""
    with connect(target) as api:
        rollout = get_rollout(api, target, name)
    entries = list(reversed((rollout.get("status") or {}).get("history") or []))
    if output in {"json", "yaml"}:
        _dump(entries, output or "")
    elif not entries:
        click.echo(f"Rollout {rollout['metadata']['name']} has released nothing yet", err=True)
    else:
        from coalmine.people.paint import width_of, write  # noqa: PLC0415

        write(_history(entries, width_of(sys.stdout), time.time(), wide=output == "wide"))


@click.command(
    epilog="""\b
Examples:
  coalmine explain payment           why is it where it is, and what comes next?
"""
)
@one_rollout
@output_option("json", "yaml")
@targeted
def explain(target: Target, name: str, output: str | None) -> None:
    """Say why a Rollout is where it is, what it waits for, what happens next and what you can do."""
    from coalmine.people.paint import table, tone_style, width_of, wrap, write  # noqa: PLC0415
    from rollouts.views.explain import explain as explained  # noqa: PLC0415 - of this command alone
    from rollouts.views.release import release_of  # noqa: PLC0415

    with connect(target) as api:
        rollout = get_rollout(api, target, name)
    told = explained(rollout)
    if output:
        _dump({**vars(told), "can": dict(told.can)}, output)
        return
    width = width_of(sys.stdout)
    look = release_of(rollout).look
    lines: list[Line] = wrap(f"{look.symbol} {told.where}", f"bold {tone_style(look.tone)}".strip(), width, 0)
    lines += _paragraphs("Why", told.because, width)
    lines += _paragraphs("It waits for", [told.waits] if told.waits else [], width)
    lines += _paragraphs("What comes next", told.then, width)
    if told.can:
        place = f" -n {target.namespace}" if target.namespace else ""
        whom = f"{rollout['metadata']['name']}{place}"
        rows: list[list[Span]] = [[(f"  coalmine {verb} {whom}", "cyan"), (words, "")] for verb, words in told.can]
        lines += [[], [("What you can do", "bold")], *table([], rows)]
    write(lines)


def _paragraphs(title: str, texts: Sequence[str], width: int) -> list[Line]:
    from coalmine.people.paint import wrap  # noqa: PLC0415

    if not texts:
        return []
    return [[], [(title, "bold")], *(line for text in texts for line in wrap(text, "", width, 2))]


def _overview(target: Target, output: str | None) -> None:
    with connect(target, _listing) as api:
        items = list_rollouts(api, target) if output else list_rows(api, target)
    if output:
        _dump(
            [
                {
                    "namespace": i["metadata"]["namespace"],
                    "name": i["metadata"]["name"],
                    "status": i.get("status") or {},
                }
                for i in items
            ],
            output,
        )
        return
    if not items:
        click.echo(_none(target), err=True)
        return
    from coalmine.people.listing import overview  # noqa: PLC0415 - imported while kubectl started
    from coalmine.people.paint import write  # noqa: PLC0415

    write(overview(items, time.time(), everywhere=target.everywhere))


def _listing() -> None:
    """Import what lists need: the views take as long as kubectl takes to start."""
    import coalmine.people.listing  # noqa: PLC0415
    import coalmine.people.rows  # noqa: F401, PLC0415


def _none(target: Target) -> str:
    if target.everywhere:
        return "no Rollouts found (coalmine init writes one for a Deployment)"
    return f"no Rollouts found in namespace {target.place} (-A shows all namespaces; coalmine init writes one)"


def _history(entries: Sequence[Obj], width: int, now: float, *, wide: bool) -> list[Line]:
    from coalmine.people.paint import cut, table  # noqa: PLC0415
    from rollouts.views.words import age, images_words, unix  # noqa: PLC0415

    rows: list[list[Span]] = []
    for entry in entries:
        began, ended = unix(entry.get("startedAt")), unix(entry.get("endedAt"))
        rows.append(
            [
                (images_words(entry.get("images") or ()) or entry["revision"], ""),
                (entry["revision"], "dim"),
                (entry["outcome"], _OUTCOMES.get(entry["outcome"], "")),
                ("" if ended is None else f"{age(now - ended)} ago", ""),
                ("" if began is None or ended is None else age(ended - began), ""),
                (entry.get("reason", ""), ""),
            ]
        )
    lines = table(["VERSION", "REVISION", "OUTCOME", "ENDED", "TOOK", "REASON"], rows)
    return lines if wide else [cut(line, width) for line in lines]


def _list(items: list[Obj]) -> Obj:
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}


def _dump(value: object, form: str) -> None:
    if form == "json":
        import json  # noqa: PLC0415 - each form loads its own

        click.echo(json.dumps(value, indent=4, ensure_ascii=False))
        return
    import yaml  # noqa: PLC0415

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    click.echo(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True), nl=False)
