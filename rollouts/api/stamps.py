"""Who decided: what makes the API server write it down, and refuse what somebody wrote down themselves.

A user approves by a patch (``coalmine.dev/approve=now``). While a gate is open, admission turns it into an entry of
``coalmine.dev/decisions`` that says who it was, and takes the command back out, so that the next one can write the same.
This is done by a MutatingAdmissionPolicy where the API server has them, else by our webhook. A ValidatingAdmissionPolicy
then looks at what is to be stored: an entry can only be the writer's own, and where the gate asks who decides, the API
server's authorizer must allow them the verb ``approve``. Only who has the verb ``decide``, the controller, writes for others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.api.approval import Verdict, Via
from rollouts.api.names import (
    APPROVE_ANNOTATION,
    APPROVE_VERB,
    COMMENT_ANNOTATION,
    DECIDE_VERB,
    DECISIONS_ANNOTATION,
    GROUP,
    PLURAL,
    REJECT_ANNOTATION,
)
from rollouts.api.policies import MANAGER, WEBHOOK, annotation, annotations_of, bound, expect_update

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "APPROVALS_NAME",
    "APPROVALS_PATH",
    "guard_objects",
    "stamp_decision",
    "stamp_policy_objects",
    "stamp_webhook",
]

APPROVALS_NAME: Final = f"approvals.{GROUP}"
"""Name of both policies, their bindings, and the webhook."""
APPROVALS_PATH: Final = "/approvals"
_MOST_BYTES: Final = 64 * 1024
_ROLLOUT_UPDATES: Final = {
    "apiGroups": [GROUP],
    "apiVersions": ["*"],
    "resources": [PLURAL],
    "operations": ["UPDATE"],
    "scope": "Namespaced",
}
_MANAGERS: Final = {"coalmine-cli": Via.CLI, "coalmine-dashboard": Via.DASHBOARD}


def _escaped(text: str) -> str:
    return rf"""({text}).replace('\\', '\\\\').replace('"', '\\"')"""


def _is_new(key: str) -> str:
    new, old = annotation("object", key), annotation("oldObject", key)
    return f"({new} != '' && {new} != {old})"


_OLD: Final = annotation("oldObject", DECISIONS_ANNOTATION)
_NEW: Final = annotation("object", DECISIONS_ANNOTATION)
_GATE: Final = "oldObject.?status.?approval.?gate.orValue('')"
_VARIABLES: Final = [
    {"name": "gate", "expression": _GATE},
    # What was decided at this gate before; that of earlier ones is over.
    {
        "name": "base",
        "expression": f"""({_OLD}).contains('"gate":"' + variables.gate + '"') ? """
        f"({_OLD}).substring(0, size({_OLD}) - 1) + ',' : '['",
    },
    {
        "name": "via",
        "expression": f"({MANAGER}).startsWith('kubectl') ? '{Via.KUBECTL}' : "
        + " : ".join(f"({MANAGER}) == '{manager}' ? '{via}'" for manager, via in _MANAGERS.items())
        + f" : '{Via.API}'",
    },
    {
        "name": "groups",
        "expression": "request.userInfo.?groups.orValue([]).filter(g, g in "
        "oldObject.?status.?approval.?approvers.?groups.orValue([]))"
        f""".map(g, '"' + {_escaped("g")} + '"').join(',')""",
    },
    {"name": "id", "expression": "oldObject.metadata.resourceVersion"},
    {
        "name": "rest",
        "expression": """'","gate":"' + variables.gate + '","via":"' + variables.via + '","by":"' + """
        + _escaped("request.userInfo.username")
        + """ + '","groups":[' + variables.groups + '],"comment":"'""",
    },
]


def _entry(verdict: str) -> str:
    """Return the CEL expression of an entry's text up to its comment."""
    return f"""'{{"verdict":"' + {verdict} + '","id":"' + variables.id + '-' + {verdict} + variables.rest"""


_REJECTS: Final = _is_new(REJECT_ANNOTATION)
_DECIDES: Final = f"({_is_new(APPROVE_ANNOTATION)} || {_REJECTS})"
_VERDICT: Final = f"({_REJECTS} ? '{Verdict.REJECT}' : '{Verdict.APPROVE}')"
_COMMENT: Final = f"({_is_new(COMMENT_ANNOTATION)} ? {annotation('object', COMMENT_ANNOTATION)} : '')"
_STAMPED: Final = f"""variables.base + {_entry(_VERDICT)} + {_escaped(_COMMENT)} + '"}}]'"""


