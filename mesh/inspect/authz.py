"""``coalmine mesh authz check``: which policies apply to a pod, and whether a request would pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mesh.inspect.access import gather, run, with_cluster
from mesh.inspect.files import read_files
from mesh.inspect.screens import console, table
from mesh.ir.identity import Identity
from mesh.lint.resources import Workloads, read_resources
from mesh.resolve.decide import Decision, Request, decide
from mesh.resolve.objects import read_pod

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mesh.ir.authz import Authorization, AuthzPolicy
    from mesh.ir.services import Workload
    from mesh.lint.resources import Resources

__all__ = ["authz_group"]

_EFFECTS: Final = {
    "AUDIT": "audits what it matches",
    "DENY": "denies what it matches",
    "ALLOW": "allows what it matches",
}


@click.group("authz")
def authz_group() -> None:
    """Ask about AuthorizationPolicies."""


def _pairs(_: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """Check ``name=value``."""
    if bad := [text for text in value if not text.partition("=")[0] or "=" not in text]:
        raise click.BadParameter(f"{bad[0]!r}: write it as name=value", param=param)
    return {name: rest for name, _equals, rest in (text.partition("=") for text in value)}


@authz_group.command("check")
@click.argument("pod", required=False, metavar="[POD[.NAMESPACE]]")
@click.option("-n", "--namespace", default="default", show_default=True, help="Where names do not say.")
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Files or folders with policies and workloads, instead of a cluster.",
)
@click.option(
    "--from", "caller", metavar="[NAMESPACE/]ACCOUNT", help="Service account of a caller; without it plaintext."
)
@click.option("--method", help="Of a request.")
@click.option("--path", "path_", help="Of a request.")
@click.option("--host", help="Of a request.")
@click.option("--port", type=int, help="Of the application; by default its first.")
@click.option("--header", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Of a request; again for more.")
@click.option("--claim", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Of a valid token; again for more.")
@click.option("--source-ip", help="Of the caller.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="By default as kubectl finds it.")
def check_command(
    *, pod: str | None, namespace: str, paths: tuple[Path, ...], kubeconfig: str | None, output: str, **asked: Any
) -> None:
    """Show the policies that apply to a pod, in the order in which they are asked.

    With a request (--from, --method, --path and so on) also whether it would pass, and by which rule. With -f, POD may be
    a Deployment, a StatefulSet or a DaemonSet, and without POD all of them are shown.

    Exit status: 0 the request passes, 1 it does not, 2 wrong usage.
    """
    if not paths and not pod:
        raise click.UsageError("name a POD, or files with -f")
    manifests = (
        [m for path in paths for m in read_files(path, namespace).manifests] if paths else run(_live(kubeconfig))
    )
    resources = read_resources(manifests, complete=not paths)
    answers = []
    for workload in _chosen(resources, pod, namespace):
        authorization = resources.world.authorization.of(workload)
        asks = any(value not in (None, {}) for value in asked.values())
        decision = decide(authorization, _request(workload, namespace, **asked)) if asks else None
        answers.append((workload, authorization, decision))
    if output == "json":
        click.echo(json.dumps([_as_json(*answer) for answer in answers], indent=2))
    else:
        _show(answers)
    if any(decision and not decision.allowed for _, _, decision in answers):
        raise click.exceptions.Exit(1)


async def _live(kubeconfig: str | None) -> list[dict[str, Any]]:
    async with with_cluster(kubeconfig) as kube:
        return await gather(kube)


def _chosen(resources: Resources, pod: str | None, namespace: str) -> list[Workload]:
    known = list(resources.world.workloads.values())
    if not resources.complete:
        known += list(_templates(resources))
    if pod is None:
        return known
    name, _, of = pod.partition(".")
    found = [w for w in known if w.key == (of or namespace, name)]
    if not found:
        what = "pod" if resources.complete else "pod or workload"
        raise click.ClickException(
            f"there is no {what} {name} in namespace {of or namespace}: write NAME.NAMESPACE or -n"
        )
    return found


def _templates(resources: Resources) -> Iterator[Workload]:
    """Yield the pods that workloads in files would make, under the workload's name."""
    for kind in Workloads:
        for manifest in resources.of(kind):
            meta, template = manifest["metadata"], (manifest.get("spec") or {}).get("template") or {}
            labels = (template.get("metadata") or {}).get("labels") or {}
            named = {"name": meta["name"], "namespace": meta["namespace"], "labels": labels}
            yield read_pod({"metadata": named, "spec": template.get("spec") or {}})


def _request(workload: Workload, namespace: str, **asked: Any) -> Request:
    principal = None
    if asked["caller"]:
        of, _, account = asked["caller"].rpartition("/")
        principal = Identity(of or namespace, account).principal
    port = asked["port"] or next((p.number for p in workload.ports), 80)
    http = next((p.protocol for p in workload.ports if p.number == port), "http") == "http"
    source = asked["source_ip"] or "0.0.0.0"  # noqa: S104 - no address is meant
    return Request(
        principal=principal,
        source_ip=source,
        remote_ip=source,
        host=asked["host"] or "",
        method=(asked["method"] or "GET").upper(),
        path=(asked["path_"] or "/").partition("?")[0],
        headers={name.lower(): value for name, value in asked["header"].items()},
        claims=asked["claim"] or None,
        address=workload.address or "0.0.0.0",  # noqa: S104
        port=port,
        protocol="http" if http else "tcp",
    )


def _in_order(authorization: Authorization) -> list[AuthzPolicy]:
    return [p for action in ("AUDIT", "DENY", "ALLOW") for p in authorization.policies if p.action == action]


def _show(answers: Sequence[tuple[Workload, Authorization, Decision | None]]) -> None:
    screen = console()
    for workload, authorization, decision in answers:
        screen.print(f"{workload.name}.{workload.namespace} (runs as {workload.identity.principal})", style="bold")
        policies = _in_order(authorization)
        rows = [
            (p.action, f"{p.namespace}/{p.name}", str(len(p.rules)), p.note or _EFFECTS[p.action]) for p in policies
        ]
        if rows:
            screen.print(table(("ACTION", "POLICY", "RULES", "EFFECT"), rows, right=("RULES",)))
        else:
            screen.print("No policy applies: everything is allowed.")
        if decision:
            style = "green" if decision.allowed else "bold red"
            screen.print(f"The request is {decision.reason}.", style=style, markup=False)
            for rule in decision.audited:
                screen.print(f"It is audited by {rule}.", markup=False)


def _as_json(workload: Workload, authorization: Authorization, decision: Decision | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "pod": {"namespace": workload.namespace, "name": workload.name, "principal": workload.identity.principal},
        "policies": [
            {"action": p.action, "namespace": p.namespace, "name": p.name, "rules": len(p.rules), "note": p.note}
            for p in _in_order(authorization)
        ],
    }
    if decision:
        found["decision"] = {
            "allowed": decision.allowed,
            "reason": decision.reason,
            "rule": decision.rule,
            "auditedBy": list(decision.audited),
        }
    return found
