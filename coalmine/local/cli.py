"""``coalmine local``: a real Kubernetes on this machine."""

from __future__ import annotations

import contextlib
import importlib
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coalmine.local.binaries.obtain import obtain
from coalmine.local.cluster import LocalCluster
from coalmine.local.errors import LocalError
from coalmine.local.layout import CONTROLLER, START_ORDER
from coalmine.local.progress import ConsoleProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["local"]

_NODE: Final = ("coalmine.local.node.cli", "node")
_STYLES: Final = {"running": "green", "stopped": "dim", "died": "bold red"}


class _LocalGroup(click.Group):
    """Loads the node agent's command when it is used: the other commands need none of its libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "node"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "node":
            return super().get_command(ctx, cmd_name)
        module, attribute = _NODE
        try:
            command = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise click.ClickException(f"the node agent cannot be loaded ({module}): {error}") from error
        return command if isinstance(command, click.Command) else None


@click.group(cls=_LocalGroup)
def local() -> None:
    """Run a real Kubernetes on this machine: etcd, kube-apiserver and kube-controller-manager on loopback.

    Pods are processes on 127.x.y.z, each with an Envoy of its own once the mesh runs. kubectl works against it.
    """


def _of_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which cluster is meant."""
    name = click.option("--name", default="default", show_default=True, help="Tells clusters apart.")
    folder = click.option(
        "--state-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="The cluster's folder; by default one in your user's state folder.",
    )
    return name(folder(command))


_component = click.argument("component", type=click.Choice(START_ORDER))


@local.command()
@_of_cluster
@click.option("--bare", is_flag=True, help="A plain Kubernetes: without the mesh and the controller.")
@click.option("--skip", metavar="NAMES", default="", help=f"Leave these out, with commas: {', '.join(START_ORDER)}.")
@click.option("--pod-cidr", metavar="RANGE", help="Addresses of the pods, such as 127.5.0.0/16; by default a free one.")
def up(name: str, state_dir: Path | None, skip: str, pod_cidr: str | None, *, bare: bool) -> None:
    """Start what does not run yet, and say how to reach it."""
    console = Console(stderr=True)
    begun = time.monotonic()
    with _explained():
        cluster = LocalCluster(name, state_dir, pod_cidr=pod_cidr, progress=ConsoleProgress(console))
        started = cluster.up(bare=bare, skip=[part.strip() for part in skip.split(",") if part.strip()])
    seconds = time.monotonic() - begun
    summary = f"Kubernetes is up ({seconds:.1f} s)" if started else "Kubernetes was up already: nothing to start"
    console.print(f"{summary}. Its kubeconfig: {cluster.kubeconfig}", highlight=False, markup=False, soft_wrap=True)
    if not bare and cluster.pid(CONTROLLER):
        console.print(f"The dashboard: {cluster.dashboard_url}", highlight=False, markup=False, soft_wrap=True)
    console.print("To use it in this shell:", highlight=False)
    # All of standard output, so that `eval "$(coalmine local up)"` does it at once.
    click.echo(_exports(cluster))


@local.command()
@_of_cluster
@click.option("--delete", is_flag=True, help="Forget the cluster as well: its objects, certificates and logs.")
def down(name: str, state_dir: Path | None, *, delete: bool) -> None:
    """End every process of the cluster; what it holds is kept for the next `up`."""
    console = Console(stderr=True)
    with _explained():
        ended = LocalCluster(name, state_dir, progress=ConsoleProgress(console)).down(delete=delete)
    kept = "and forgotten" if delete else "its objects are kept; --delete forgets them"
    text = f"Ended {', '.join(ended)} ({kept})." if ended else f"Nothing was running ({kept})."
    console.print(text, highlight=False, markup=False, soft_wrap=True)


@local.command()
@_of_cluster
def status(name: str, state_dir: Path | None) -> None:
    """Show each component; exit code 1 if one has died or does not serve."""
    cluster = LocalCluster(name, state_dir)
    with _explained():
        components = cluster.status()
    table = Table("COMPONENT", "STATE", "READY", "PID", box=None, pad_edge=False, header_style="bold")
    for component in components:
        running = component.pid is not None
        table.add_row(
            component.name,
            Text(component.state, style=_STYLES[component.state]),
            ("yes" if component.ready else Text("no", style="bold red")) if running else "",
            str(component.pid or ""),
        )
    console = Console()
    console.print(table)
    if any(component.state != "stopped" for component in components):
        click.echo(f"\nLogs: {components[0].log.parent}/COMPONENT.log")
        click.echo(_exports(cluster))
    if any(c.state == "died" or (c.state == "running" and not c.ready) for c in components):
        raise SystemExit(1)


@local.command()
@_of_cluster
@_component
def restart(name: str, state_dir: Path | None, component: str) -> None:
    """End one component and start it again."""
    with _explained():
        LocalCluster(name, state_dir, progress=ConsoleProgress(Console(stderr=True))).restart(component)


@local.command()
def binaries() -> None:
    """Get Kubernetes' programs, so that the next `up` takes seconds, and say where they are."""
    with _explained():
        found = obtain(ConsoleProgress(Console(stderr=True)))
    for path in (found.etcd, found.apiserver, found.controller_manager, found.kubectl):
        click.echo(path)


def _exports(cluster: LocalCluster) -> str:
    """Shell lines that make kubectl work on the cluster, also where the only kubectl is the one in our cache."""
    lines = [f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}"]
    if not shutil.which("kubectl"):
        folder = shlex.quote(str(cluster.kubectl().program.parent))
        lines.append(f"export PATH={folder}:$PATH")
    return "\n".join(lines)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Show our own errors as text and leave the traceback to bugs."""
    try:
        yield
    except LocalError as error:
        raise click.ClickException(str(error)) from error
