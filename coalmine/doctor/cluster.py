"""The API server: reachable, new enough, with the right time, and with our kinds."""

from __future__ import annotations

import datetime as dt
import json
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from coalmine.crds.definitions import DEFINITIONS
from coalmine.doctor.look import Look, shipped
from coalmine.doctor.results import Result, failed, passed, unseen, warned
from coalmine.kubectl import AbsentError, ForbiddenError
from mesh.api.names import MESH_GROUP
from rollouts.api.admission import policy_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coalmine.crds.definitions import Definition

__all__ = ["clock", "contains", "definitions", "items", "names", "reach", "server_time", "strictness"]

_OLDEST: Final = (1, 30)
_SKEW: Final = 5.0
"""Seconds that two clocks may differ."""
_DATE: Final = re.compile(r"\bDate: ([A-Z][a-z]{2}, [^\n\"<>]*? GMT)")
_OURS: Final = ("app.kubernetes.io/part-of", "coalmine")
_ADMISSION: Final = "/apis/admissionregistration.k8s.io"


def reach(look: Look) -> list[Result]:
    """Is it there, how old is it, and can it hold Deployments by itself?

    Raises:
        KubectlError: It is not there.
    """
    version = look.kubectl.get("/version")
    text = version["gitVersion"]
    found = tuple(int(re.sub(r"\D", "", part) or 0) for part in (version["major"], version["minor"]))
    oldest = ".".join(map(str, _OLDEST))
    results = [passed("cluster", f"Kubernetes {text} answers")]
    if found < _OLDEST:
        results = [
            warned(
                "cluster",
                f"Kubernetes {text} answers; ValidatingAdmissionPolicy and native sidecars need {oldest}: upgrade it",
            )
        ]
    served = {
        entry["version"]: [r["name"] for r in look.kubectl.get(f"{_ADMISSION}/{entry['version']}")["resources"]]
        for entry in look.kubectl.get(_ADMISSION)["versions"]
    }
    policy = look.policy_version = policy_version(served)
    if policy:
        results.append(passed("admission", f"MutatingAdmissionPolicy {policy} is served: no webhook is needed"))
    else:
        words = (
            "MutatingAdmissionPolicy is not served (v1 from Kubernetes 1.36): the controller has to hold by its webhook, "
            "with --webhook-address, --tls-cert, --tls-key and --ca-file"
        )
        results.append(warned("admission", words, "coalmine controller run --help"))
    return results


def server_time(look: Look) -> dt.datetime | None:
    """Return the API server's time, to a second; None where kubectl does not show it."""
    _, said = look.kubectl.both("get", "--raw", "/version", "-v=8")
    found = _DATE.search(said)
    return parsedate_to_datetime(found[1]) if found else None


def clock(look: Look) -> list[Result]:
    """Do this machine and the API server agree on the time?"""
    before = dt.datetime.now(dt.UTC)
    theirs = server_time(look)
    after = dt.datetime.now(dt.UTC)
    if theirs is None:
        return [unseen("clock", "this kubectl does not show the server's time")]
    # The header has whole seconds.
    early, late = (before - theirs).total_seconds() - 1, (after - theirs).total_seconds()
    skew = early if early > 0 else min(late, 0.0)
    if abs(skew) <= _SKEW:
        return [passed("clock", "this machine and the API server have the same time")]
    words = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API server: tokens and certificates fail"
    return [failed("clock", words, "sudo timedatectl set-ntp true")]


def definitions(look: Look) -> list[Result]:
    """Are all kinds installed, and as this version of Coalmine has them?"""
    try:
        named = [d.name for d in DEFINITIONS]
        present = {c["metadata"]["name"]: c for c in items(look, "customresourcedefinitions", *named)}
    except ForbiddenError:
        return [_by_discovery(look)]
    results = _missing(look, [d for d in DEFINITIONS if d.name not in present])
    judged = (_judge(look, d, present[d.name]) for d in DEFINITIONS if d.name in present)
    results += [result for result in judged if result is not None]
    count = len(DEFINITIONS)
    return results or [passed("definitions", f"all {count} kinds are installed, and as this version has them")]


def items(look: Look, kind: str, *called: str) -> list[dict[str, Any]]:
    """Return those of some objects that are there."""
    text = look.kubectl.run("get", kind, *called, "--ignore-not-found", "-o", "json")
    found = json.loads(text) if text.strip() else {"items": []}
    listed: list[dict[str, Any]] = found.get("items", [found])
    return listed