def _restored(key: str) -> str:
    """Return the CEL expression of the patch that takes a command out again."""
    path = f"'/metadata/annotations/' + jsonpatch.escapeKey('{key}')"
    return f"""\
(!{_is_new(key)} ? [] :
  '{key}' in oldObject.metadata.?annotations.orValue({{}})
    ? [JSONPatch{{op: 'add', path: {path}, value: {annotation("oldObject", key)}}}]
    : [JSONPatch{{op: 'remove', path: {path}}}])"""


_DECISIONS_PATH: Final = f"'/metadata/annotations/' + jsonpatch.escapeKey('{DECISIONS_ANNOTATION}')"
_STAMP: Final = f"""\
!{_DECIDES}
? (has(object.metadata.annotations)
    ? [JSONPatch{{op: 'add', path: {_DECISIONS_PATH}, value: {_OLD}}}]
    : [JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{'{DECISIONS_ANNOTATION}': {_OLD}}}}}])
: [JSONPatch{{op: 'add', path: {_DECISIONS_PATH}, value: {_STAMPED}}}] +
{_restored(APPROVE_ANNOTATION)} +
{_restored(REJECT_ANNOTATION)} +
('{COMMENT_ANNOTATION}' in object.metadata.annotations
  ? [JSONPatch{{op: 'remove', path: '/metadata/annotations/' + jsonpatch.escapeKey('{COMMENT_ANNOTATION}')}}] : [])
"""
_STAMP_CONDITIONS: Final = [
    {"name": "a-gate-is-open", "expression": f"{_GATE} != ''"},
    # One who wrote entries is for the guard: nothing is mended for them.
    {
        "name": "somebody-decides-or-drops-what-was-decided",
        "expression": f"{_NEW} == {_OLD} ? {_DECIDES} : {_NEW} == ''",
    },
]


def stamp_policy_objects(version: str = "v1") -> list[dict[str, Any]]:
    """Return the MutatingAdmissionPolicy that says who decided, with its binding.

    Args:
        version: Of admissionregistration.k8s.io; see ``rollouts.api.admission.policy_version``.
    """
    stamp = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [_ROLLOUT_UPDATES]},
        "matchConditions": _STAMP_CONDITIONS,
        "variables": _VARIABLES,
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _STAMP}}],
    }
    return bound("Mutating", version, APPROVALS_NAME, stamp)


def _may(verb: str) -> str:
    return (
        f"authorizer.group('{GROUP}').resource('{PLURAL}').namespace(request.namespace).name(request.name)"
        f".check('{verb}').allowed()"
    )


def guard_objects() -> list[dict[str, Any]]:
    """Return the ValidatingAdmissionPolicy (Kubernetes 1.30) that refuses forged entries and who may not decide."""
    approve, reject = (f"(variables.base + {_entry(repr(v.value))})" for v in (Verdict.APPROVE, Verdict.REJECT))
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [_ROLLOUT_UPDATES]},
        "matchConditions": [
            {"name": "decisions-change", "expression": f"{_NEW} != {_OLD}"},
            {"name": "by-others-than-controllers", "expression": f"!{_may(DECIDE_VERB)}"},
        ],
        "variables": [
            *_VARIABLES,
            {"name": "new", "expression": _NEW},
            {"name": "approves", "expression": approve},
            {"name": "rejects", "expression": reject},
            {
                "name": "comment",
                "expression": "variables.new.startsWith(variables.approves) ? "
                "variables.new.substring(size(variables.approves)) : "
                "variables.new.startsWith(variables.rejects) ? "
                "variables.new.substring(size(variables.rejects)) : ''",
            },
        ],
        "validations": [
            {
                # The comment is one string, and nothing comes after it.
                "expression": "variables.gate == '' ? variables.new == '' : "
                r"""variables.comment.matches('(?s)^([^"\\\\]|\\\\.)*"}\\]$')""",
                "message": f"annotation {DECISIONS_ANNOTATION} is written by admission alone: set {APPROVE_ANNOTATION} or "
                f"{REJECT_ANNOTATION}, with {COMMENT_ANNOTATION} beside it, while a gate is open",
                "reason": "Forbidden",
            },
            {
                "expression": f"!oldObject.?status.?approval.?restricted.orValue(false) || {_may(APPROVE_VERB)}",
                "messageExpression": f"'user ' + request.userInfo.username + ' may not decide at gates of Rollout ' + "
                f"request.name + ': that takes the verb {APPROVE_VERB} on {PLURAL}.{GROUP} in namespace ' + "
                "request.namespace + ' (ClusterRole coalmine-approver has it)'",
                "message": f"that takes the verb {APPROVE_VERB} on {PLURAL}.{GROUP}",
                "reason": "Forbidden",
            },
            {
                "expression": f"size(variables.new) <= {_MOST_BYTES}",
                "message": "too much was decided at this gate already: write a shorter comment",
                "reason": "Invalid",
            },
        ],
    }
    return bound("Validating", "v1", APPROVALS_NAME, spec, {"validationActions": ["Deny"]})


