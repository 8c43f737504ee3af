"""What the controller puts into admission: the hold, and what guards approvals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from coalmine.doctor.cluster import contains, items, names
from coalmine.doctor.results import Result, failed, passed, unseen, warned
from coalmine.kubectl import AbsentError, ForbiddenError, KubectlError
from rollouts.api.admission import HOLD_NAME, policy_objects
from rollouts.api.author import author_policy_objects
from rollouts.api.names import FIELD_MANAGER, ROLLOUT_LABEL
from rollouts.api.stamps import guard_objects, stamp_policy_objects

if TYPE_CHECKING:
    from coalmine.doctor.look import Look

__all__ = ["approvals", "hold"]


def _install(look: Look) -> str:
    """Return the command that installs the policies; where there are none to be had, the one that tells of the webhook."""
    if look.policy_version is None:
        return "coalmine controller run --help    # --hold webhook"
    version = "" if look.policy_version == "v1" else f" --version {look.policy_version}"
    flags = f"--server-side --force-conflicts --field-manager={FIELD_MANAGER}"
    return f"coalmine controller policy{version} | {look.kubectl.command} apply {flags} -f -"


def _stored(look: Look, objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the cluster has of some objects, by kind and name."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for kind in dict.fromkeys(o["kind"] for o in objects):
        try:
            present = items(look, kind.lower(), *(o["metadata"]["name"] for o in objects if o["kind"] == kind))
        except AbsentError:
            continue
        found |= {(kind, one["metadata"]["name"]): one for one in present}
    return found


def _compare(look: Look, objects: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return which objects are not there, and which are not as this version has them."""
    stored = _stored(look, objects)
    absent, other = [], []
    for wanted in objects:
        called = f"{wanted['kind']} {wanted['metadata']['name']}"
        present = stored.get((wanted["kind"], wanted["metadata"]["name"]))
        if present is None:
            absent.append(called)
        elif not contains(present["spec"], wanted["spec"]):
            other.append(called)
    return absent, other


def hold(look: Look) -> list[Result]:
    """Is a changed template held before anybody sees it?"""
    try:
        if _webhook(look):
            return [passed("hold", "the controller's webhook holds changed templates"), *_at_work(look)]
        absent, other = _compare(look, policy_objects(look.policy_version or "v1"))
    except ForbiddenError:
        return [
            unseen("hold", "whether it is installed cannot be seen (get mutatingadmissionpolicies)"),
            *_at_work(look),
        ]
    if absent:
        words = f"{names(absent)} is not there: a changed template is rolled out at once, with no canary"
        return [failed("hold", words, _install(look))]
    if other:
        return [warned("hold", f"{names(other)} is not as this version has it", _install(look)), *_at_work(look)]
    return _at_work(look) or [passed("hold", f"the policy {HOLD_NAME} is installed")]


def _webhook(look: Look) -> bool:
    return look.optional("get", "mutatingwebhookconfiguration", HOLD_NAME) is not None


def approvals(look: Look) -> list[Result]:
    """Does the API server write down who decided, and refuse what is forged?"""
    try:
        version = look.policy_version or "v1"
        stamps = [] if _webhook(look) else [*stamp_policy_objects(version), *author_policy_objects(version)]
        absent, other = _compare(look, [*guard_objects(), *stamps])
    except ForbiddenError:
        return [unseen("approvals", "whether they are guarded cannot be seen (get validatingadmissionpolicies)")]
    if absent:
        words = f"{names(absent)} is not there: who decided at a gate is not written down, or can be forged"
        return [failed("approvals", words, _install(look))]
    if other:
        return [warned("approvals", f"{names(other)} is not as this version has it", _install(look))]
    return [passed("approvals", "admission writes down who decides, and refuses what is forged")]


def _at_work(look: Look) -> list[Result]:
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
        return [failed("hold", words, _install(look))]
    if held:
        return [passed("hold", f"a changed template of Deployment {space}/{name} would be held (tried in a dry run)")]
    words = (
        f"a changed template of Deployment {space}/{name} would not be held (tried in a dry run): the API server has the policy and "
        "does not evaluate it, or it was installed just now"
    )
    return [failed("hold", words, _install(look))]


def _would_hold(look: Look, namespace: str, name: str) -> bool:
    template = {"metadata": {"annotations": {"coalmine.dev/probe": "dry-run"}}}
    body = {"metadata": {"labels": {ROLLOUT_LABEL: "probe"}}, "spec": {"paused": False, "template": template}}
    flags = ("--dry-run=server", "--type=merge", f"--field-manager={FIELD_MANAGER}", "-p", json.dumps(body))
    answer = look.kubectl.object("patch", "deployment", name, "-n", namespace, *flags)
    return bool(answer["spec"].get("paused"))
