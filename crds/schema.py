"""What the models say to the API server beyond JSON Schema: CEL rules, list types. Used beside the pydantic validators.

``coalmine crds generate`` reads these from the models; the API server enforces them at admission.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic.config import JsonDict, JsonValue

__all__ = ["Rule", "list_map", "rules"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL validation (``x-kubernetes-validations``).

    Attributes:
        rule: The CEL expression; ``self`` is the value that the schema describes.
        message: What is wrong and the fix; the API server puts the field's path before it.
        field_path: Path of the field to blame, from the value that the rule is on (``.spec.service``).
    """

    rule: str
    message: str
    field_path: str | None = None

    def dump(self) -> JsonDict:
        """Return the rule as Kubernetes writes it."""
        found: JsonDict = {"rule": self.rule, "message": self.message}
        if self.field_path is not None:
            found["fieldPath"] = self.field_path
        return found


def rules(*validations: Rule) -> JsonDict:
    """Return CEL validations as ``json_schema_extra`` of a model or of a field."""
    dumped: list[JsonValue] = [rule.dump() for rule in validations]
    return {"x-kubernetes-validations": dumped}


def list_map(*keys: str) -> JsonDict:
    """Return ``json_schema_extra`` of a list whose items server-side apply tells apart by ``keys`` (camelCase)."""
    names: list[JsonValue] = list(keys)
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": names}