def _missing(look: Look, absent: Sequence[Definition]) -> list[Result]:
    if not absent:
        return []
    who = "releases" if any(d.own for d in absent) else "the mesh"
    words = (
        f"{names([d.name for d in absent])} {'is' if len(absent) == 1 else 'are'} not installed: {who} cannot work so"
    )
    return [failed("definitions", words, look.apply(*(_file(d) for d in absent)))]


def _file(definition: Definition) -> Path:
    return shipped("crds", f"{definition.group}_{definition.plural}.yaml")


def _judge(look: Look, definition: Definition, present: dict[str, Any]) -> Result | None:
    fix = look.apply(_file(definition))
    served = [v["name"] for v in present["spec"]["versions"] if v.get("served")]
    if not set(served) & set(definition.versions):
        words = (
            f"{definition.name} serves {', '.join(served)}, and {' or '.join(definition.versions)} is read: upgrade it"
        )
        return failed("definitions", words, *((fix,) if _is_ours(present) else ()))
    conditions = {c["type"]: c for c in (present.get("status") or {}).get("conditions") or ()}
    if conditions.get("Established", {}).get("status") != "True":
        words = f"{definition.name} is not established: {conditions.get('NamesAccepted', {}).get('message', 'see its conditions')}"
        return failed("definitions", words, f"{look.kubectl.command} describe crd {definition.name}")
    if _is_ours(present) and not _current(present, definition):
        words = f"{definition.name} is of another version of Coalmine: fields may be refused, or dropped"
        return warned("definitions", words, fix)
    return None


def _is_ours(present: dict[str, Any]) -> bool:
    name, value = _OURS
    return bool((present["metadata"].get("labels") or {}).get(name) == value)


def _current(present: dict[str, Any], definition: Definition) -> bool:
    wanted = {v["name"]: v["schema"]["openAPIV3Schema"] for v in definition.dump()["spec"]["versions"]}
    found = {v["name"]: (v.get("schema") or {}).get("openAPIV3Schema") for v in present["spec"]["versions"]}
    return bool(_stored(wanted) == _stored(found))


def _stored(schema: Any) -> Any:
    """Return a schema as the API server keeps it: without properties where there are none."""
    if isinstance(schema, dict):
        return {k: _stored(v) for k, v in schema.items() if not (k == "properties" and v == {})}
    return [_stored(item) for item in schema] if isinstance(schema, list) else schema


def _by_discovery(look: Look) -> Result:
    """Whoever may not read definitions may still see which kinds are served."""
    missing = []
    for definition in DEFINITIONS:
        try:
            served = look.kubectl.get(f"/apis/{definition.group}/{definition.versions[0]}")["resources"]
        except AbsentError:
            served = []
        if not any(r["name"] == definition.plural for r in served):
            missing.append(definition.name)
    if missing:
        return failed("definitions", f"not served: {', '.join(missing)}", "coalmine crds install")
    return unseen(
        "definitions", "all kinds are served; whether they are current cannot be seen (get customresourcedefinitions)"
    )


def strictness(look: Look) -> list[Result]:
    """Are unknown fields refused by name?"""
    wanted = [d for d in DEFINITIONS if d.own]
    try:
        named = [f"unknown-fields.{d.name}" for d in wanted]
        present = {p["metadata"]["name"] for p in items(look, "validatingadmissionpolicies", *named)}
    except ForbiddenError:
        return [unseen("unknown fields", "whether they are refused cannot be seen (get validatingadmissionpolicies)")]
    except AbsentError:
        return [
            warned(
                "unknown fields",
                "ValidatingAdmissionPolicy is not served (v1 from Kubernetes 1.30): they are told late",
            )
        ]
    missing = [d for d in wanted if f"unknown-fields.{d.name}" not in present]
    if not missing:
        return [passed("unknown fields", "a Rollout with a field that nobody knows is refused")]
    parts = sorted({"mesh" if d.group == MESH_GROUP else "controller" for d in missing})
    words = f"of {', '.join(d.kind for d in missing)} they are taken, and told only in the status"
    return [
        warned("unknown fields", words, look.apply(*(shipped("deploy", part, "unknown-fields.yaml") for part in parts)))
    ]


def contains(present: Any, wanted: Any) -> bool:
    """Return whether what is stored has all that is wanted; the server fills in defaults beside it."""
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(contains(present.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(present, list)
            and len(present) == len(wanted)
            and all(contains(p, w) for p, w in zip(present, wanted, strict=True))
        )
    return bool(present == wanted)


def names(items: Sequence[str]) -> str:
    """Return some names as people read them."""
    shown = 3
    return ", ".join(items[:shown]) + (f" and {len(items) - shown} more" if len(items) > shown else "")
