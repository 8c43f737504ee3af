"""``coalmine mesh proxy-status``: does every proxy hold what it should?"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

import click

from mesh.api.debug import ProxyStatuses
from mesh.inspect.access import ControlPlane, run
from mesh.inspect.screens import console, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.api.debug import ProxyStatus

__all__ = ["proxy_status_command", "proxy_statuses"]

_ORDER: Final = ("CDS", "LDS", "EDS", "RDS")


@click.command("proxy-status")
@click.argument("pod", required=False, metavar="[POD[.NAMESPACE]]")
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
@click.option(
    "--mesh-url", envvar="COALMINE_MESH_URL", help="The control plane's HTTP address; by default it is found."
)
@click.option("-n", "--namespace", help="Only proxies of this namespace.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def proxy_status_command(
    *, pod: str | None, kubeconfig: str | None, mesh_url: str | None, namespace: str | None, output: str
) -> None:
    """Show for every proxy and type of configuration whether it holds what it should.

    SYNCED: it has acknowledged all. STALE: it has refused something (the reason is below), or not answered yet. NOT SENT:
    it asked for nothing of the type. A proxy that is not connected keeps what it held last.
    """
    statuses = run(proxy_statuses(kubeconfig, mesh_url))
    name, _, of = (pod or "").partition(".")
    chosen = [
        s
        for s in statuses.proxies
        if (not pod or s.pod == name) and (not of or s.namespace == of) and (not namespace or s.namespace == namespace)
    ]
    if pod and not chosen:
        raise click.ClickException(f"no proxy is called {pod}: see coalmine mesh proxy-status for all of them")
    if output == "json":
        click.echo(ProxyStatuses(proxies=tuple(chosen)).model_dump_json(by_alias=True, indent=2))
    else:
        _show(chosen)


async def proxy_statuses(kubeconfig: str | None, mesh_url: str | None) -> ProxyStatuses:
    """Return what the control plane says of its proxies."""
    plane = await ControlPlane.find(kubeconfig, mesh_url)
    return ProxyStatuses.model_validate_json(await plane.get("/v1/proxies"))


def _show(statuses: Sequence[ProxyStatus]) -> None:
    screen = console()
    if not statuses:
        screen.print("No pod has a sidecar: label a namespace coalmine.dev/inject=enabled and restart its pods.")
        return
    types = [*_ORDER, *sorted({t for s in statuses for t in s.types} - set(_ORDER))]
    screen.print(table(("NAME", *types, "ENVOY"), [_row(s, types) for s in statuses]))
    for status in statuses:
        for kind, found in status.types.items():
            for refusal in found.refused:
                text = f"{status.pod}.{status.namespace} refused {kind} {refusal.name}: {refusal.message}"
                screen.print(textwrap.indent(text, "  "), style="red")
            if found.pending:
                names = ", ".join(found.pending)
                screen.print(f"  {status.pod}.{status.namespace} has not answered for {kind} {names}", style="yellow")


def _row(status: ProxyStatus, types: Sequence[str]) -> list[Any]:
    name = f"{status.pod}.{status.namespace}"
    if not status.connected:
        return [name, *("-" for _ in types), "not connected"]
    return [name, *(status.types[t].status if t in status.types else "-" for t in types), status.build or "-"]
