"""The command ``coalmine``. Each subcommand is imported when it is used, so that none waits for another's libraries."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["kubectl_plugin", "main"]

_RELEASES: Final = {
    "abort": ("coalmine.people.acting", "abort", "Take a release back to the stable version."),
    "approve": ("coalmine.people.acting", "approve", "Say yes to what a release asks."),
    "explain": ("coalmine.people.looking", "explain", "Say why a Rollout is where it is, and what comes next."),
    "get": ("coalmine.people.looking", "get", "List Rollouts."),
    "history": ("coalmine.people.looking", "history", "Show how the last releases ended."),
    "pause": ("coalmine.people.acting", "pause", "Keep a release where it is."),
    "promote": ("coalmine.people.acting", "promote", "Promote a release without waiting for evidence."),
    "reject": ("coalmine.people.acting", "reject", "Say no to what a release asks."),
    "resume": ("coalmine.people.acting", "resume", "Let a paused release go on."),
    "retry": ("coalmine.people.acting", "retry", "Run a release that was taken back again."),
    "skip": ("coalmine.people.acting", "skip", "End the present step and begin the next."),
    "status": ("coalmine.people.looking", "status", "Show how releases stand, live with --watch."),
    "undo": ("coalmine.people.undoing", "undo", "Go back to an earlier version."),
}
"""Watching and steering releases."""

_SUBCOMMANDS: Final = _RELEASES | {
    "analysis": ("coalmine.analysis", "analysis", "Record and judge releases, compare rules, plan steps."),
    "completion": ("coalmine.completion.cli", "completion", "Print the script that completes on <TAB>."),
    "controller": ("rollouts.cli", "controller", "Run the controller that judges and promotes releases."),
    "crds": ("coalmine.crds", "crds", "Generate the custom resource definitions."),
    "dashboard": ("coalmine.dashboard", "dashboard", "Say where the dashboard is, and bring a cluster's here."),
    "demo": ("coalmine.demo.cli", "demo", "Watch good and bad releases being promoted and taken back."),
    "doctor": ("coalmine.doctor.cli", "doctor", "Say what keeps Coalmine from working in a cluster, with the fix."),
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
        others = {name: row for name, row in _SUBCOMMANDS.items() if name not in _RELEASES}
        for title, rows in (("Releases", _RELEASES), ("Everything else", others)):
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, _, text) in sorted(rows.items())])


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's way
    """Print the version. What finds it is imported when somebody asks: it takes longer than all of click."""
    if not wanted or context.resilient_parsing:
        return
    from importlib import metadata  # noqa: PLC0415

    try:
        version = metadata.version("coalmine")
    except metadata.PackageNotFoundError:
        version = "unknown (not installed)"
    click.echo(f"coalmine, version {version}")
    context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def main() -> None:
    """Progressive delivery for Kubernetes, with its mesh included."""


def kubectl_plugin() -> None:
    """``kubectl coalmine …``: the same commands under the name by which kubectl's users call them."""
    main(prog_name="kubectl coalmine")
