"""``coalmine mesh certs``: who has which certificate, from whom, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mesh.api.debug import Certificates
from mesh.inspect.access import ControlPlane, run
from mesh.inspect.screens import console, table

if TYPE_CHECKING:
    from mesh.api.debug import WorkloadCertificate

__all__ = ["certs_command"]


@click.command("certs")
@click.argument("pod", required=False, metavar="[POD[.NAMESPACE]]")
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
@click.option(
    "--mesh-url", envvar="COALMINE_MESH_URL", help="The control plane's HTTP address; by default it is found."
)
@click.option("-n", "--namespace", help="Only pods of this namespace.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def certs_command(
    *, pod: str | None, kubeconfig: str | None, mesh_url: str | None, namespace: str | None, output: str
) -> None:
    """Show each pod's certificate: who it is, who signed it, until when, under which root, and whether the pod has it.

    Above it stand what signs, the trusted roots, and what is wrong with a Secret that somebody plugged in. Keys are shown
    nowhere.
    """
    found = run(_certificates(kubeconfig, mesh_url))
    name, _, of = (pod or "").partition(".")
    chosen = tuple(
        w
        for w in found.workloads
        if (not pod or w.pod == name) and (not of or w.namespace == of) and (not namespace or w.namespace == namespace)
    )
    if pod and not chosen:
        raise click.ClickException(f"no pod {pod} has a certificate: see coalmine mesh certs for all of them")
    if output == "json":
        click.echo(found.model_copy(update={"workloads": chosen}).model_dump_json(by_alias=True, indent=2))
    else:
        _show(found, chosen)


async def _certificates(kubeconfig: str | None, mesh_url: str | None) -> Certificates:
    plane = await ControlPlane.find(kubeconfig, mesh_url)
    return Certificates.model_validate_json(await plane.get("/v1/certificates"))


def _show(found: Certificates, chosen: tuple[WorkloadCertificate, ...]) -> None:
    screen = console()
    screen.print(f"signed by {found.issuer.subject}, until {found.issuer.not_after}, from {found.source}")
    if found.problem:
        screen.print(f"  {found.problem}", style="red")
    for root in found.roots:
        screen.print(f"trusted: {root.subject}, until {root.not_after}")
    if found.phase != "steady":
        what = "a new root is being added" if found.phase == "adding" else "the old root is being dropped"
        screen.print(f"exchange of the root: {what}", style="yellow")
    rows = [
        (f"{w.pod}.{w.namespace}", w.subject, w.issuer, w.not_after, w.root, w.serial[:16], w.status) for w in chosen
    ]
    screen.print(table(("NAME", "IDENTITY", "ISSUER", "VALID UNTIL", "ROOT", "SERIAL", "STATUS"), rows))
