"""Who decided: what makes the API server write it down, and refuse what somebody wrote down themselves.

A user approves by a patch (``coalmine.dev/approve=now``). While a gate is open, admission turns it into an entry of
``coalmine.dev/decisions`` that says who it was, and takes the command back out, so that the next one can write the same.
This is done by a MutatingAdmissionPolicy where the API server has them, else by our webhook. A ValidatingAdmissionPolicy
then looks at what is to be stored: an entry can only be the writer's own, and where the gate asks who decides, the API
server's authorizer must allow them the verb ``approve``. Only who has the verb ``decide``, the controller, writes for others.

Beside it, admission notes on a labelled Deployment who changed its pod template, for gates that exclude the author.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.api.approval import Verdict, Via
from rollouts.api.names import (
    APPROVE_ANNOTATION,
    APPROVE_VERB,
    CHANGED_BY_ANNOTATION,
    COMMENT_ANNOTATION,
    DECIDE_VERB,
    DECISIONS_ANNOTATION,
    FIELD_MANAGER,
    GROUP,
    PLURAL,
    REJECT_ANNOTATION,
    ROLLOUT_LABEL,
)
from rollouts.api.policies import DEPLOYMENT_UPDATES, HELD_DEPLOYMENTS, MANAGER, WEBHOOK_TIMEOUT_SECONDS, bound

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "APPROVALS_NAME",
    "APPROVALS_PATH",
    "AUTHOR_NAME",
    "AUTHOR_PATH",
    "guard_objects",
    "stamp_author",
    "stamp_decision",
    "stamp_policy_objects",
    "stamp_webhooks",
]

APPROVALS_NAME: Final = f"approvals.{GROUP}"
"""Name of both policies, their bindings, and the webhook."""
AUTHOR_NAME: Final = f"author.{GROUP}"
APPROVALS_PATH: Final = "/approvals"
AUTHOR_PATH: Final = "/author"
_MOST_BYTES: Final = 64 * 1024
_ROLLOUT_UPDATES: Final = {
    "apiGroups": [GROUP],
    "apiVersions": ["*"],
    "resources": [PLURAL],
    "operations": ["UPDATE"],
    "scope": "Namespaced",
}
_MANAGERS: Final = {"coalmine-cli": Via.CLI, "coalmine-dashboard": Via.DASHBOARD}


def _annotation(of: str, key: str) -> str:
    return f"{of}.metadata.?annotations[?'{key}'].orValue('')"


def _escaped(text: str) -> str:
    return rf"""({text}).replace('\\', '\\\\').replace('"', '\\"')"""


def _is_new(key: str) -> str:
    new, old = _annotation("object", key), _annotation("oldObject", key)
    return f"({new} != '' && {new} != {old})"


_OLD: Final = _annotation("oldObject", DECISIONS_ANNOTATION)
_NEW: Final = _annotation("object", DECISIONS_ANNOTATION)
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
_COMMENT: Final = f"({_is_new(COMMENT_ANNOTATION)} ? {_annotation('object', COMMENT_ANNOTATION)} : '')"
_STAMPED: Final = f"""variables.base + {_entry(_VERDICT)} + {_escaped(_COMMENT)} + '"}}]'"""


def _restored(key: str) -> str:
    """Return the CEL expression of the patch that takes a command out again."""
    path = f"'/metadata/annotations/' + jsonpatch.escapeKey('{key}')"
    return f"""\
