"""The command ``coalmine``. Each subcommand is imported when it is used, so that none waits for another's libraries."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["main"]

_SUBCOMMANDS: Final = {
    "analysis": ("coalmine.analysis", "analysis", "Record and judge releases, compare rules, plan steps."),
    "completion": ("coalmine.completion.cli", "completion", "Print the script that completes on <TAB>."),
    "controller": ("rollouts.cli", "controller", "Run the controller that judges and promotes releases."),
    "crds": ("coalmine.crds", "crds", "Generate the custom resource definitions."),
    "demo": ("coalmine.demo.cli", "demo", "Watch good and bad releases being promoted and taken back."),
    "init": ("coalmine.init.cli", "init", "Write a Rollout for a Deployment."),
    "lint": ("coalmine.lint.cli", "lint_command", "Check Rollouts and the mesh's resources in files."),
    "local": ("coalmine.local.cli", "local", "Run a real Kubernetes on this machine."),
    "mesh": ("mesh.cli", "mesh", "Run the mesh's control plane, and ask the mesh."),
}


class _LazyGroup(click.Group):
    """Knows its subcommands' names and one-line helps, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _SUBCOMMANDS:
            return None
        module, attribute, _ = _SUBCOMMANDS[cmd_name]
        try:
            command = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise click.ClickException(
                f"`coalmine {cmd_name}` cannot be loaded ({module}): {error}. Reinstall coalmine: pip install --force-reinstall coalmine"
            ) from error
        if not isinstance(command, click.Command):
            raise click.ClickException(f"{module}.{attribute} is not a command; reinstall coalmine")
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names without importing what they name."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        found = [(name, text) for name, (_, _, text) in sorted(_SUBCOMMANDS.items()) if name.startswith(incomplete)]
        return [CompletionItem(name, help=text) for name, text in found] + click.Command.shell_complete(
            self, ctx, incomplete
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in sorted(_SUBCOMMANDS.items())])


def _version() -> str:
    try:
        return metadata.version("coalmine")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="coalmine")
def main() -> None:
    """Progressive delivery for Kubernetes, with its mesh included."""
