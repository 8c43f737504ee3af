"""``coalmine mesh analyze``: what is wrong in files or in a cluster."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.padding import Padding
from rich.text import Text

from mesh.inspect.access import gather, run, seen_plaintext, with_cluster
from mesh.inspect.files import Read, read_files
from mesh.inspect.screens import STYLES, console
from mesh.inspect.secrets import gateway_secrets
from mesh.lint.analyze import analyze
from mesh.lint.findings import CODES, Finding, Severity
from mesh.lint.pods import restartable
from mesh.lint.resources import read_resources
from mesh.wiring.kube import Kind, KubeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from mesh.ir.gateways import Credential
    from mesh.ir.services import ServiceKey
    from mesh.resolve.problems import Ref
    from mesh.wiring.kube import Kube

__all__ = ["analyze_command"]

_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
_PLURALS: Final = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


def _codes(_: click.Context, param: click.Parameter, value: tuple[str, ...]) -> frozenset[str]:
    """Check codes."""
    codes = {code.strip().upper() for part in value for code in part.split(",")}
    if unknown := sorted(codes - set(CODES)):
        raise click.BadParameter(f"{unknown[0]} is no code: write one of {', '.join(CODES)}", param=param)
    return frozenset(codes)


@click.command("analyze")
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
@click.option(
    "--mesh-url", envvar="COALMINE_MESH_URL", help="The control plane's HTTP address; by default it is found."
)
@click.option("-n", "--namespace", default="default", show_default=True, help="Whose objects to speak of.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Speak of all namespaces.")
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Files or folders to look at instead of a cluster.",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info", "never"]),
    default="error",
    show_default=True,
    help="Exit with 1 where something is at least this bad.",
)
@click.option("--suppress", multiple=True, callback=_codes, metavar="CODE", help="Leave a code out; again for more.")
@click.option("--restart", is_flag=True, help="Restart the workloads whose pods lack a sidecar.")
@click.option("--yes", is_flag=True, help="Do not ask before that.")
@click.option("--codes", is_flag=True, help="Only list the codes.")
def analyze_command(
    *, kubeconfig: str | None, paths: tuple[Path, ...], output: str, fail_on: str, codes: bool, **options: Any
) -> None:
    """Say what is wrong, risky or without effect in the mesh's resources, and the fix.

    Without -f the cluster is looked at. Exit status: 0 nothing as bad as --fail-on, 1 something, 2 wrong usage.
    """
    screen = console()
    if codes:
        for code in CODES.values():
            screen.print(f"{code.code}  {code.severity:<7}  {code.title}")
        return
    if paths and options["restart"]:
        raise click.UsageError("--restart needs the cluster: leave -f out")
    read, credentials = (_read(paths, options["namespace"]), None) if paths else run(_live(kubeconfig))
    seen = None if paths else run(seen_plaintext(kubeconfig, options["mesh_url"]))
    resources = read_resources(read.manifests, complete=not paths, plaintext=seen, credentials=credentials)
    found = [*read.findings, *analyze(resources)]
    scope = None if paths or options["all_namespaces"] else options["namespace"]
    found = [f for f in found if f.code not in options["suppress"] and (scope is None or f.ref.namespace == scope)]
    if output == "json":
        click.echo(json.dumps([_as_json(f, read) for f in found], indent=2))
    else:
        _show(screen, found, read, scope)
    if options["restart"]:
        run(_restart(kubeconfig, found, ask=not options["yes"]))
    if fail_on != "never" and any(f.severity.rank <= Severity(fail_on.title()).rank for f in found):
        raise click.exceptions.Exit(1)


def _read(paths: Sequence[Path], namespace: str) -> Read:
    total = Read()
    for path in paths:
        read = read_files(path, namespace)
        total.manifests += read.manifests
        total.findings += read.findings
        total.places = read.places | total.places
    return total


async def _live(kubeconfig: str | None) -> tuple[Read, dict[ServiceKey, Credential] | None]:
    async with with_cluster(kubeconfig) as kube:
        manifests = await gather(kube)
        return Read(manifests), await gateway_secrets(kube, manifests)


def _as_json(found: Finding, read: Read) -> dict[str, Any]:
    ref = found.ref
    made = {
        "code": found.code,
        "severity": found.severity.value,
        "object": {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "field": found.field,
        "message": found.message,
    }
    return made | ({"place": place} if (place := read.place(ref)) else {})


def _show(screen: Console, found: Sequence[Finding], read: Read, scope: str | None) -> None:
    for finding in found:
        ref = finding.ref
        head = Text.assemble(
            (f"{finding.severity.value:<7}", STYLES[finding.severity.value]),
            (f"  {finding.code}  ", "dim"),
            (f"{ref.kind} {ref.namespace + '/' if ref.namespace else ''}{ref.name}", "bold"),
        )
        if place := read.place(ref):
            head.append(f"  {place}", style="dim")
        screen.print(head)
        text = Text(f"{finding.field}: " if finding.field else "", style="italic")
        text.append(finding.message, style="not italic")
        screen.print(Padding(text, (0, 0, 0, 9)))
    screen.print(_summary(found, len(read.manifests), scope))


def _summary(found: Sequence[Finding], objects: int, scope: str | None) -> str:
    where = f" in namespace {scope}" if scope else ""
    looked = f"{objects} object{'' if objects == 1 else 's'} looked at"
    if not found:
        return f"Nothing to report{where} ({looked})."
    counted = Counter(f.severity for f in found)
    words = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "hint"}
    parts = [f"{counted[s]} {word}{'' if counted[s] == 1 else 's'}" for s, word in words.items() if counted[s]]
    return f"{', '.join(parts)}{where} ({looked})."


async def _restart(kubeconfig: str | None, found: Sequence[Finding], *, ask: bool) -> None:
    targets = dict.fromkeys(f.ref for f in found if restartable(f))
    if not targets:
        click.echo("No workload has to be restarted.")
        return
    names = ", ".join(f"{t.kind.lower()}/{t.name} in {t.namespace}" for t in targets)
    if ask:
        click.confirm(f"Restart {names}?", abort=True)
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    async with with_cluster(kubeconfig) as kube:
        for target in targets:
            await _restart_one(kube, target, now)


async def _restart_one(kube: Kube, target: Ref, now: str) -> None:
    """Do what ``kubectl rollout restart`` does."""
    kind = Kind("apps", "v1", target.kind, _PLURALS[target.kind])
    template = {"metadata": {"annotations": {_RESTARTED: now}}}
    meta = {"namespace": target.namespace, "name": target.name}
    try:
        await kube.apply(kind, {"metadata": meta, "spec": {"template": template}})
    except KubeError as error:
        raise click.ClickException(f"{target.kind} {target.namespace}/{target.name}: {error}") from error
    click.echo(f"{target.kind.lower()}/{target.name} in {target.namespace} restarted")
