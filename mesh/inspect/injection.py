"""``coalmine mesh inject`` and ``check-inject``: sidecars into manifests, and pods that lack theirs."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click
import yaml

from mesh.inject.choice import RefusedError
from mesh.inject.manifests import inject_manifests
from mesh.inject.missing import Uninjected, find_uninjected
from mesh.inject.pods import INIT_IMAGE, IPTABLES_RESTORE, PROXY_IMAGE, InjectConfig
from mesh.inspect.access import run, with_cluster
from mesh.inspect.screens import console, table
from mesh.wiring.kinds import PODS, WEBHOOKS
from mesh.wiring.kube import Kind
from mesh.wiring.webhooks import istio_injects

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.wiring.kube import Kube

__all__ = ["check_inject_command", "inject_command", "injection_options"]

_NAMESPACES: Final = Kind("", "v1", "Namespace", "namespaces")
_REPLICA_SETS: Final = Kind("apps", "v1", "ReplicaSet", "replicasets")
_RESTARTABLE: Final = {
    kind: Kind("apps", "v1", kind, plural)
    for kind, plural in (("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("DaemonSet", "daemonsets"))
}
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"


def injection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a sidecar is made."""
    for option in reversed(
        (
            click.option(
                "--capture",
                type=click.Choice(["env", "iptables"]),
                default="env",
                show_default=True,
                help="env sets http_proxy in the application; iptables redirects its packets, which needs NET_ADMIN "
                "in an init container.",
            ),
            click.option("--envoy", default="envoy", show_default=True, help="The sidecar's command."),
            click.option("--proxy-image", default=PROXY_IMAGE, show_default=True, help="The sidecar's image."),
            click.option(
                "--init-image",
                default=INIT_IMAGE,
                show_default=True,
                help="Image with /bin/sh and iptables, for the init container that redirects packets.",
            ),
            click.option(
                "--iptables-restore",
                default=IPTABLES_RESTORE,
                show_default=True,
                help="Its command: iptables-nft-restore or iptables-legacy-restore where the default is the wrong one.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command("inject")
@click.option(
    "-f", "--filename", "files", multiple=True, required=True, type=click.File(), help="Manifests; - is standard input."
)
@click.option("--xds-address", required=True, help="host:port under which pods reach the control plane.")
@injection_options
def inject_command(
    *,
    files: tuple[Any, ...],
    xds_address: str,
    proxy_image: str,
    **options: Any,
) -> None:
    """Write manifests with sidecars, as the admission webhook would make them.

    Pods and templates of all workloads get one, whatever their namespace's labels, unless they opt out. What makes no
    pods comes out as it went in; warnings go to standard error.
    """
    config = InjectConfig(xds_address=xds_address, image=proxy_image, **options)
    try:
        manifests = [m for file in files for m in yaml.safe_load_all(file) if m is not None]
        made, warnings = inject_manifests(manifests, config)
    except yaml.YAMLError as error:
        raise click.ClickException(f"this is no YAML: {error}") from error
    except (RefusedError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    yaml.safe_dump_all(made, sys.stdout, sort_keys=False, width=120)


@click.command("check-inject")
@click.option("-n", "--namespace", help="Only this namespace; by default all.")
@click.option("--restart", is_flag=True, help="Restart the workloads of these pods, so that new pods get sidecars.")
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def check_inject_command(*, namespace: str | None, restart: bool, kubeconfig: str | None, output: str) -> None:
    """Find pods that should have a sidecar and have none, most often because they are older than the label.

    Ends with status 1 when there are any and they are not restarted.
    """
    found = run(_check(kubeconfig, namespace, restart=restart))
    if output == "json":
        click.echo(json.dumps([asdict(pod) for pod in found], indent=2))
    elif found:
        rows = [(p.namespace, p.pod, p.owner or "-", p.reason) for p in found]
        console().print(table(("NAMESPACE", "POD", "OWNER", "REASON"), rows))
    else:
        click.echo("every pod that should have a sidecar has one")
    left = [p for p in found if not (restart and p.restart)]
    if restart and output == "table":
        for owner in sorted({f"{p.namespace}/{p.owner}" for p in found if p.restart}):
            click.echo(f"restarted {owner}")
    elif found and output == "table":
        click.echo("\nA sidecar comes with a new pod: add --restart, or restart these workloads yourself.")
    if left:
        sys.exit(1)


async def _check(kubeconfig: str | None, namespace: str | None, *, restart: bool) -> list[Uninjected]:
    async with with_cluster(kubeconfig) as kube:
        everything = [(await kube.list_all(kind))[0] for kind in (_NAMESPACES, PODS, _REPLICA_SETS, WEBHOOKS)]
        namespaces, pods, replica_sets, webhooks = everything
        chosen = [p for p in pods if namespace in (None, p["metadata"]["namespace"])]
        found = find_uninjected(namespaces, chosen, replica_sets, istio_labels=not istio_injects(webhooks))
        if restart:
            for pod_namespace, owner in sorted({(p.namespace, p.owner) for p in found if p.restart}):
                await _restart(kube, pod_namespace, owner)
    return found


async def _restart(kube: Kube, namespace: str, owner: str) -> None:
    """Do what ``kubectl rollout restart`` does."""
    kind, _, name = owner.partition("/")
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    template = {"metadata": {"annotations": {_RESTARTED: now}}}
    manifest = {"metadata": {"namespace": namespace, "name": name}, "spec": {"template": template}}
    await kube.apply(_RESTARTABLE[kind], manifest)
