"""``coalmine completion``: the scripts that make <TAB> work."""

from __future__ import annotations

import click

__all__ = ["completion"]

_PROGRAM = "coalmine"
_EXAMPLES = """\b
Examples:
  source <(coalmine completion bash)                     in this shell
  echo 'source <(coalmine completion bash)' >> ~/.bashrc
  coalmine completion zsh > "${fpath[1]}/_coalmine"      then begin a new shell
  coalmine completion fish > ~/.config/fish/completions/coalmine.fish
"""


@click.command("completion", epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and names in a SHELL.

    Names of Rollouts and namespaces come from the cluster, through your kubectl. `kubectl coalmine <TAB>` works as soon as
    kubectl's own completion does: kubectl_complete-coalmine only has to be in PATH, where coalmine is.
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    from coalmine.cli import main  # noqa: PLC0415 - it imports this one

    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - the choice above has only click's own
        raise click.UsageError(f"click completes no {shell}")
    click.echo(found(main, {}, _PROGRAM, f"_{_PROGRAM.upper()}_COMPLETE").source())
