"""What ``coalmine analysis record`` does with its options."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import click
from click.core import ParameterSource
from kubernetes.aio.config import ConfigException
from rich.console import Console

from analysis.model.counts import Arm
from analysis.providers.base import SourceError
from analysis.run.files import check_writable
from analysis.run.record import Recorder
from coalmine.local.progress import ConsoleProgress
from coalmine.recording.attending import Output, attend
from coalmine.recording.cluster import kubeconfig_of
from coalmine.recording.follow import FollowError, Wish
from coalmine.recording.running import ClusterOrder, PrometheusOrder, Tell, record_prometheus, record_rollout
from coalmine.recording.settings import FIELDS, LOGINS, GivenSecrets, SettingsError, block_of, settings_of
from rollouts.engine.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.api.prometheus import PrometheusCounts

__all__ = ["run"]

_EXPECTED: Final = (FollowError, SettingsError, SourceError, KubeError, ConfigException, aiohttp.ClientError, OSError)
"""Errors that are nobody's bug."""
_OF_A_ROLLOUT: Final = ("last", "namespace", "kubeconfig", "mesh_url")


def run(name: str | None, output: str | None, *, force: bool, options: dict[str, Any]) -> bool:
    """Record, and write what was recorded.

    Args:
        name: The Rollout; None for a span of time in Prometheus.
        output: The file; None or ``-`` for standard output.
        force: Whether the file may be replaced.
        options: The command's other options.

    Returns:
        Whether somebody ended it before it was done.

    Raises:
        ClickException: Nothing was recorded, or not all that was asked for.
    """
    _check(name, options)
    where = _output_of(output, force=force)
    recorder = Recorder(title=options["title"] or "")
    try:
        secrets = _secrets(options["given"])
        order = _rollout_order(name, options, secrets) if name else _prometheus_order(options, secrets)
    except (SettingsError, FollowError) as error:
        raise click.ClickException(str(error)) from None
    return _record(order, recorder, where, name or "Prometheus")


