"""``coalmine lint``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["lint_command"]

_FORMATS = ("text", "json", "github", "gitlab", "sarif")
_EXAMPLES = """\b
Examples:
  coalmine lint deploy/ -R                       everything below a folder
  helm template shop charts/shop | coalmine lint -
  kustomize build overlays/prod | coalmine lint -
  coalmine lint -o github $(git diff --name-only origin/main -- '*.yaml')
"""


def _codes(_: click.Context, param: click.Parameter, value: tuple[str, ...]) -> frozenset[str]:
    """Check codes."""
    if not value:
        return frozenset()
    from coalmine.lint.findings import CODES  # noqa: PLC0415 - help and completion wait for no model

    codes = {code.strip().upper() for part in value for code in part.split(",")}
    if unknown := sorted(codes - set(CODES)):
        raise click.BadParameter(f"{unknown[0]} is no code: `coalmine lint --codes` lists them", param=param)
    return frozenset(codes)


@click.command("lint", epilog=_EXAMPLES)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option("-R", "--recursive", is_flag=True, help="Look into the folders of folders, too.")
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Of objects that do not say which they are in."
)
@click.option("-o", "--output", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@click.option("--suppress", multiple=True, callback=_codes, metavar="CODE", help="Leave a code out; again for more.")
@click.option("--codes", is_flag=True, help="Only list the codes.")
def lint_command(
    *,
    paths: tuple[Path, ...],
    recursive: bool,
    namespace: str,
    output: str,
    strict: bool,
    suppress: frozenset[str],
    codes: bool,
) -> None:
    """Say what is wrong in Rollouts, AnalysisTemplates and the mesh's resources, without a cluster.

    PATHS are files, folders, or - for standard input. Objects that are given together are looked at together: a Rollout
    with its Deployment and Service, routes with their hosts. Other kinds are left alone, and so is what is not there.

    Exit status: 0 nothing wrong, 1 errors (with --strict: or warnings), 2 wrong usage.
    """
    from coalmine.lint.check import lint  # noqa: PLC0415 - as above
    from coalmine.lint.files import load  # noqa: PLC0415
    from coalmine.lint.findings import CODES  # noqa: PLC0415
    from coalmine.lint.output import FORMATS, summary  # noqa: PLC0415
    from mesh.lint.findings import Severity  # noqa: PLC0415

    if codes:
        for code in CODES.values():
            click.echo(f"{code.code}  {code.severity:<7}  {code.title}")
        return
    if not paths:
        raise click.UsageError("say what to look at: files, folders, or - for standard input")
    try:
        loaded = load(paths, recursive=recursive)
    except OSError as error:
        raise click.UsageError(str(error)) from None
    found, objects = lint(loaded.documents, namespace)
    found = sorted({*loaded.findings, *found}, key=lambda f: f.sort_key)
    found = [f for f in found if f.code not in suppress]
    if text := FORMATS[output](found):
        click.echo(text)
    click.echo(summary(found, loaded.files, objects), err=True)
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(f.severity in bad for f in found):
        raise click.exceptions.Exit(1)
