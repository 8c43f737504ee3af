"""The controller: whether it runs and leads."""

from __future__ import annotations

import datetime as dt
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from coalmine.doctor.cluster import names, server_time
from coalmine.doctor.results import Result, failed, passed, unseen, warned
from coalmine.kubectl import ForbiddenError, KubectlError

if TYPE_CHECKING:
    from coalmine.doctor.look import Look

__all__ = ["running"]

_LEASE: Final = "coalmine-controller"
_SECONDS: Final = 5.0
_SKEW: Final = 5.0


def running(look: Look) -> list[Result]:
    """Does a controller run, and does it lead?"""
    if look.controller_url:
        return [_health(look)]
    if look.local_folder is not None:
        return [_local(look)]
    try:
        leases = look.kubectl.object(
            "get", "leases.coordination.k8s.io", "-A", f"--field-selector=metadata.name={_LEASE}"
        )
        if leases["items"]:
            return [r for lease in leases["items"] for r in _lease(look, lease)]
        why = f"there is no Lease {_LEASE}"
    except ForbiddenError:
        why = "Leases cannot be seen (list leases)"
    return [_by_what_it_does(look, why)]


def _start(look: Look, namespace: str = "coalmine-system") -> tuple[str, ...]:
    if look.local_folder is not None:
        return (f"coalmine local up --state-dir {look.local_folder}",)
    return (
        f"{look.kubectl.command} -n {namespace} get deployments,pods",
        f"{look.kubectl.command} -n {namespace} rollout restart deployment/coalmine-controller",
    )


def _health(look: Look) -> Result:
    url = f"{look.controller_url.rstrip('/')}/readyz"
    if not url.startswith(("http://", "https://")):
        return failed("controller", f"--controller-url: {look.controller_url}: write http://HOST:PORT")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_SECONDS):
            return passed("controller", f"it is ready at {look.controller_url}")
    except urllib.error.HTTPError as error:
        return failed(
            "controller", f"{url}: {error.code} {error.read().decode(errors='replace')}: it runs and is not ready"
        )
    except OSError as error:
        return failed("controller", f"{url} does not answer ({error}): start it", *_start(look))


def _local(look: Look) -> Result:
    """A cluster of ``coalmine local`` is on this machine: its processes can be looked at."""
    from coalmine.local.cluster import LocalCluster  # noqa: PLC0415 - where there is one
    from coalmine.local.layout import CONTROLLER  # noqa: PLC0415

    found = next(s for s in LocalCluster("default", look.local_folder).status() if s.name == CONTROLLER)
    if found.ready:
        return passed("controller", f"it runs on this machine (process {found.pid}) and is ready")
    return failed("controller", f"it is {found.state} and not ready; its log: {found.log}", *_start(look))


def _lease(look: Look, lease: dict[str, Any]) -> list[Result]:
    spec, namespace = lease.get("spec") or {}, lease["metadata"]["namespace"]
    holder, lasts = spec.get("holderIdentity") or "", float(spec.get("leaseDurationSeconds") or 15)
    renewed = dt.datetime.fromisoformat(spec["renewTime"]) if spec.get("renewTime") else None
    now = server_time(look) or dt.datetime.now(dt.UTC)
    who = holder.partition("_")[0]
    if not holder or renewed is None:
        return [
            failed(
                "controller", f"nobody holds Lease {namespace}/{_LEASE}: no controller runs", *_start(look, namespace)
            )
        ]
    age = (now - renewed).total_seconds()
    if age > 2 * lasts:
        words = (
            f"{who} renewed Lease {namespace}/{_LEASE} {age:.0f} s ago, and it lasts {lasts:.0f} s: no controller runs"
        )
        return [failed("controller", words, *_start(look, namespace))]
    found = [passed("controller", f"{who} leads (Lease {namespace}/{_LEASE}, renewed {max(age, 0):.0f} s ago)")]
    if age < -_SKEW:
        words = f"the controller's clock is {-age:.0f} s ahead of the API server's: steps and windows are off by that"
        found.append(warned("clock", words, "sudo timedatectl set-ntp true    # on the controller's node"))
    return [*found, *_version(look, namespace, who)]


def _version(look: Look, namespace: str, pod: str) -> list[Result]:
    """The leader's image, where it is a pod that can be seen."""
    try:
        found = look.optional("get", "pod", pod, "-n", namespace)
    except KubectlError:
        return []
    if found is None:
        return []
    images = ", ".join(c["image"] for c in found["spec"]["containers"])
    return [passed("controller", f"it is {images}")]


def _by_what_it_does(look: Look, why: str) -> Result:
    """Without a Lease, a controller is seen by the Rollouts that it has read, or has not."""
    try:
        rollouts = look.rollouts()
    except KubectlError as error:
        return unseen("controller", f"{why}, and Rollouts cannot be read: {error.format_message()}")
    behind = [
        f"{r['metadata']['namespace']}/{r['metadata']['name']}"
        for r in rollouts
        if (r.get("status") or {}).get("observedGeneration") != r["metadata"].get("generation")
    ]
    if behind:
        return failed(
            "controller", f"{why}, and nobody has read Rollout {names(behind)}: no controller runs", *_start(look)
        )
    words = f"{why}: it runs without leader election, or not at all; say where it serves its health"
    return unseen("controller", words, "coalmine doctor --controller-url http://HOST:15090")
