"""``coalmine mesh proxy-config``: what one Envoy really holds, from itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from mesh.inspect.access import admin, run, with_cluster
from mesh.inspect.envoyconfig import cluster_rows, endpoint_rows, listener_rows, route_rows, secret_rows
from mesh.inspect.screens import console, table
from mesh.wiring.kinds import PODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.inspect.envoyconfig import Row

__all__ = ["proxy_config_group"]

_DUMP: Final = "/config_dump?include_eds"
_CLUSTERS: Final = "/clusters?format=json"
_SERIAL: Final = 12
_SUFFIX: Final = ".svc.cluster.local"


class _Part(NamedTuple):
    help: str
    columns: tuple[str, ...]
    paths: tuple[str, ...]
    rows: Callable[..., list[Row]]


_PARTS: Final = {
    "listeners": _Part(
        "Where it accepts connections, and what becomes of them.",
        ("NAME", "ADDRESS", "PORT", "MATCH", "DESTINATION", "STATE"),
        (_DUMP,),
        listener_rows,
    ),
    "routes": _Part(
        "Which requests go where, in which shares.", ("ROUTES", "HOST", "MATCH", "DESTINATION"), (_DUMP,), route_rows
    ),
    "clusters": _Part(
        "The destinations that it knows, and how it treats them.",
        ("HOST", "PORT", "SUBSET", "DIRECTION", "TYPE", "BALANCING", "EJECTION", "STATE"),
        (_DUMP,),
        cluster_rows,
    ),
    "endpoints": _Part(
        "The addresses behind each cluster, and whether it uses them: EJECTED is what outlier detection took out.",
        ("ENDPOINT", "POD", "STATUS", "CLUSTER"),
        (_CLUSTERS, _DUMP),
        endpoint_rows,
    ),
    "secrets": _Part(
        "Its certificates: identity and end.",
        ("NAME", "TYPE", "STATE", "IDENTITY", "SERIAL", "UNTIL"),
        (_DUMP,),
        secret_rows,
    ),
}


@click.group("proxy-config")
def proxy_config_group() -> None:
    """Show what the Envoy of one pod really holds."""


def _add(name: str, part: _Part) -> None:
    @proxy_config_group.command(name, help=part.help)
    @click.argument("pod", metavar="POD[.NAMESPACE]")
    @click.option("-n", "--namespace", default="default", show_default=True, help="The pod's, where POD does not say.")
    @click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
    @click.option("--grep", "wanted", default="", help="Only rows that hold this text.")
    @click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "raw"]),
        default="table",
        show_default=True,
        help="raw is what Envoy itself says.",
    )
    def command(*, pod: str, namespace: str, kubeconfig: str | None, wanted: str, output: str) -> None:
        short, _, of = pod.partition(".")
        pages = run(_pages(short, of or namespace, kubeconfig, part.paths))
        rows = [r for r in part.rows(*map(json.loads, pages)) if wanted in " ".join(_cells(r, part.columns))]
        _show(rows, part.columns, output)


for _name, _part in _PARTS.items():
    _add(_name, _part)


async def _pages(name: str, namespace: str, kubeconfig: str | None, paths: tuple[str, ...]) -> list[str]:
    async with with_cluster(kubeconfig) as kube:
        pods, _ = await kube.list_all(PODS)
    for pod in pods:
        if (pod["metadata"]["namespace"], pod["metadata"]["name"]) == (namespace, name):
            return await admin(pod, kubeconfig, *paths)
    raise click.ClickException(f"there is no pod {name} in namespace {namespace}: write POD.NAMESPACE or -n")


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    return [str(row[c.lower()]) for c in columns]


def _show(rows: Sequence[Row], columns: Sequence[str], output: str) -> None:
    if output == "raw":
        # A listener has a row for each filter chain, and is shown once.
        raw: dict[int, Any] = {id(row["raw"]): row["raw"] for row in rows}
        click.echo(json.dumps(list(raw.values()), indent=2))
    elif output == "json":
        click.echo(json.dumps([{k: v for k, v in row.items() if k != "raw"} for row in rows], indent=2))
    elif not rows:
        console().print("Nothing of this kind.")
    else:
        # Every Service's name ends alike, and a serial number is long; the whole of them is in the JSON.
        short = [{**row, "serial": str(row.get("serial", ""))[:_SERIAL]} for row in rows]
        cells = [[cell.replace(_SUFFIX, "") for cell in _cells(row, columns)] for row in short]
        console().print(table(columns, cells))
