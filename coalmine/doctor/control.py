"""The controller: whether it runs and leads, and whether the hold is in force."""

from __future__ import annotations

import datetime as dt
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from coalmine.doctor.cluster import contains, names, server_time
from coalmine.doctor.results import Result, failed, passed, unseen, warned
from coalmine.kubectl import ForbiddenError, KubectlError
from rollouts.api.admission import HOLD_NAME, policy_objects
from rollouts.api.names import FIELD_MANAGER, ROLLOUT_LABEL

if TYPE_CHECKING:
    from coalmine.doctor.look import Look

__all__ = ["hold", "running"]

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


def hold(look: Look) -> list[Result]:
    """Is a changed template held before anybody sees it?"""
    install = f"coalmine controller policy | {look.kubectl.command} apply --server-side --force-conflicts --field-manager={FIELD_MANAGER} -f -"
    try:
        present = look.optional("get", "mutatingadmissionpolicy", HOLD_NAME)
        binding = look.optional("get", "mutatingadmissionpolicybinding", HOLD_NAME) if present else None
        webhook = look.optional("get", "mutatingwebhookconfiguration", HOLD_NAME)
    except ForbiddenError:
        return [
            unseen("hold", "whether it is installed cannot be seen (get mutatingadmissionpolicies)"),
            *_at_work(look, install),
        ]
    if webhook is not None:
        return [passed("hold", "the controller's webhook holds changed templates"), *_at_work(look, install)]
    if present is None or binding is None:
        what = "the policy" if present is None else "its binding"
        words = f"{what} {HOLD_NAME} is not there: a changed template is rolled out at once, with no canary"
        return [failed("hold", words, install)]
    version = present["apiVersion"].rpartition("/")[2]
    if not all(contains(p, w) for p, w in zip((present, binding), policy_objects(version), strict=True)):
        return [
            warned("hold", f"{HOLD_NAME} is not as this version of Coalmine has it", install),
            *_at_work(look, install),
        ]
    return _at_work(look, install) or [passed("hold", f"the policy {HOLD_NAME} is installed")]


def _at_work(look: Look, install: str) -> list[Result]:
    """Change the template of an adopted Deployment in a dry run, as the controller does before it adopts one."""
    try:
        adopted = [r for r in look.rollouts() if (r.get("status") or {}).get("stable")]
    except KubectlError:
        return []
    if not adopted:
        return []
    space, name = adopted[0]["metadata"]["namespace"], adopted[0]["spec"]["workloadRef"]["name"]
    try:
        held = _would_hold(look, space, name)
    except ForbiddenError:
        return [unseen("hold", f"whether it is in force cannot be tried: you may not patch Deployment {space}/{name}")]
    except KubectlError as error:
        words = (
            f"a changed template of Deployment {space}/{name} is refused (tried in a dry run): {error.format_message()}"
        )
        return [failed("hold", words, install)]
    if held:
        return [passed("hold", f"a changed template of Deployment {space}/{name} would be held (tried in a dry run)")]
    words = (
        f"a changed template of Deployment {space}/{name} would not be held (tried in a dry run): the API server has the policy and "
        "does not evaluate it, or it was installed just now"
    )
    return [failed("hold", words, install)]


def _would_hold(look: Look, namespace: str, name: str) -> bool:
    template = {"metadata": {"annotations": {"coalmine.dev/probe": "dry-run"}}}
    body = {"metadata": {"labels": {ROLLOUT_LABEL: "probe"}}, "spec": {"paused": False, "template": template}}
    flags = ("--dry-run=server", "--type=merge", f"--field-manager={FIELD_MANAGER}", "-p", json.dumps(body))
    answer = look.kubectl.object("patch", "deployment", name, "-n", namespace, *flags)
    return bool(answer["spec"].get("paused"))