def _check(name: str | None, options: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    asked = options["prometheus"] or options["source"]
    if name is None:
        if not asked:
            raise click.UsageError(
                "write the NAME of a Rollout, or --prometheus URL (or --source FILE) for a span of time"
            )
        if given := [option for option in _OF_A_ROLLOUT if _is_written(option)]:
            raise click.UsageError(
                f"--{given[0].replace('_', '-')} belongs to the NAME of a Rollout: write the name too"
            )
        if options["since"] is None:
            raise click.UsageError("write --since TIME: when the release began")
    elif options["since"] or options["until"] or options["steps"]:
        raise click.UsageError(
            "--since, --until and --step are for Prometheus without NAME: the Rollout tells them itself"
        )
    if options["at_most"] and options["until"]:
        raise click.UsageError("--for and --until both say when to end: write one")


def _is_written(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def _output_of(output: str | None, *, force: bool) -> Output:

    if output is None and sys.stdout.isatty():
        raise click.UsageError("write -o FILE: a recording has thousands of lines (-o - shows them here all the same)")
    if output in {None, "-"}:
        return Output(None)
    path = Path(str(output))
    if path.exists() and not force:
        raise click.ClickException(f"--output {path} is there already: choose another name, or --force to replace it")
    if not path.parent.is_dir():
        raise click.ClickException(f"--output {path}: there is no folder {path.parent}: make it first")
    try:
        check_writable(path)
    except OSError as error:
        raise click.ClickException(f"--output {path} cannot be written: {error.strerror or error}") from None
    return Output(path)


def _secrets(given: tuple[str, ...]) -> GivenSecrets:

    secrets = GivenSecrets()
    for entry in given:
        reference, _, file = entry.partition("=")
        name, _, key = reference.partition("/")
        if not (name and key and file):
            raise click.UsageError(f"--secret {entry}: write it as NAME/KEY=FILE, such as prometheus/token=token.txt")
        secrets.files[name, key] = Path(file)
    return secrets


def _settings(options: dict[str, Any], block: dict[str, Any], secrets: GivenSecrets) -> PrometheusCounts:

    if options["source"]:
        block = block_of(options["source"])
    if options["buckets"]:
        try:
            options = {**options, "buckets": tuple(float(part) for part in options["buckets"].split(","))}
        except ValueError:
            raise click.UsageError(f"--buckets {options['buckets']}: write milliseconds like 5,10,25,50,100") from None
    return settings_of(block, options, secrets, os.environ)


def _rollout_order(name: str, options: dict[str, Any], secrets: GivenSecrets) -> ClusterOrder:

    asked = options["prometheus"] or options["source"]

    def settings(written: PrometheusCounts | None) -> PrometheusCounts | None:
        if written is None and not asked:
            if given := [name for name in (*FIELDS, *LOGINS) if options[name]]:
                raise SettingsError(
                    f"--{given[0].replace('_', '-')} is about Prometheus, and this Rollout's counts do not come from there: "
                    "write --prometheus URL too, or leave it out"
                )
            return None
        return _settings(options, written.dump() if written else {}, secrets)

    if asked:
        settings(None)  # what is wrong with the options is said before anything is waited for
    kubeconfig = kubeconfig_of(options["kubeconfig"], os.environ)
    until = None if options["at_most"] is None else time.time() + options["at_most"]
    wish = Wish(
        history=options["history"], last=options["last"], until=until, patience=0.0, latency=not options["no_latency"]
    )
    return ClusterOrder(
        namespace=options["namespace"],
        name=name,
        kubeconfig=kubeconfig,
        mesh_url=options["mesh_url"],
        settings=settings,
        secrets=secrets,
        wish=wish,
    )


def _prometheus_order(options: dict[str, Any], secrets: GivenSecrets) -> PrometheusOrder:

    settings = _settings(options, {}, secrets)
    if settings.canary is None:
        raise click.UsageError(
            "write --canary and --baseline: label matchers that tell the versions apart, such as "
            "--canary 'pod=~\"payment-canary-.*\"'"
        )
    since, now = options["since"], time.time()
    until = options["until"] or now + (options["at_most"] or 0.0)
    if since >= until:
        raise click.UsageError("--since is not before --until (or not before now): write when the release began")
    if outside := [step for step in options["steps"] if not since <= step <= until]:
        raise click.UsageError(f"--step {outside[0]:.0f} (Unix seconds) is not between --since and --until: correct it")
    return PrometheusOrder(
        settings=settings,
        secrets=secrets,
        latency=not options["no_latency"],
        since=since,
        until=until,
        history=options["history"],
        steps=tuple(sorted(set(options["steps"]))),
    )


def _record(order: ClusterOrder | PrometheusOrder, recorder: Recorder, output: Output, what: str) -> bool:
    """Record, write, and say what came of it. Returns whether somebody ended it."""
    progress = ConsoleProgress(Console(stderr=True))

    async def work(tell: Tell) -> bool:
        if isinstance(order, ClusterOrder):
            return await attend(record_rollout(order, recorder, tell), recorder, output)
        return await attend(record_prometheus(order, recorder, tell), recorder, output)

    failure, interrupted = "", False
    with progress.task(what) as update:
        try:
            interrupted = asyncio.run(work(Tell(progress.line, update)))
        except _EXPECTED as error:
            failure = str(error) or type(error).__name__
    for problem in recorder.problems:
        progress.line(f"left out: {problem}")
    if recorder.windows:
        _finish(recorder, output, progress.line, failure)
    elif interrupted:
        progress.line("ended before anything was recorded")
    else:
        held = " (the mesh holds an hour, and nothing from before its start)" if isinstance(order, ClusterOrder) else ""
        raise click.ClickException(f"nothing was recorded: {failure or 'there are no counts of that time' + held}")
    return interrupted


def _finish(recorder: Recorder, output: Output, say: Callable[[str], None], failure: str) -> None:
    """Write what was recorded and say what it is."""
    windows = recorder.windows
    try:
        output.save(recorder)
    except OSError as error:
        raise click.ClickException(f"--output {output.path} cannot be written: {error.strerror or error}") from None
    if guessed := recorder.guessed():
        say(f"taken to have started when first counted, as nobody tells: {', '.join(guessed)}")
    sums = recorder.sums()
    if not sums[Arm.CANARY].attempts:
        say("there are no requests to the canary in it: replay has nothing to judge")
    seconds = windows[-1].end - windows[0].start
    counted = (
        (len(windows), "window"),
        (sum(one.pods for one in sums.values()), "pod"),
        (len(recorder.step_starts), "step"),
    )
    say(f"recorded {seconds:.0f} s: {', '.join(f'{number:,} {what}{_s(number)}' for number, what in counted)}")
    if failure:
        raise click.ClickException(f"the recording is not complete: {failure}")
    if output.path is not None:
        say(f"wrote {output.path}; judge it with: coalmine analysis replay {output.path}")


def _s(number: int) -> str:
    return "" if number == 1 else "s"
