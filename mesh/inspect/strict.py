"""``coalmine mesh check-strict``: who would be cut off if only mutual TLS were taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import yaml

from mesh.inspect.access import gather, list_all, plaintext, run, with_cluster
from mesh.inspect.files import read_files
from mesh.inspect.nightly import Unseen, unseen
from mesh.inspect.screens import console, table
from mesh.lint.resources import read_resources
from mesh.resolve.cutoff import CutOff, bridges, cut_off, strict, with_rules
from mesh.resolve.rules import read_peer_authentication
from mesh.wiring.kinds import CRON_JOBS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.api.peerauthentication import PeerAuthenticationSpec
    from mesh.api.plaintext import Observed, PlaintextReport
    from mesh.resolve.rules import Rule

__all__ = ["check_strict_command"]

_SHORT: Final = 24 * 3600.0
"""Seconds of observation, below which something that runs daily may not have been seen."""


class _Answer:
    """What is to be said."""

    def __init__(
        self, report: PlaintextReport, found: Sequence[CutOff], bridge: list[dict[str, Any]], waiting: Sequence[Unseen]
    ) -> None:
        self.report, self.found, self.bridge, self.waiting = report, found, bridge, waiting

    def scoped(self, namespace: str | None) -> list[Observed]:
        return [o for o in self.report.observed if namespace in (None, o.namespace)]


@click.command("check-strict")
@click.option("-n", "--namespace", help="Ask for this namespace; by default for the whole mesh.")
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="PeerAuthentications that are to be applied; by default one that makes everything asked about STRICT.",
)
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
@click.option(
    "--mesh-url", envvar="COALMINE_MESH_URL", help="The control plane's HTTP address; by default it is found."
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def check_strict_command(
    *, namespace: str | None, paths: tuple[Path, ...], kubeconfig: str | None, mesh_url: str | None, output: str
) -> None:
    """Say before STRICT is applied who would be cut off by it, and print what bridges it.

    The sidecars tell who has called in plaintext since the control plane started; what has not called meanwhile cannot be
    known, and is named where it can. Nothing is changed. Exit status: 0 nobody, 1 somebody would be cut off, or is.
    """
    answer = run(_ask(namespace, _read(paths, namespace), kubeconfig, mesh_url))
    if output == "json":
        click.echo(json.dumps(_as_json(answer, namespace), indent=2))
    else:
        _show(answer, namespace)
    if answer.found:
        raise click.exceptions.Exit(1)


def _read(paths: Sequence[Path], namespace: str | None) -> list[Rule[PeerAuthenticationSpec]]:
    rules = []
    for path in paths:
        read = read_files(path, namespace or "default")
        if read.findings:
            raise click.ClickException(f"{path}: {read.findings[0].message}")
        rules += [read_peer_authentication(m) for m in read.manifests if m["kind"] == "PeerAuthentication"]
    if paths and not rules:
        raise click.ClickException(f"{', '.join(map(str, paths))}: there is no PeerAuthentication in it")
    for rule in rules:
        if rule.spec is None:
            raise click.ClickException(f"PeerAuthentication {rule.ref.name}: {rule.problems[0].message}")
    return rules


async def _ask(
    namespace: str | None,
    new: list[Rule[PeerAuthenticationSpec]],
    kubeconfig: str | None,
    mesh_url: str | None,
) -> _Answer:
    report = await plaintext(kubeconfig, mesh_url)
    async with with_cluster(kubeconfig) as kube:
        manifests = await gather(kube)
        cron_jobs = await list_all(kube, (CRON_JOBS,))
    resources = read_resources(manifests, complete=True)
    rules = with_rules(resources.world.peer_authentications, new or [strict(namespace)])
    found = [c for c in cut_off(report, resources.world, rules) if new or namespace in (None, c.call.namespace)]
    bridge = bridges(found, resources.world, rules)
    return _Answer(report, found, bridge, unseen(cron_jobs, resources, report.since))


def _as_json(answer: _Answer, namespace: str | None) -> dict[str, Any]:
    cut = [
        {**c.call.model_dump(mode="json", by_alias=True), "now": c.now, "rule": f"{c.rule.namespace}/{c.rule.name}"}
        for c in answer.found
    ]
    report = answer.report
    return {
        "observedSeconds": round(report.now - report.since),
        "cutOff": cut,
        "bridge": answer.bridge,
        "observed": [o.model_dump(mode="json", by_alias=True) for o in answer.scoped(namespace)],
        "notSeen": [u._asdict() for u in answer.waiting],
        "leftOut": report.left_out,
    }


def _show(answer: _Answer, namespace: str | None) -> None:
    screen = console()
    if answer.found:
        rows = [_row(c, answer.report.now) for c in answer.found]
        columns = ("CALLER", "CALLS", "PORT", "REQUESTS", "LAST", "UNDER STRICT")
        screen.print(table(columns, rows, right=("REQUESTS",)))
    else:
        screen.print("Nobody was seen who would be cut off.", style="green")
    for line in _limits(answer, namespace):
        screen.print(line, style="yellow")
    if answer.bridge:
        screen.print("\n# To let them in until they have a sidecar, apply this before or with STRICT:", style="dim")
        click.echo(yaml.safe_dump_all(answer.bridge, sort_keys=False, explicit_start=True), nl=False)


def _row(found: CutOff, now: float) -> tuple[str, ...]:
    call, source = found.call, found.call.source
    seen = f"{call.taken}" if not found.already else f"{call.refused} refused"
    what = "is refused already" if found.already else "would be refused"
    port = str(call.port) if call.port else "undeclared"
    called = f"{call.kind} {call.namespace}/{call.workload}"
    return str(source), called, port, seen, f"{_ago(now - call.last)} ago", what


def _limits(answer: _Answer, namespace: str | None) -> list[str]:
    """Return what the answer does not say."""
    report = answer.report
    seconds = report.now - report.since
    lines = [f"observed for {_ago(seconds)}"]
    if seconds < _SHORT:
        lines[0] += ": what calls less often than that, such as a CronJob that runs at night, would not be seen"
    lines += [
        f"CronJob {u.namespace}/{u.name} ({u.schedule}) has no sidecar and has not run since" for u in answer.waiting
    ]
    observed = answer.scoped(namespace)
    blind = [f"{o.namespace}/{o.workload}" for o in observed if o.reporting < o.pods]
    if blind:
        lines.append(f"not all sidecars report, so callers may be missing: {', '.join(blind)}")
    silent = [f"{o.namespace}/{o.workload}" for o in observed if o.called is None and o.reporting]
    if silent:
        lines.append(f"not called by anybody meanwhile, so nothing is known: {', '.join(silent)}")
    if report.left_out:
        lines.append(f"{report.left_out} callers were forgotten, as there were too many")
    return lines


def _ago(seconds: float) -> str:
    """Return a time as people say it."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
