"""``coalmine controller``: the controller's commands."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import click
import yaml

from crds.logs import FORMATS, LogFormat, configure
from rollouts.api.admission import Hold
from rollouts.api.floors import AUTOSCALERS
from rollouts.api.installed import every_policy

__all__ = ["controller"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NAMESPACE = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


def _namespaces(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not re.fullmatch(_NAMESPACE, value):
            raise click.BadParameter(f"{value!r} is no namespace's name: write one, and repeat --namespace for others")
    return tuple(dict.fromkeys(values))


@click.group()
def controller() -> None:
    """The controller: watches Rollouts and releases their Deployments step by step."""


@controller.command()
@click.option(
    "--version", type=click.Choice(["v1", "v1beta1"]), default="v1", show_default=True, help="Of the policy's API."
)
def policy(version: str) -> None:
    """Print the admission policies of hold, autoscalers' floor and approvals, for an administrator to apply.

    A controller that watches the whole cluster installs them itself; one with --namespace does not.
    """
    click.echo(yaml.safe_dump_all(every_policy(version), sort_keys=False), nl=False)


@controller.command()
@click.option("--kubeconfig", type=_FILE, help="How to reach the API server; without it, the pod's service account.")
@click.option("--mesh-url", required=True, help="The mesh control plane's HTTP address, e.g. http://127.0.0.1:15080.")
@click.option(
    "--mesh-token-file",
    type=_FILE,
    help="File with the service account's token that the mesh asks for where that address is not on loopback "
    "(projected, audience coalmine).",
)
@click.option(
    "--hold",
    type=click.Choice(["auto", *Hold]),
    default="auto",
    show_default=True,
    help="How changed templates are held: by a MutatingAdmissionPolicy, by our webhook, or by what the API server has.",
)
@click.option("--webhook-address", help="HOST:PORT where the hold's webhook is served.")
@click.option("--tls-cert", type=_FILE, help="The webhook's certificate, PEM.")
@click.option("--tls-key", type=_FILE, help="Its key, PEM.")
@click.option("--ca-file", type=_FILE, help="What the API server checks the certificate against, PEM.")
@click.option(
    "--otlp-address", help="HOST:PORT that takes OpenTelemetry metrics (OTLP/HTTP, /v1/metrics); none without it."
)
@click.option(
    "--otlp-token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the bearer token that senders of metrics have to show.",
)
@click.option(
    "--health-address",
    default="127.0.0.1:15090",
    show_default=True,
    help="HOST:PORT of /healthz, /readyz and /metrics.",
)
@click.option(
    "--http-address",
    help="HOST:PORT of the dashboard, and of calls that gates take (Slack, signed ones); none without it.",
)
@click.option(
    "--max-releases",
    type=click.IntRange(min=1),
    help="How many releases may be under way at once; the others wait. Any number without it.",
)
@click.option(
    "--leader-elect/--no-leader-elect",
    default=None,
    help="Act only while holding a Lease, so that several controllers may run: the default in a pod; with --kubeconfig "
    "it has to be asked for.",
)
@click.option("--lease-name", default="coalmine-controller", show_default=True, help="The Lease's name.")
@click.option("--lease-namespace", help="Its namespace; without it, the pod's own, or default outside of a cluster.")
@click.option(
    "--lease-seconds",
    type=click.IntRange(min=3),
    default=15,
    show_default=True,
    help="After how many seconds without a renewal another controller takes over.",
)
@click.option(
    "--autoscaler",
    "autoscalers",
    multiple=True,
    default=AUTOSCALERS,
    show_default=True,
    metavar="USER",
    help="Who may not scale a Deployment down below what its release needs; may be given several times.",
)
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    callback=_namespaces,
    help="Watch this namespace only (repeatable); the whole cluster without it. See deploy/controller/namespaced/.",
)
@click.option(
    "--config",
    "config_file",
    type=_FILE,
    help="YAML file: approvals, notifications, dashboard. See docs/controller.md.",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Lines for people, or one JSON object a line. See docs/operations.md.",
)
@click.option("--verbose", is_flag=True, help="Log every request that writes, conflict and retry too.")
def run(  # noqa: PLR0917 - click passes them by name
    kubeconfig: Path | None,
    mesh_url: str,
    mesh_token_file: Path | None,
    hold: str,
    webhook_address: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    ca_file: Path | None,
    otlp_address: str | None,
    otlp_token_file: Path | None,
    health_address: str,
    http_address: str | None,
    max_releases: int | None,
    autoscalers: tuple[str, ...],
    namespaces: tuple[str, ...],
    lease_name: str,
    lease_namespace: str | None,
    lease_seconds: int,
    config_file: Path | None,
    log_format: LogFormat,
    *,
    leader_elect: bool | None,
    verbose: bool,
) -> None:
    """Run the controller until it gets SIGTERM."""
    from rollouts.api.controller import read_config  # noqa: PLC0415
    from rollouts.engine.leader import LeaseSettings, own_namespace  # noqa: PLC0415
    from rollouts.wiring.options import Options  # noqa: PLC0415 - kopf and aiohttp load only where they are needed
    from rollouts.wiring.run import run as run_controller  # noqa: PLC0415

    configure(log_format, packages=("rollouts", "analysis"), verbose=verbose)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    elects = kubeconfig is None if leader_elect is None else leader_elect
    lease = LeaseSettings(lease_namespace or own_namespace(), lease_name, lease_seconds) if elects else None
    try:
        options = Options(
            kubeconfig=kubeconfig,
            mesh_url=mesh_url,
            mesh_token_file=mesh_token_file,
            hold=hold,
            health_address=health_address,
            http_address=http_address,
            otlp_address=otlp_address,
            otlp_token_file=otlp_token_file,
            webhook_address=webhook_address,
            tls_cert=tls_cert,
            tls_key=tls_key,
            ca_file=ca_file,
            max_releases=max_releases,
            autoscalers=autoscalers,
            namespaces=namespaces,
            lease=lease,
            config=read_config(config_file),
        )
        asyncio.run(run_controller(options))
    except ValueError as error:
        raise click.ClickException(str(error)) from None
