"""``coalmine init``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coalmine.completion.names import contexts, deployments, namespaces
from coalmine.kubectl import Kubectl

if TYPE_CHECKING:
    from coalmine.init.sources import Found

__all__ = ["init"]

_EXAMPLES = """\b
Examples:
  coalmine init payment -n shop                for the Deployment in the cluster
  coalmine init -f deploy/payment              for the one in these manifests
  coalmine init payment --steps 1,10,50,100 --slo 99.9 --slo 99:300ms --approval
  coalmine init payment -o - | kubectl apply -f -
"""


@click.command("init", epilog=_EXAMPLES)
@click.argument("deployment", required=False, shell_complete=deployments)
@click.option("-n", "--namespace", shell_complete=namespaces, help="Its namespace; by default the context's.")
@click.option("--context", shell_complete=contexts, help="Of the kubeconfig; by default its current one.")
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Manifests to look into instead of the cluster: files, or folders with all below them.",
)
@click.option(
    "--steps", default="", help="Weights and waits instead of 10,50,100: such as 5,pause=10m,25,approval,100."
)
@click.option("--slo", "slos", multiple=True, help="Percent that must not fail (99.9), or be fast enough (99:300ms).")
@click.option("--approval", is_flag=True, help="Ask people before a new version is promoted.")
@click.option("--watch", default="", metavar="TIME", help="Keep the old version at hand so long after promotion (15m).")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File to write; - prints it. By default NAME-rollout.yaml, beside the manifests.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def init(
    *,
    deployment: str | None,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
    paths: tuple[Path, ...],
    output: Path | None,
    force: bool,
    steps: str,
    slos: tuple[str, ...],
    approval: bool,
    watch: str,
) -> None:
    """Write a Rollout for a Deployment, and say what was found and what comes next.

    The Deployment itself is never changed. Without a name it is the only one that there is.
    """
    # Here, as help and completion wait for none of it.
    from coalmine.init.draft import Wishes, choose_service, describe, draft, render  # noqa: PLC0415
    from coalmine.init.sources import from_cluster, from_files  # noqa: PLC0415

    kubectl = Kubectl(kubeconfig, context)
    found = from_files(paths, deployment, namespace) if paths else from_cluster(kubectl, deployment, namespace)
    service, _ = choose_service(found.deployment, found.services)
    try:
        made = draft(found.deployment, service, Wishes(steps, slos, approval, watch), namespace=found.namespace)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    for line in describe(found.deployment, found.services, found.labels):
        click.secho(f"  {line}", fg="yellow" if line.startswith("!") else None, err=True)
    if output is not None and str(output) == "-":
        click.echo(render(made), nl=False)
        return
    if found.rollout and not force:
        raise click.ClickException(f"{found.rollout} releases it already: edit that one, or write this with --force")
    file = output or found.folder / f"{made['metadata']['name']}-rollout.yaml"
    if file.exists() and not force:
        raise click.ClickException(f"{file} exists: choose another with --output, or overwrite it with --force")
    file.write_text(render(made), encoding="utf-8")
    _next(file, found, paths, kubectl)


def _next(file: Path, found: Found, paths: tuple[Path, ...], kubectl: Kubectl) -> None:
    name = found.deployment["metadata"]["name"]
    space = f" -n {found.namespace}" if found.namespace else ""
    beside = " ".join(str(p) for p in paths)
    click.echo(f"wrote {file}", err=True)
    click.echo("Next:", err=True)
    click.echo(f"  coalmine lint {file}{f' {beside}' if beside else ''}", err=True)
    click.echo(f"  {kubectl.command} apply -f {file}        (or commit it, where git is applied)", err=True)
    click.echo(f"  coalmine doctor{space}", err=True)
    click.echo(
        f"Then change the image of Deployment {name} as always, and watch: coalmine status {name}{space} --watch",
        err=True,
    )
