"""``coalmine mesh describe``: a pod or a Service, and everything that applies to it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mesh.inspect.access import gather, run, with_cluster
from mesh.inspect.facts import Fact, pod_facts, service_facts
from mesh.inspect.proxystatus import proxy_statuses
from mesh.inspect.screens import STYLES, console
from mesh.lint.analyze import analyze
from mesh.lint.resources import Resources, read_resources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.api.debug import ProxyStatuses
    from mesh.lint.findings import Finding

__all__ = ["describe_group"]


@click.group("describe")
def describe_group() -> None:
    """Show a pod or a Service and the rules that apply to it."""


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands take."""
    for option in (
        click.option("-n", "--namespace", default="default", show_default=True, help="Where NAME does not say."),
        click.option(
            "--mesh-url", envvar="COALMINE_MESH_URL", help="The control plane's HTTP address; by default it is found."
        ),
        click.option(
            "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it."
        ),
        click.argument("name", metavar="NAME[.NAMESPACE]"),
    ):
        command = option(command)
    return command


@describe_group.command("pod")
@_common
def pod_command(*, name: str, namespace: str, kubeconfig: str | None, mesh_url: str | None) -> None:
    """Show a pod: its sidecar, the Services it is behind, what applies to it, and what is wrong."""
    resources, statuses = run(_look(kubeconfig, mesh_url))
    short, _, of = name.partition(".")
    key = (of or namespace, short)
    if key not in resources.world.workloads:
        raise click.ClickException(f"there is no pod {short} in namespace {key[0]}: write NAME.NAMESPACE or -n")
    facts, related = pod_facts(resources, key, statuses)
    _show(f"Pod {short}.{key[0]}", facts, _about(analyze(resources), related))


@describe_group.command("service")
@_common
def service_command(*, name: str, namespace: str, kubeconfig: str | None, mesh_url: str | None) -> None:
    """Show a Service: its pods by version, the rules and the split in force, and what is wrong."""
    resources, statuses = run(_look(kubeconfig, mesh_url))
    short, _, of = name.partition(".")
    key = (of or namespace, short)
    if key not in resources.world.services:
        raise click.ClickException(f"there is no Service {short} in namespace {key[0]}: write NAME.NAMESPACE or -n")
    facts, related = service_facts(resources, key, statuses)
    _show(f"Service {short}.{key[0]}", facts, _about(analyze(resources), related))


async def _look(kubeconfig: str | None, mesh_url: str | None) -> tuple[Resources, ProxyStatuses | None]:
    async with with_cluster(kubeconfig) as kube:
        resources = read_resources(await gather(kube), complete=True)
    statuses = None
    # Without the control plane the rest still says a lot.
    with contextlib.suppress(click.ClickException):
        statuses = await proxy_statuses(kubeconfig, mesh_url)
    return resources, statuses


def _about(findings: Sequence[Finding], related: set[tuple[str, str, str]]) -> list[Finding]:
    return [f for f in findings if (f.ref.kind, f.ref.namespace, f.ref.name) in related]


def _show(title: str, facts: Sequence[Fact], findings: Sequence[Finding]) -> None:
    screen = console()
    screen.print(Text(title, style="bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for fact in facts:
        grid.add_row(fact.label, Text("\n".join(fact.lines), style=fact.style))
    for finding in findings:
        severity = finding.severity.value
        place = f"{finding.ref.kind} {finding.ref.name}{' ' + finding.field if finding.field else ''}: "
        head = Text.assemble((f"{finding.code} ", STYLES[severity]), (place, "italic"), finding.message)
        grid.add_row(Text(severity, style=STYLES[severity]), head)
    if not findings:
        grid.add_row("problems", Text("none found", style="green"))
    screen.print(Padding(grid, (0, 0, 0, 2)))
