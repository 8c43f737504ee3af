"""``coalmine mesh graph`` and ``coalmine mesh top``: who calls whom, how often, how well."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from mesh.api.debug import Graph
from mesh.inspect.access import ControlPlane, run
from mesh.inspect.screens import console, milliseconds, percent, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from mesh.api.debug import Edge, Node, Traffic

__all__ = ["as_dot", "graph_command", "top_command"]

_NUMBERS: Final = ("RPS", "ERRORS", "P50", "P99", "PODS")
_NOBODY: Final = (
    "Nobody called anybody in the last {seconds:.0f} s: only requests that leave through a sidecar are seen."
)


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands take."""
    for option in (
        click.option("-n", "--namespace", help="Only what this namespace's Services do or get."),
        click.option(
            "--mesh-url", envvar="COALMINE_MESH_URL", help="The control plane's HTTP address; by default it is found."
        ),
        click.option(
            "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it."
        ),
    ):
        command = option(command)
    return command


@click.command("graph")
@_common
@click.option("--seconds", type=click.FloatRange(2, 120), default=60, show_default=True, help="How far back to look.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "dot"]), default="table", show_default=True)
def graph_command(
    *, namespace: str | None, mesh_url: str | None, kubeconfig: str | None, seconds: float, output: str
) -> None:
    """Show who calls whom: requests a second, errors, latency, as the callers' proxies counted them."""
    found = _within(run(_fetch(kubeconfig, mesh_url, seconds)), namespace)
    if output == "json":
        click.echo(found.model_dump_json(by_alias=True, indent=2))
    elif output == "dot":
        click.echo(as_dot(found), nl=False)
    elif not found.edges:
        console().print(_NOBODY.format(seconds=found.seconds))
    else:
        one = len({n.namespace for e in found.edges for n in (e.source, e.destination)}) == 1
        columns = ("FROM", "TO", "VERSION", "RPS", "ERRORS", "P50", "P99")
        console().print(table(columns, [_edge(e, short=one) for e in found.edges], right=_NUMBERS))


@click.command("top")
@_common
@click.option(
    "--interval", type=click.FloatRange(0.5, 60), default=2, show_default=True, help="Seconds between two looks."
)
@click.option(
    "--seconds", type=click.FloatRange(4, 120), default=10, show_default=True, help="How far back each looks."
)
@click.option("--once", is_flag=True, help="Print one look and end.")
def top_command(
    *, namespace: str | None, mesh_url: str | None, kubeconfig: str | None, interval: float, seconds: float, once: bool
) -> None:
    """Show every Service and version as requests flow: rate, errors, latency. End with Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        run(_top(kubeconfig, mesh_url, namespace, seconds, None if once else interval))


async def _top(
    kubeconfig: str | None, mesh_url: str | None, namespace: str | None, seconds: float, interval: float | None
) -> None:
    plane = await ControlPlane.find(kubeconfig, mesh_url)
    screen = console()
    if interval is None:
        screen.print(_load(_within(await _ask(plane, seconds), namespace), ""))
        return
    with Live(console=screen, auto_refresh=False, screen=screen.is_terminal) as live:
        while True:
            found = _within(await _ask(plane, seconds), namespace)
            live.update(_load(found, time.strftime("%H:%M:%S")), refresh=True)
            await asyncio.sleep(interval)


async def _fetch(kubeconfig: str | None, mesh_url: str | None, seconds: float) -> Graph:
    return await _ask(await ControlPlane.find(kubeconfig, mesh_url), seconds)


async def _ask(plane: ControlPlane, seconds: float) -> Graph:
    return Graph.model_validate_json(await plane.get(f"/v1/graph?seconds={seconds:g}"))


def _within(found: Graph, namespace: str | None) -> Graph:
    if namespace is None:
        return found
    return Graph(
        seconds=found.seconds,
        edges=tuple(e for e in found.edges if namespace in {e.source.namespace, e.destination.namespace}),
        services=tuple(s for s in found.services if s.destination.namespace == namespace),
    )


def _load(found: Graph, clock: str) -> RenderableType:
    head = Text(
        f"{clock}  last {found.seconds:.0f} s, {sum(s.rate for s in found.services):.1f} requests/s\n".lstrip(), "dim"
    )
    if not found.services:
        return Group(head, Text(_NOBODY.format(seconds=found.seconds)))
    one = len({s.destination.namespace for s in found.services}) == 1
    rows = [[_name(s.destination, short=one), *_version(s), str(s.pods), *_numbers(s)] for s in found.services]
    return Group(head, table(("SERVICE", "VERSION", "PODS", "RPS", "ERRORS", "P50", "P99"), rows, right=_NUMBERS))


def _edge(edge: Edge, *, short: bool) -> Sequence[str]:
    source, destination = _name(edge.source, short=short), _name(edge.destination, short=short)
    return [source, destination, *_version(edge), *_numbers(edge)]


def _version(traffic: Traffic) -> list[str]:
    """Say which of the host's versions: the backend Service where it is another one."""
    if not traffic.pods:
        return ["(no pod)"]
    other = traffic.backend if traffic.backend != traffic.destination.name else ""
    return [" ".join(filter(None, (other, traffic.version))) or "-"]


def _numbers(traffic: Traffic) -> list[str]:
    rate = f"{traffic.rate:.1f}" if traffic.rate >= 1 or not traffic.rate else f"{traffic.rate:.2f}"
    return [rate, percent(traffic.error_rate), milliseconds(traffic.p50_ms), milliseconds(traffic.p99_ms)]


def _name(node: Node, *, short: bool) -> str:
    return node.name if short else f"{node.name}.{node.namespace}"


def as_dot(found: Graph) -> str:
    """Return the graph for Graphviz."""
    lines = ["digraph mesh {", "  rankdir=LR;", "  node [shape=box];"]
    for edge in found.edges:
        (version,) = _version(edge)
        label = f"{version}: {edge.rate:.1f}/s, {percent(edge.error_rate)} errors, p99 {milliseconds(edge.p99_ms)}"
        color = ", color=red" if edge.request_errors else ""
        ends = [f'"{_name(node, short=False)}"' for node in (edge.source, edge.destination)]
        lines.append(f'  {ends[0]} -> {ends[1]} [label="{label}"{color}];')
    return "\n".join([*lines, "}", ""])
