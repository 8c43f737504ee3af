"""``coalmine doctor``."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from coalmine.completion.names import contexts, namespaces
from coalmine.kubectl import Kubectl, KubectlError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from coalmine.doctor.look import Look
    from coalmine.doctor.results import Result

__all__ = ["doctor"]

_PARALLEL: Final = 8
_SECONDS: Final = 60.0
_SIGNS: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "unknown": ("?", "cyan")}
_EXAMPLES = """\b
Examples:
  coalmine doctor                      the current context, all namespaces that you may see
  coalmine doctor -n shop -o json
  coalmine doctor --controller-url http://127.0.0.1:15090
  coalmine doctor --config controller.yaml    Slack, too, where the files are that it names
"""


@click.command("doctor", epilog=_EXAMPLES)
@click.option("-n", "--namespace", shell_complete=namespaces, help="Only Rollouts of this namespace; all by default.")
@click.option("--context", shell_complete=contexts, help="Of the kubeconfig; by default its current one.")
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
@click.option("--controller-url", default="", help="Where the controller serves its health, if it has no Lease.")
@click.option("--mesh-url", envvar="COALMINE_MESH_URL", help="The mesh's control plane; by default it is found.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The controller's configuration: Slack is asked with its tokens.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def doctor(
    *,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
    controller_url: str,
    mesh_url: str | None,
    config: Path | None,
    output: str,
) -> None:
    """Say what keeps Coalmine from working in a cluster, each finding with the command that mends it.

    Nothing is changed. What you may not see is told as unknown.

    Exit status: 0 nothing failed, 1 something did, 2 wrong usage.
    """
    from coalmine.doctor.look import Look  # noqa: PLC0415 - help and completion wait for none of it

    look = Look(Kubectl(kubeconfig, context, _SECONDS), namespace, controller_url, mesh_url, config)
    results = _examine(look)
    if output == "json":
        click.echo(json.dumps([_as_json(r) for r in results], indent=2, ensure_ascii=False))
    else:
        for result in results:
            _show(result)
        click.echo(_summary(results))
    if any(r.status == "failed" for r in results):
        raise click.exceptions.Exit(1)


def _checks() -> Mapping[str, Callable[[Look], list[Result]]]:
    from coalmine.doctor import admission, cluster, control, rights, slack, traffic  # noqa: PLC0415

    return {
        "clock": cluster.clock,
        "definitions": cluster.definitions,
        "unknown fields": cluster.strictness,
        "controller": control.running,
        "controller's rights": rights.of_the_controller,
        "hold": admission.hold,
        "approvals": admission.approvals,
        "mesh": traffic.control_plane,
        "sidecars": traffic.injection,
        "metrics": traffic.measurements,
        "notifications": traffic.notifications,
        "slack": slack.slack,
        "your rights": rights.of_the_user,
    }


def _examine(look: Look) -> list[Result]:
    """Ask everything at once; without a cluster there is nothing to ask."""
    from coalmine.doctor.cluster import reach  # noqa: PLC0415
    from coalmine.doctor.results import failed, unseen  # noqa: PLC0415
    from coalmine.doctor.slack import slack  # noqa: PLC0415

    try:
        results = reach(look)
    except KubectlError as error:
        unknown = "does not exist" in error.format_message()
        fix = "kubectl config get-contexts" if unknown else f"{look.kubectl.command} cluster-info"
        unreached = failed("cluster", f"it cannot be reached: {error.format_message()}", fix)
        return [unreached, *(slack(look) if look.config else [])]
    if space := look.narrow():
        words = f"you may not see Rollouts of all namespaces: only namespace {space} is looked at"
        results.append(unseen("cluster", words, "coalmine doctor -n NAMESPACE"))
    checks = _checks()
    answers: dict[str, list[Result]] = {}
    with ThreadPoolExecutor(_PARALLEL) as pool:
        running: dict[Future[list[Result]], str] = {pool.submit(ask, look): name for name, ask in checks.items()}
        for done in as_completed(running):
            name = running[done]
            try:
                answers[name] = done.result()
            except KubectlError as error:
                answers[name] = [unseen(name, error.format_message())]
            except (KeyError, TypeError, ValueError) as error:  # an object that somebody else wrote
                answers[name] = [unseen(name, f"what is there cannot be read: {type(error).__name__}: {error}")]
            _progress(len(answers), [n for n in checks if n not in answers])
    return [*results, *(result for name in checks for result in answers[name])]


def _progress(done: int, left: Sequence[str]) -> None:
    """Say on a terminal what is waited for; the line goes when all is there."""
    if not sys.stderr.isatty():
        return
    words = f"{done} of {done + len(left)} checks; waiting for {', '.join(left)}" if left else ""
    width = 78
    click.echo(f"\r{words[:width]:<{width}}\r", nl=False, err=True)


def _show(result: Result) -> None:
    sign, colour = _SIGNS[result.status]
    click.echo(f"{click.style(sign, fg=colour)} {click.style(result.check, bold=True)}: {result.message}")
    for fix in result.fixes:
        click.echo(f"    {click.style('$', dim=True)} {fix}")


def _summary(results: Sequence[Result]) -> str:
    counted = {status: sum(r.status == status for r in results) for status in _SIGNS}
    words = {"failed": "failed", "warning": "could be better", "unknown": "could not be seen", "ok": "fine"}
    return ", ".join(f"{counted[s]} {w}" for s, w in words.items() if counted[s])


def _as_json(result: Result) -> dict[str, object]:
    return {
        "check": result.check,
        "status": result.status.value,
        "message": result.message,
        "fixes": list(result.fixes),
    }