# --- the same as a webhook ------------------------------------------------------------------------------------------


def stamp_webhook(client_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the webhook that does what the MutatingAdmissionPolicy does, for the hold's configuration.

    Args:
        client_config: Where it is: ``url`` or ``service``, and ``caBundle`` in base64.
    """
    return {
        **WEBHOOK,
        "name": APPROVALS_NAME,
        "clientConfig": dict(client_config),
        "reinvocationPolicy": "Never",
        "rules": [_ROLLOUT_UPDATES],
        "matchConditions": _STAMP_CONDITIONS,
    }


def _text(value: str) -> str:
    """Return a text as the policies write it into JSON. Control characters stay as they are."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def stamp_decision(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patch that writes down who decided; empty when nobody did.

    Args:
        request: ``AdmissionReview.request`` of an update of a Rollout.

    Raises:
        ValueError: It is something else: the webhook configuration is not ours.
    """
    expect_update(request, PLURAL)
    old, new = annotations_of(request["oldObject"]), annotations_of(request["object"])
    asked = (request["oldObject"].get("status") or {}).get("approval") or {}
    before, after = old.get(DECISIONS_ANNOTATION, ""), new.get(DECISIONS_ANNOTATION, "")
    if not asked.get("gate") or (after and after != before):
        return []
    commands = [k for k in (APPROVE_ANNOTATION, REJECT_ANNOTATION) if new.get(k) and new[k] != old.get(k, "")]
    if not commands and after == before:
        return []
    changed = dict(new)
    changed[DECISIONS_ANNOTATION] = before
    if commands and after == before:
        verdict = Verdict.REJECT if REJECT_ANNOTATION in commands else Verdict.APPROVE
        comment = new.get(COMMENT_ANNOTATION, "")
        comment = "" if comment == old.get(COMMENT_ANNOTATION, "") else comment
        changed[DECISIONS_ANNOTATION] = _stamped(request, asked, before, verdict, comment)
        changed.pop(COMMENT_ANNOTATION, None)
        for key in commands:
            del changed[key]
            if key in old:
                changed[key] = old[key]
    return [{"op": "add", "path": "/metadata/annotations", "value": changed}]


def _stamped(request: Mapping[str, Any], asked: Mapping[str, Any], before: str, verdict: Verdict, comment: str) -> str:
    gate, user = asked["gate"], request["userInfo"]
    base = f"{before[:-1]}," if f'"gate":"{gate}"' in before else "["
    wanted = (asked.get("approvers") or {}).get("groups") or ()
    groups = ",".join(f'"{_text(g)}"' for g in user.get("groups") or () if g in wanted)
    version = request["oldObject"]["metadata"]["resourceVersion"]
    return (
        f'{base}{{"verdict":"{verdict}","id":"{version}-{verdict}","gate":"{gate}","via":"{_via(request)}",'
        f'"by":"{_text(user["username"])}","groups":[{groups}],"comment":"{_text(comment)}"}}]'
    )


def _via(request: Mapping[str, Any]) -> Via:
    manager = str((request.get("options") or {}).get("fieldManager") or "")
    return Via.KUBECTL if manager.startswith("kubectl") else _MANAGERS.get(manager, Via.API)
