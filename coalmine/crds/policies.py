"""ValidatingAdmissionPolicies that refuse unknown fields, from the same schemas as the CustomResourceDefinitions.

The API server prunes fields that a schema does not know: depending on the client, they vanish without a word, and
``setWieght: 20`` becomes a step without a weight. So the schemas keep unknown fields, and these policies refuse them
by name, whatever client sends them. Where no policy is installed, the controller still finds the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coalmine.crds.definitions import Definition
    from coalmine.crds.schema import Schema

__all__ = ["refuse_unknown_fields"]


def refuse_unknown_fields(definition: Definition) -> list[dict[str, Any]]:
    """Return the policy and its binding for one of Coalmine's own resources."""
    name = f"unknown-fields.{definition.name}"
    labels = {"app.kubernetes.io/part-of": "coalmine"}
    spec = definition.schema()["properties"]["spec"]
    places = list(_walk(spec, "spec", "variables.spec"))
    rule = {
        "apiGroups": [definition.group],
        "apiVersions": ["*"],
        "resources": [definition.plural],
        "operations": ["CREATE", "UPDATE"],
    }
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            # What an older version accepted may still be labelled, or deleted, as long as its spec stays as it is.
            "matchConditions": [
                {
                    "name": "spec-changes",
                    "expression": "request.operation == 'CREATE' || object.spec != oldObject.spec",
                }
            ],
            # Without dyn(), the type checker would know the known fields only, and refuse to list the others.
            "variables": [
                {"name": "spec", "expression": "dyn(object.spec)"},
                *({"name": place.variable, "expression": place.unknown} for place in places),
            ],
            "validations": [_validation(place, definition.kind) for place in places],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": labels},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    return [policy, binding]


@dataclass(frozen=True, slots=True)
class _Place:
    """An object of the schema.

    Attributes:
        path: Where it is, for people.
        unknown: A CEL expression: the list of its unknown fields.
        known: The names of its known fields.
    """

    path: str
    unknown: str
    known: tuple[str, ...]

    @property
    def variable(self) -> str:
        """The name of the policy's variable that holds the unknown fields."""
        return "unknown_" + self.path.replace("[]", "").replace(".", "_")


def _validation(place: _Place, kind: str) -> dict[str, Any]:
    found = f"variables.{place.variable}"
    fix = f"not a field of a {kind}: remove it or write one of {', '.join(place.known)}"
    return {
        "expression": f"size({found}) == 0",
        "message": f"{place.path} has a field that is {fix}",
        "messageExpression": f"'{place.path}.' + {found}[0] + ' is {fix}'",
        "reason": "Invalid",
    }


def _walk(schema: Schema, path: str, value: str, of_items: tuple[Callable[[str], str], ...] = ()) -> Iterator[_Place]:
    """Walk down from ``value``, a CEL expression.

    Args:
        schema: What is walked through.
        path: Where it is, for people.
        value: The CEL expression of it.
        of_items: For each list on the way, outermost first, what makes a list of names for one of its items one for all.
    """
    known = tuple(sorted(schema["properties"]))
    names = ", ".join(f"'{name}'" for name in known)
    unknown = f"{value}.filter(k, !(k in [{names}]))"
    for wrap in reversed(of_items):
        unknown = wrap(unknown)
    yield _Place(path, unknown, known)
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            yield from _walk(inner, f"{path}.{name}", f"{value}.?{name}.orValue({{}})", of_items)
        elif "properties" in inner.get("items", {}):
            item = f"item{len(of_items) or ''}"
            wrap = partial(_first_of_items, value, name, item)
            yield from _walk(inner["items"], f"{path}.{name}[]", item, (*of_items, wrap))


def _first_of_items(value: str, name: str, item: str, unknown: str) -> str:
    return f"{value}.?{name}.orValue([]).map({item}, {unknown}).filter(found, size(found) > 0).map(found, found[0])"
