"""``coalmine analysis record``: makes a recording from a cluster or from Prometheus."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coalmine.recording.options import MOMENT, SPAN, SectionedCommand, in_section

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.api.prometheus import PrometheusCounts
    from analysis.run.record import Recorder
    from coalmine.recording.running import ClusterOrder, Output, PrometheusOrder, Tell
    from coalmine.recording.settings import GivenSecrets

__all__ = ["record"]

_INTERRUPTED: Final = 130
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_output = in_section("Recording")
_cluster = in_section("A Rollout in a cluster")
_span = in_section("A span of time in Prometheus (without NAME)")
_what = in_section("What Prometheus counts (as spec.analysis.source.prometheus)")
_who = in_section("How Prometheus is reached")


@click.command(cls=SectionedCommand)
@click.argument("name", required=False)
@_output("-o", "--output", metavar="FILE", help="Where to write; gzip if it ends in .gz, - for standard output.")
@_output("--force", is_flag=True, help="Replace the file if there is one.")
@_output("--title", help="What it is, for people; by default the Rollout and its images.")
@_output("--history", type=SPAN, default="10m", show_default=True, help="How much of the time before the release is recorded too.")  # fmt: skip
@_output("--for", "at_most", type=SPAN, help="End after this long even if the release goes on (10m).")
@_output("--no-latency", is_flag=True, help="Record no latencies.")
@_cluster("-n", "--namespace", default="default", show_default=True, help="The Rollout's namespace.")
@_cluster("--last", is_flag=True, help="The release that ended last, rather than the one that goes on or comes next.")
@_cluster("--kubeconfig", type=click.Path(path_type=Path), help="As kubectl's: by default KUBECONFIG, or ~/.kube/config.")  # fmt: skip
@_cluster("--mesh-url", envvar="COALMINE_MESH_URL", help="The mesh control plane's HTTP address; known for `coalmine local`.")  # fmt: skip
@_span("--since", type=MOMENT, help="When the release began: 2026-11-21T09:00Z, Unix seconds, or how long ago (30m).")
@_span("--until", type=MOMENT, help="Until when; now by default. What lies ahead is waited for.")
@_span("--step", "steps", type=MOMENT, multiple=True, help="When the canary's share changed; may be repeated.")
@_what(
    "--prometheus", metavar="URL", help="The address, up to /api/v1; with NAME, instead of the Rollout's own source."
)
@_what("--source", type=_FILE, help="A Rollout's YAML, or its prometheus block; options win over it.")
@_what("--preset", type=click.Choice(["Istio", "OpenTelemetry", "Http", "Linkerd", "Envoy"]), help="A known convention.")  # fmt: skip
@_what("--canary", metavar="MATCHERS", help="Label matchers of the canary's pods: version=\"v2\" or pod=~\"payment-canary-.*\".")  # fmt: skip
@_what("--baseline", metavar="MATCHERS", help="Label matchers of the baseline's pods.")
@_what("--matchers", metavar="MATCHERS", help='Label matchers of both: job="payment".')
@_what("--requests", metavar="METRIC", help="The counter of requests.")
@_what("--errors", metavar="MATCHERS", help='Which of them failed: code=~"5..".')
@_what("--latency", metavar="METRIC", help="The histogram of latencies, without _bucket.")
@_what("--latency-unit", type=click.Choice(["s", "ms"]), help="What it counts in, if its name does not tell.")
@_what("--buckets", metavar="MS,MS,…", help="Bounds of the histogram to record at; by default all.")
@_what("--pod-label", metavar="LABEL", help="The label that tells pods apart; pod by default.")
@_what("--route-label", metavar="LABEL", help="The label that tells kinds of requests apart.")
@_what("--replica-label", "replica_labels", metavar="LABEL", multiple=True, help="Labels by which copies of a Prometheus differ.")  # fmt: skip
@_what("--scrape-interval", metavar="DURATION", help="How often pods are scraped; 15s by default.")
@_what("--lateness", metavar="DURATION", help="How long after a scrape its samples can be read; 3s by default.")
@_who("--token-file", type=_FILE, help="A bearer token; or COALMINE_PROMETHEUS_TOKEN in the environment.")
@_who("--user", help="User name of basic authentication.")
@_who("--password-file", type=_FILE, help="Its password; or COALMINE_PROMETHEUS_PASSWORD in the environment.")
@_who("--tenant", help="Tenant of Mimir or Cortex.")
@_who("--ca-file", type=_FILE, help="Authority of the server's certificate, PEM.")
@_who("--cert-file", type=_FILE, help="Our certificate, PEM.")
@_who("--key-file", type=_FILE, help="Its key, PEM.")
@_who("--insecure-skip-verify", is_flag=True, help="Take any certificate.")
@_who("--timeout", metavar="DURATION", help="Give up on an answer after this long; 10s by default.")
@_who(
    "--secret", "given", multiple=True, metavar="NAME/KEY=FILE", help="The value of a Secret that --source refers to."
)
def record(name: str | None, output: str | None, *, force: bool, **options: Any) -> None:
    """Record a release, so that `replay` and `compare` can judge it again.

    With NAME: the release of a Rollout that goes on, or the next one, to its end. Counts come from where the Rollout has
    them, by default from the mesh. Without NAME: a span of time in Prometheus. Ctrl-C ends it; what came until then is
    written.

    \b
    coalmine analysis record payment -n shop -o release.jsonl.gz
    coalmine analysis record payment -n shop --last -o release.jsonl.gz
    coalmine analysis record --prometheus http://localhost:9090 --preset Istio \\
      --canary 'version="v2"' --baseline 'version="v1"' \\
      --since 2026-11-21T09:00Z --until 2026-11-21T09:20Z \\
      --step 2026-11-21T09:01Z --step 2026-11-21T09:06Z -o release.jsonl
    """  # noqa: D301 - click wants the character
    from analysis.run.record import Recorder  # noqa: PLC0415 - help needs none of this
    from coalmine.recording.settings import SettingsError  # noqa: PLC0415

    _check(name, options)
    where = _output_of(output, force=force)
    recorder = Recorder(title=options["title"] or "")
    try:
        secrets = _secrets(options["given"])
        order = _rollout_order(name, options, secrets) if name else _prometheus_order(options, secrets)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    _run(order, recorder, where, name or "Prometheus")


def _check(name: str | None, options: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    asked = options["prometheus"] or options["source"]
    if name is None:
        if not asked:
            raise click.UsageError(
                "write the NAME of a Rollout, or --prometheus URL (or --source FILE) for a span of time"
            )
        if options["last"]:
            raise click.UsageError("--last belongs to the NAME of a Rollout: write --since and --until")
        if options["since"] is None:
            raise click.UsageError("write --since TIME: when the release began")
    elif options["since"] or options["until"] or options["steps"]:
        raise click.UsageError(
            "--since, --until and --step are for Prometheus without NAME: the Rollout tells them itself"
        )
    if options["at_most"] and options["until"]:
        raise click.UsageError("--for and --until both say when to end: write one")


def _output_of(output: str | None, *, force: bool) -> Output:
    from analysis.run.files import check_writable  # noqa: PLC0415
    from coalmine.recording.running import Output  # noqa: PLC0415

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
    from coalmine.recording.settings import GivenSecrets  # noqa: PLC0415

    secrets = GivenSecrets()
    for entry in given:
        reference, _, file = entry.partition("=")
        name, _, key = reference.partition("/")
        if not (name and key and file):
            raise click.UsageError(f"--secret {entry}: write it as NAME/KEY=FILE, such as prometheus/token=token.txt")
        secrets.files[name, key] = Path(file)
    return secrets


def _settings(options: dict[str, Any], block: dict[str, Any], secrets: GivenSecrets) -> PrometheusCounts:
    from coalmine.recording.settings import block_of, settings_of  # noqa: PLC0415

    if options["source"]:
        block = block_of(options["source"])
    if options["buckets"]:
        try:
            options = {**options, "buckets": tuple(float(part) for part in options["buckets"].split(","))}
        except ValueError:
            raise click.UsageError(f"--buckets {options['buckets']}: write milliseconds like 5,10,25,50,100") from None
    return settings_of(block, options, secrets, os.environ)


def _rollout_order(name: str, options: dict[str, Any], secrets: GivenSecrets) -> ClusterOrder:
    from coalmine.recording.cluster import kubeconfig_of  # noqa: PLC0415
    from coalmine.recording.follow import FollowError, Wish  # noqa: PLC0415
    from coalmine.recording.running import ClusterOrder  # noqa: PLC0415

    def settings(written: PrometheusCounts | None) -> PrometheusCounts | None:
        if written is None and not (options["prometheus"] or options["source"]):
            return None
        return _settings(options, written.dump() if written else {}, secrets)

    settings(None)  # what is wrong with the options is said before anything is waited for
    try:
        kubeconfig = kubeconfig_of(options["kubeconfig"], os.environ)
    except FollowError as error:
        raise click.ClickException(str(error)) from None
    until = None if options["at_most"] is None else time.time() + options["at_most"]
    wish = Wish(history=options["history"], last=options["last"], until=until, patience=0.0)
    return ClusterOrder(
        namespace=options["namespace"],
        name=name,
        kubeconfig=kubeconfig,
        mesh_url=options["mesh_url"],
        settings=settings,
        secrets=secrets,
        latency=not options["no_latency"],
        wish=wish,
    )


def _prometheus_order(options: dict[str, Any], secrets: GivenSecrets) -> PrometheusOrder:
    from coalmine.recording.running import PrometheusOrder  # noqa: PLC0415

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


def _run(order: ClusterOrder | PrometheusOrder, recorder: Recorder, output: Output, what: str) -> None:
    """Record, write, and say what came of it; exit code 130 when somebody ended it, 1 when it is not complete."""
    from rich.console import Console  # noqa: PLC0415

    from coalmine.local.progress import ConsoleProgress  # noqa: PLC0415
    from coalmine.recording.running import ClusterOrder, Tell, attend, record_prometheus, record_rollout  # noqa: PLC0415

    progress = ConsoleProgress(Console(stderr=True))

    async def work(tell: Tell) -> bool:
        if isinstance(order, ClusterOrder):
            return await attend(record_rollout(order, recorder, tell), recorder, output)
        return await attend(record_prometheus(order, recorder, tell), recorder, output)

    failure, interrupted = "", False
    with progress.task(what) as update:
        try:
            interrupted = asyncio.run(work(Tell(progress.line, update)))
        except _expected() as error:
            failure = str(error) or type(error).__name__
    _finish(recorder, output, progress.line, failure)
    if interrupted:
        sys.exit(_INTERRUPTED)


def _expected() -> tuple[type[Exception], ...]:
    """Return the errors that are nobody's bug."""
    import aiohttp  # noqa: PLC0415
    from kubernetes.aio.config import ConfigException  # noqa: PLC0415

    from analysis.providers.base import SourceError  # noqa: PLC0415
    from coalmine.recording.follow import FollowError  # noqa: PLC0415
    from coalmine.recording.settings import SettingsError  # noqa: PLC0415
    from rollouts.engine.kube import KubeError  # noqa: PLC0415

    return (FollowError, SettingsError, SourceError, KubeError, ConfigException, aiohttp.ClientError, OSError)


def _finish(recorder: Recorder, output: Output, say: Callable[[str], None], failure: str) -> None:
    from analysis.model.counts import Arm  # noqa: PLC0415

    for problem in recorder.problems:
        say(f"left out: {problem}")
    windows = recorder.windows
    if not windows:
        raise click.ClickException(f"nothing was recorded: {failure or 'there were no counts'}")
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