(!{_is_new(key)} ? [] :
  '{key}' in oldObject.metadata.?annotations.orValue({{}})
    ? [JSONPatch{{op: 'add', path: {path}, value: {_annotation("oldObject", key)}}}]
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
_BY: Final = _annotation("object", CHANGED_BY_ANNOTATION)
_BY_BEFORE: Final = _annotation("oldObject", CHANGED_BY_ANNOTATION)
_CHANGES: Final = "object.spec.template != oldObject.spec.template"
# A Deployment that the controller lets go keeps nothing of ours. Whoever else drops the label has replaced the manifest,
# and the hold, which may run after this, puts the label back.
_LABELLED: Final = f"('{ROLLOUT_LABEL}' in object.metadata.?labels.orValue({{}}) || ({MANAGER}) != '{FIELD_MANAGER}')"
_AUTHOR_CONDITION: Final = {
    "name": "template-or-author-changes",
    "expression": f"{_CHANGES} || ({_LABELLED} && {_BY} != {_BY_BEFORE})",
}
_BY_PATH: Final = f"'/metadata/annotations/' + jsonpatch.escapeKey('{CHANGED_BY_ANNOTATION}')"
_RIGHTFUL: Final = f"({_CHANGES} ? request.userInfo.username : {_BY_BEFORE})"
_AUTHOR: Final = f"""\
{_RIGHTFUL} == ''
? ('{CHANGED_BY_ANNOTATION}' in object.metadata.?annotations.orValue({{}}) ? [JSONPatch{{op: 'remove', path: {_BY_PATH}}}] : [])
: has(object.metadata.annotations)
  ? [JSONPatch{{op: 'add', path: {_BY_PATH}, value: {_RIGHTFUL}}}]
  : [JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{'{CHANGED_BY_ANNOTATION}': {_RIGHTFUL}}}}}]
"""


def stamp_policy_objects(version: str = "v1") -> list[dict[str, Any]]:
    """Return the MutatingAdmissionPolicies that say who decided and who changed a template, with their bindings.

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
    author = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "objectSelector": HELD_DEPLOYMENTS,
            "resourceRules": [DEPLOYMENT_UPDATES],
        },
        "matchConditions": [_AUTHOR_CONDITION],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _AUTHOR}}],
    }
    return [
        *bound("Mutating", version, APPROVALS_NAME, stamp),
        *bound("Mutating", version, AUTHOR_NAME, author),
    ]


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


def stamp_webhooks(client_configs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the webhooks that do what the MutatingAdmissionPolicies do, for the hold's configuration.

    Args:
        client_configs: Where they are, by path: ``url`` or ``service``, and ``caBundle`` in base64.
    """
    common = {
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": WEBHOOK_TIMEOUT_SECONDS,
    }
    return [
        {
            **common,
            "name": APPROVALS_NAME,
            "clientConfig": dict(client_configs[APPROVALS_PATH]),
            "reinvocationPolicy": "Never",
            "rules": [_ROLLOUT_UPDATES],
            "matchConditions": _STAMP_CONDITIONS,
        },
        {
            **common,
            "name": AUTHOR_NAME,
            "clientConfig": dict(client_configs[AUTHOR_PATH]),
            "reinvocationPolicy": "IfNeeded",
            "objectSelector": HELD_DEPLOYMENTS,
            "rules": [DEPLOYMENT_UPDATES],
            "matchConditions": [_AUTHOR_CONDITION],
        },
    ]


def _annotations(obj: Mapping[str, Any]) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


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
    _expect(request, PLURAL)
    old, new = _annotations(request["oldObject"]), _annotations(request["object"])
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


def stamp_author(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patch that writes down who changed a pod template; empty when it is so already.

    Args:
        request: ``AdmissionReview.request`` of an update of a labelled Deployment.

    Raises:
        ValueError: It is something else: the webhook configuration is not ours.
    """
    _expect(request, "deployments")
    old, new = request["oldObject"], request["object"]
    before, annotations = _annotations(old).get(CHANGED_BY_ANNOTATION, ""), _annotations(new)
    changes = old["spec"]["template"] != new["spec"]["template"]
    manager = (request.get("options") or {}).get("fieldManager")
    if not changes and ROLLOUT_LABEL not in (new["metadata"].get("labels") or {}) and manager == FIELD_MANAGER:
        return []
    wanted = request["userInfo"]["username"] if changes else before
    if annotations.get(CHANGED_BY_ANNOTATION, "") == wanted:
        return []
    kept = {k: v for k, v in annotations.items() if k != CHANGED_BY_ANNOTATION}
    value = {**kept, CHANGED_BY_ANNOTATION: wanted} if wanted else kept
    return [{"op": "add", "path": "/metadata/annotations", "value": value}]


def _expect(request: Mapping[str, Any], plural: str) -> None:
    resource = (request.get("resource") or {}).get("resource")
    if request.get("operation") != "UPDATE" or resource != plural or request.get("subResource"):
        msg = (
            f"asked about {request.get('operation')} of {resource} where updates of {plural} are meant: correct the rules of "
            "the MutatingWebhookConfiguration"
        )
        raise ValueError(msg)
