"""``coalmine crds``: generate, check or print the CustomResourceDefinitions."""

from __future__ import annotations

from pathlib import Path

import click

from coalmine.crds.files import files
from coalmine.crds.support import SUPPORT_PAGE, support

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


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
