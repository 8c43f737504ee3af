"""``coalmine mesh``: the mesh's control plane on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from crds.logs import FORMATS, LogFormat, configure
from mesh.ca.roots import SecretError
from mesh.inspect.commands import COMMANDS
from mesh.inspect.injection import injection_options
from mesh.wiring.kube import KubeError
from mesh.wiring.serve import serve
from mesh.wiring.settings import ServeConfig

__all__ = ["mesh"]


@click.group()
def mesh() -> None:
    """The service mesh: discovery, injection, telemetry, and what people ask it."""


for _command in COMMANDS:
    mesh.add_command(_command)


def _address(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check ``host:port``."""
    if value is None:
        return None
    host, _colon, port = value.rpartition(":")
    if not host or not port.isdigit():
        raise click.BadParameter(f"{value!r}: write it as host:port, such as 127.0.0.1:15010", param=param)
    return value


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@mesh.command("serve")
@click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Without it: the cluster this runs in."
)
@click.option("--xds-address", required=True, callback=_address, help="Where to serve discovery and OTLP.")
@click.option("--xds-advertise", callback=_address, help="How pods reach that; by default the same.")
@click.option("--http-address", required=True, callback=_address, help="Where to serve /readyz and /v1/telemetry.")
@click.option("--webhook-address", required=True, callback=_address, help="Where to serve injection, over HTTPS.")
@click.option("--webhook-url", help="How the API server reaches that; by default https:// and the address.")
@click.option("--tls-cert", required=True, type=_FILE, help="Certificate of the webhook.")
@click.option("--tls-key", required=True, type=_FILE, help="Its key.")
@click.option("--ca-file", required=True, type=_FILE, help="What the API server checks it with.")
@click.option(
    "--endpoints",
    type=click.Choice(["pods", "endpointslices"]),
    default="endpointslices",
    show_default=True,
    help="Where endpoints come from; EndpointSlices refuse loopback, so a local cluster needs pods.",
)
@injection_options
@click.option(
    "--namespace", default="coalmine-system", show_default=True, help="The control plane's own, where its Secret is."
)
@click.option(
    "--certificate-seconds",
    envvar="COALMINE_CERTIFICATE_SECONDS",
    type=click.FloatRange(min=2),
    default=24 * 3600,
    show_default=True,
    help="How long a workload's certificate lives; it is renewed at half of that.",
)
@click.option(
    "--root-hold-seconds",
    type=click.FloatRange(min=0),
    default=180,
    show_default=True,
    help="How long each step of a root's exchange lasts at least: longer than kubelets take to refresh files.",
)
@click.option(
    "--ca-secret",
    envvar="COALMINE_CA_SECRET",
    default="",
    help="Secret with an intermediate to sign with, as Istio's cacerts or a Certificate of cert-manager; by default "
    "cacerts, if it is there, and a root of the mesh's own otherwise.",
)
@click.option(
    "--mount-root",
    default="",
    help="What precedes the paths of mounted files in pods; '.' for pods that are processes.",
)
@click.option(
    "--access-log-percent",
    type=click.FloatRange(min=0, max=100),
    default=0,
    show_default=True,
    help="How many requests and TCP connections each sidecar logs as JSON.",
)
@click.option(
    "--tracing-otlp",
    envvar="COALMINE_TRACING_OTLP",
    callback=_address,
    help="Collector that takes spans by OTLP over gRPC (Jaeger, Tempo or any other); without it there are none.",
)
@click.option(
    "--tracing-sampling",
    envvar="COALMINE_TRACING_SAMPLING",
    type=click.FloatRange(min=0, max=100),
    default=1,
    show_default=True,
    help="Percent of the requests without a decision of their caller that are recorded; Telemetry may say otherwise.",
)
@click.option(
    "--tracing-b3",
    envvar="COALMINE_TRACING_B3",
    type=click.Choice(["off", "accept", "add"]),
    default="accept",
    show_default=True,
    help="B3 headers of requests: left alone, read and renewed, or added to all requests as well.",
)
@click.option(
    "--pod-name", envvar="POD_NAME", default="", help="The control plane's own pod, so that `coalmine mesh` finds it."
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Lines for people, or one JSON object a line. See docs/operations.md.",
)
@click.option("--verbose", is_flag=True, help="Say more.")
def serve_command(*, log_format: LogFormat, verbose: bool, **options: Any) -> None:
    """Run the control plane."""
    configure(log_format, packages=("mesh",), verbose=verbose)
    options["xds_advertise"] = options["xds_advertise"] or options["xds_address"]
    options["tracing_otlp"] = options["tracing_otlp"] or ""
    options["webhook_url"] = options["webhook_url"] or f"https://{options['webhook_address']}"
    try:
        asyncio.run(serve(ServeConfig(**options)))
    except (KubeError, OSError, RuntimeError, SecretError) as error:
        raise click.ClickException(str(error)) from error
