"""The mesh, the measurements, and who is told: as far as they can be seen from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

import click

from coalmine.doctor.cluster import names
from coalmine.doctor.look import Look, shipped
from coalmine.doctor.results import Result, failed, passed, unseen, warned
from coalmine.kubectl import KubectlError
from mesh.api.names import PROXY_CONTAINER
from rollouts.api.names import ROLE_LABEL, ROLLOUT_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.api.debug import ProxyStatuses

__all__ = ["control_plane", "injection", "measurements", "notifications"]

_INJECT: Final = "coalmine.dev/inject"
_QUEUE: Final = "coalmine-notifications-"
_OWED_TRIES: Final = 3


def control_plane(look: Look) -> list[Result]:
    """Does the mesh's control plane answer, and does every proxy hold what it should?"""
    # Here, as the client takes a moment to load.
    from mesh.inspect.proxystatus import proxy_statuses  # noqa: PLC0415
    from mesh.wiring.kube import KubeError  # noqa: PLC0415

    try:
        with _kubeconfig(look) as path:
            statuses: ProxyStatuses = asyncio.run(proxy_statuses(path, look.mesh_url))
    except (click.ClickException, KubeError, OSError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        if "forbidden" in said:
            return [unseen("mesh", said, "coalmine doctor --mesh-url http://HOST:15080")]
        return [failed("mesh", said, *_start(look))]
    proxies = [p for p in statuses.proxies if look.namespace in {None, p.namespace}]
    results = [passed("mesh", f"the control plane answers, with {len(proxies)} proxies")]
    if away := [f"{p.pod}.{p.namespace}" for p in proxies if not p.connected]:
        words = f"{names(away)} {'is' if len(away) == 1 else 'are'} not connected: it keeps what it held last"
        results.append(warned("mesh", words, f"coalmine mesh proxy-status {away[0]}"))
    refused = [(p, r) for p in proxies for t in p.types.values() for r in t.refused]
    if refused:
        proxy, refusal = refused[0]
        words = f"{proxy.pod}.{proxy.namespace} refused {refusal.name}: {refusal.message}"
        results.append(failed("mesh", words, "coalmine mesh analyze -A"))
    elif not away and proxies:
        results.append(passed("mesh", "every proxy is connected and has refused nothing"))
    return results


def _start(look: Look) -> tuple[str, ...]:
    if look.local_folder is not None:
        return (f"coalmine local up --state-dir {look.local_folder}",)
    return (look.apply(shipped("deploy", "mesh", "rbac.yaml")), "coalmine mesh serve --help")


@contextlib.contextmanager
def _kubeconfig(look: Look) -> Iterator[str | None]:
    """Give a kubeconfig whose current context is the one that is looked at."""
    if look.kubectl.context is None:
        yield look.kubectl.kubeconfig
        return
    handle, path = tempfile.mkstemp(prefix="coalmine-doctor-")  # nobody else can read it
    try:
        with os.fdopen(handle, "w") as file:
            file.write(look.kubectl.run("config", "view", "--minify", "--flatten", "--raw"))
        yield path
    finally:
        os.unlink(path)  # noqa: PTH108 - its fellow made it


def injection(look: Look) -> list[Result]:
    """Has every pod that is released a sidecar?"""
    try:
        rollouts = look.rollouts()
    except KubectlError as error:
        return [unseen("sidecars", f"Rollouts cannot be read: {error.format_message()}")]
    if not rollouts:
        words = "there is no Rollout yet"
        return [passed("sidecars", words)]
    results: list[Result] = []
    for space in sorted({r["metadata"]["namespace"] for r in rollouts}):
        mine = {r["spec"]["workloadRef"]["name"] for r in rollouts if r["metadata"]["namespace"] == space}
        results += _injected(look, space, mine)
    return results or [passed("sidecars", "every pod of a Rollout's Deployment has one")]


def _injected(look: Look, space: str, workloads: set[str]) -> Iterator[Result]:
    try:
        namespace = look.optional("get", "namespace", space)
        pods = look.kubectl.object("get", "pods", "-n", space)["items"]
        deployments = look.kubectl.object("get", "deployments.apps", "-n", space)["items"]
    except KubectlError as error:
        yield unseen("sidecars", f"in namespace {space} they cannot be seen: {error.format_message()}")
        return
    if namespace is not None and (namespace["metadata"].get("labels") or {}).get(_INJECT) != "enabled":
        words = f"namespace {space} has Rollouts and no label {_INJECT}=enabled: new pods get no sidecar"
        yield failed("sidecars", words, f"{look.kubectl.command} label --overwrite namespace {space} {_INJECT}=enabled")
    for deployment in deployments:
        name = deployment["metadata"]["name"]
        labels = deployment["spec"]["selector"].get("matchLabels") or {}
        own = [p for p in pods if name in workloads and labels.items() <= (p["metadata"].get("labels") or {}).items()]
        without = [
            p["metadata"]["name"] for p in own if not _has_sidecar(p) and ROLE_LABEL not in p["metadata"]["labels"]
        ]
        if without:
            words = f"pods of Deployment {space}/{name} have none ({names(without)}): their requests cannot be split or measured"
            yield failed("sidecars", words, f"{look.kubectl.command} -n {space} rollout restart deployment/{name}")


def _has_sidecar(pod: dict[str, Any]) -> bool:
    spec = pod["spec"]
    return any(c["name"] == PROXY_CONTAINER for c in (*spec.get("containers", ()), *spec.get("initContainers", ())))


def measurements(look: Look) -> list[Result]:
    """Does any release miss its measurements?"""
    try:
        rollouts = look.rollouts()
    except KubectlError as error:
        return [unseen("metrics", f"Rollouts cannot be read: {error.format_message()}")]
    results = []
    for rollout in rollouts:
        status, meta = rollout.get("status") or {}, rollout["metadata"]
        if problems := status.get("problems"):
            words = f"Rollout {meta['namespace']}/{meta['name']}: {problems[0]}"
            results.append(warned("metrics", words, f"coalmine explain {meta['name']} -n {meta['namespace']}"))
    return results or [passed("metrics", "no release misses measurements")]


def notifications(look: Look) -> list[Result]:
    """Is anybody still to be told of something?"""
    from rollouts.notify.outbox import Box  # noqa: PLC0415

    try:
        found = look.kubectl.object("get", "configmaps", *look.scope, "-l", ROLLOUT_LABEL)["items"]
    except KubectlError as error:
        return [unseen("notifications", f"their queues cannot be seen: {error.format_message()}")]
    queues = [c for c in found if c["metadata"]["name"].startswith(_QUEUE)]
    results = []
    late: dict[str, list[str]] = {}
    for queue in queues:
        rollout = f"{queue['metadata']['namespace']}/{queue['metadata']['labels'][ROLLOUT_LABEL]}"
        try:
            box = Box.read(queue)
        except ValueError as error:
            results.append(warned("notifications", f"Rollout {rollout}: {error}"))
            continue
        for sink, lane in box.lanes.items():
            if lane.owed and lane.tries >= _OWED_TRIES:
                late.setdefault(sink, []).append(rollout)
    for sink, rollouts in sorted(late.items()):
        words = f"{sink} takes nothing: transitions of {names(rollouts)} wait for it; the controller's log says why"
        fix = f"{look.kubectl.command} -n coalmine-system logs deployment/coalmine-controller --since=10m"
        results.append(warned("notifications", words, fix))
    if not queues:
        return [unseen("notifications", "no queue is there: none is configured, or nothing has happened yet")]
    return results or [passed("notifications", "everybody has been told of everything")]
