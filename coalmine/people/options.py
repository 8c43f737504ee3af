"""The options that the commands share, as kubectl has them."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coalmine.people.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

__all__ = ["completed", "everywhere_option", "one_rollout", "output_option", "targeted", "watch_options"]

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def completed(names: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what completes names from the cluster; imported when a shell asks."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from coalmine.completion import names as known  # noqa: PLC0415

        found: list[CompletionItem] = getattr(known, names)(context, parameter, incomplete)
        return found

    return complete


def targeted(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command kubectl's options for cluster and namespace, as one argument ``target``."""

    @click.option("-n", "--namespace", metavar="NAME", shell_complete=completed("namespaces"), help="The namespace.")
    @click.option("--context", metavar="NAME", shell_complete=completed("contexts"), help="The kubeconfig's context.")
    @click.option("--kubeconfig", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="The kubeconfig.")
    @click.option("--as", "as_user", metavar="USER", help="Act as this user, where you may impersonate.")
    @click.option("--as-group", "as_groups", metavar="GROUP", multiple=True, help="And as member of this group.")
    @functools.wraps(command)
    def with_target(
        namespace: str | None,
        context: str | None,
        kubeconfig: str | None,
        as_user: str | None,
        as_groups: tuple[str, ...],
        *,
        everywhere: bool = False,
        **rest: Any,
    ) -> Any:
        target = Target(namespace, everywhere, context, kubeconfig, as_user, as_groups)
        try:
            return command(target=target, **rest)
        except BrokenPipeError:  # piped into head
            sys.stderr.close()
            sys.exit(0)
        except KeyboardInterrupt:
            sys.exit(130)

    return with_target


def everywhere_option(command: _Command) -> _Command:
    """Give a command ``-A``."""
    return click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces.")(command)


def one_rollout(command: _Command) -> _Command:
    """Give a command the argument ``name``."""
    return click.argument("name", metavar="ROLLOUT", shell_complete=completed("rollouts"))(command)


def output_option(*forms: str) -> Callable[[_Command], _Command]:
    """Give a command ``-o``."""
    return click.option("-o", "--output", type=click.Choice(forms), help="Another form of output.")


def watch_options(command: _Command) -> _Command:
    """Give a command ``--watch`` and ``--timeout``."""
    command = click.option(
        "--timeout",
        metavar="DURATION",
        default="0s",
        show_default=True,
        help="With --watch: give up after this time (30s, 10m); 0s never does.",
    )(command)
    return click.option("-w", "--watch", is_flag=True, help="Follow it until it ends; the exit code says how.")(command)
