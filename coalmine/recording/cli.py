"""``coalmine analysis record``: makes a recording from a cluster or from Prometheus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from coalmine.recording.options import MOMENT, SPAN, SectionedCommand, in_section

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
    from coalmine.recording.command import run  # noqa: PLC0415 - help needs none of its libraries

    interrupted = run(name, output, force=force, options=options)
    if interrupted:
        sys.exit(_INTERRUPTED)
