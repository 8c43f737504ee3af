"""``coalmine crds``: generate, check, print or install the CustomResourceDefinitions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coalmine.crds.files import files
from coalmine.crds.support import SUPPORT_PAGE, support

if TYPE_CHECKING:
    from coalmine.crds.install import Outcome

__all__ = ["crds"]


@click.group()
def crds() -> None:
    """CustomResourceDefinitions, generated from the models."""


@crds.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a file differs from the models.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=".",
    show_default=True,
    help="Root of the repository: the files go to crds/, deploy/ and docs/ below it.",
)
def generate(*, check: bool, directory: Path) -> None:
    """Write crds/*.yaml, the policies that refuse unknown fields, and docs/mesh-support.md."""
    wanted = {**files(), SUPPORT_PAGE: support()}
    drifted = [path for path, text in wanted.items() if _read(directory / path) != text]
    if check and drifted:
        names = ", ".join(str(path) for path in drifted)
        raise click.ClickException(f"{names}: differs from the models; run `coalmine crds generate` and commit it")
    for path in drifted:
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(wanted[path], encoding="utf-8")
        click.echo(f"wrote {path}")
    if not drifted:
        click.echo("up to date")


@crds.command(name="print")
def print_() -> None:
    """Print everything, ready for kubectl apply -f -."""
    click.echo("---\n".join(files().values()), nl=False)


@crds.command(name="install")
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be done.")
def install_(*, kubeconfig: str | None, dry_run: bool) -> None:
    """Install those that are absent, and update ours; Istio's own are left alone, and serve as well."""
    # Here, so that the other commands do not wait for a Kubernetes client.
    from coalmine.crds.install import install  # noqa: PLC0415
    from mesh.inspect.access import run, with_cluster  # noqa: PLC0415

    async def work() -> list[Outcome]:
        async with with_cluster(kubeconfig) as kube:
            return await install(kube, dry_run=dry_run)

    outcomes = run(work())
    would = "would be " if dry_run else ""
    for outcome in outcomes:
        done = "is somebody else's and left alone" if outcome.done == "theirs" else f"{would}{outcome.done}"
        click.echo(f"{outcome.name} {done}")
    if unread := [o for o in outcomes if o.missing]:
        raise click.ClickException("; ".join(f"{o.name}: {o.missing}" for o in unread))


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
