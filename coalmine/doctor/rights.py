"""RBAC: what the user may do with Rollouts, and whether the controller may do what it has to."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from coalmine.doctor.cluster import names
from coalmine.doctor.look import Look, shipped
from coalmine.doctor.results import Result, failed, passed, unseen, warned
from coalmine.kubectl import AbsentError, ForbiddenError, KubectlError
from rollouts.api.names import GROUP, PLURAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["of_the_controller", "of_the_user", "reviews_of"]

_API: Final = "authorization.k8s.io/v1"
_ROLE: Final = "coalmine-controller"
_SUBJECT: Final = {"kind": "User", "name": "system:coalmine:controller"}
_WISHES: Final = (("get", "see Rollouts"), ("patch", "command them"), ("approve", "approve their gates"))


@dataclass(frozen=True, slots=True)
class _Right:
    """One thing that a rule allows."""

    group: str
    resource: str
    verb: str
    name: str = ""

    @property
    def words(self) -> str:
        """As ``kubectl auth can-i`` takes it."""
        return (
            f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}{' ' + self.name if self.name else ''}"
        )

    def attributes(self, namespace: str) -> dict[str, str]:
        """Return the resourceAttributes of an access review."""
        resource, _, sub = self.resource.partition("/")
        found = {"group": self.group, "resource": resource, "subresource": sub, "verb": self.verb, "name": self.name}
        return {k: v for k, v in {**found, "namespace": namespace}.items() if v}


def reviews_of(rules: Iterable[Mapping[str, Any]]) -> Iterator[_Right]:
    """Yield everything that the rules of a role allow, one by one."""
    for rule in rules:
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for verb in rule.get("verbs") or ():
                    for name in rule.get("resourceNames") or ("",):
                        # A request to create has no name yet, so that RBAC cannot tell which one is meant.
                        yield _Right(group, resource, verb, name)


def of_the_user(look: Look) -> list[Result]:
    """May this user see, command and approve?"""
    space = look.namespace or look.kubectl.namespace()
    asked = [_Right(GROUP, PLURAL, verb).attributes(space) for verb, _ in _WISHES]
    try:
        answers = look.kubectl.create(
            {"apiVersion": _API, "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": one}}
            for one in asked
        )
    except KubectlError as error:
        return [unseen("your rights", error.format_message())]
    may = {verb: bool(a["status"].get("allowed")) for (verb, _), a in zip(_WISHES, answers, strict=True)}
    allowed = [words for verb, words in _WISHES if may[verb]]
    denied = [words for verb, words in _WISHES if not may[verb]]
    said = f"in namespace {space} you may {', '.join(allowed)}" if allowed else ""
    if not denied:
        return [passed("your rights", said)]
    role = "view" if not may["get"] else "edit"
    fix = f"kubectl create rolebinding coalmine-{role} -n {space} --clusterrole={role} {_whoami(look)}    # by an administrator"
    words = f"{said + '; ' if said else f'in namespace {space} '}you may not {', '.join(denied)}"
    if not may["get"]:
        return [failed("your rights", words, fix)]
    return [warned("your rights", words, fix)] if not may["patch"] else [passed("your rights", words)]


def _whoami(look: Look) -> str:
    """Return the option of ``kubectl create rolebinding`` that names this user."""
    try:
        name = look.kubectl.object("auth", "whoami")["status"]["userInfo"]["username"]
    except KubectlError:
        name = "USER"
    account = name.removeprefix("system:serviceaccount:")
    return f"--serviceaccount={account}" if account != name else f"--user={shlex.quote(name)}"


def of_the_controller(look: Look) -> list[Result]:
    """Has the controller's account what deploy/controller/rbac.yaml says?"""
    path = shipped("deploy", "controller", "rbac.yaml")
    try:
        binding = look.optional("get", "clusterrolebinding", _ROLE)
        scoped = None if binding else _scoped(look)
    except ForbiddenError:
        binding = scoped = None
    if scoped is not None:
        path, space = shipped("deploy", "controller", "namespaced", "role.yaml"), scoped["metadata"]["namespace"]
        return _ask(look, _subjects(scoped), path, space, f"{look.apply(path)} -n {space}")
    return _ask(look, _subjects(binding), path, "", look.apply(path))


def _scoped(look: Look) -> dict[str, Any] | None:
    """Return the binding of a controller that is for some namespaces only."""
    space = look.namespace or look.kubectl.namespace()
    found: dict[str, Any] | None = look.optional("get", "rolebinding", _ROLE, "-n", space)
    return found


def _subjects(binding: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    return (binding or {}).get("subjects") or (_SUBJECT,)


def _ask(look: Look, subjects: Sequence[Mapping[str, Any]], path: Path, namespace: str, fix: str) -> list[Result]:
    rules = [
        rule
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if document and document["kind"] in {"ClusterRole", "Role"} and document["metadata"]["name"] == _ROLE
        for rule in document["rules"]
    ]
    rights = list(dict.fromkeys(reviews_of(rules)))
    results = []
    for subject in subjects:
        who = _named(subject)
        spec = _identity(subject)
        try:
            answers = look.kubectl.create(
                {
                    "apiVersion": _API,
                    "kind": "SubjectAccessReview",
                    "spec": {**spec, "resourceAttributes": right.attributes(namespace)},
                }
                for right in rights
            )
        except (ForbiddenError, AbsentError):
            words = f"what {who} may do cannot be seen: you may not ask it (create subjectaccessreviews)"
            return [unseen("controller's rights", words)]
        denied = [r.words for r, a in zip(rights, answers, strict=True) if not a["status"].get("allowed")]
        if denied:
            words = f"{who} may not {names(denied)}"
            results.append(failed("controller's rights", words, fix))
        else:
            results.append(passed("controller's rights", f"{who} has all {len(rights)} of {path.name}"))
    return results


def _identity(subject: Mapping[str, Any]) -> dict[str, Any]:
    if subject["kind"] == "ServiceAccount":
        space = subject.get("namespace", "default")
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{space}", "system:authenticated"]
        return {"user": f"system:serviceaccount:{space}:{subject['name']}", "groups": groups}
    if subject["kind"] == "Group":
        return {"user": "coalmine-doctor", "groups": [subject["name"]]}
    return {"user": subject["name"], "groups": ["system:authenticated"]}


def _named(subject: Mapping[str, Any]) -> str:
    space = f"{subject['namespace']}/" if subject.get("namespace") else ""
    return f"{subject['kind']} {space}{subject['name']}"
