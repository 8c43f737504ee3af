"""From pydantic models to the structural OpenAPI v3 schemas that CustomResourceDefinitions take.

Pydantic's JSON Schema is nearly there. The rest is done here: references are inlined, an optional field is its type
without null, exclusive bounds are flags, defaults are those that the API server fills in (an object's default is
``{}`` and its fields' defaults follow), titles go, and a spec's unknown fields are kept so that they can be named
instead of being pruned in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from crds.base import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

__all__ = ["Schema", "structural"]

Schema = dict[str, Any]
PRESERVE = "x-kubernetes-preserve-unknown-fields"
_KEPT = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
)


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, with nulls left out and with defaults as the API server shall write them."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema without null: the API server drops nulls."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema with its default in wire form; None and empty defaults are those of an absent field."""
        found = self.generate_inner(schema["schema"])
        default = _wire_default(schema.get("default"), schema["schema"])
        return found if default in (None, "", []) else {"default": default, **found}


def _wire_default(default: object, inner: Mapping[str, Any]) -> object:
    while inner.get("type") == "function-after":  # a bound such as gt=0 around a type with a wire form of its own
        inner = inner["schema"]
    serialization = inner.get("serialization") or {}
    if default is None:
        return None
    if serialization.get("type") == "function-plain":
        return serialization["function"](default)
    if isinstance(default, Resource):
        return default.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    if isinstance(default, tuple | list):
        return [_wire_default(item, {}) for item in default]
    return getattr(default, "value", default)


def structural(model: type[BaseModel], *, defaults: bool, keep_unknown: bool) -> Schema:
    """Return the model's structural schema.

    Args:
        model: A resource's spec or status.
        defaults: Whether the API server shall fill in the defaults. Not in a status (its writer does), nor in other
            people's resources.
        keep_unknown: Whether fields that the model does not have are kept, for somebody to name them, not pruned.
    """
    document = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    return _Converter(document.get("$defs", {}), defaults=defaults, keep_unknown=keep_unknown).convert(document)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Converter:
    definitions: Mapping[str, Schema] = field(kw_only=False)
    defaults: bool
    keep_unknown: bool

    def convert(self, schema: Schema) -> Schema:
        """Return one node of a JSON Schema, and all below it, as a structural schema."""
        schema = self._inlined(schema)
        found: Schema = {key: schema[key] for key in _KEPT if key in schema}
        if "type" not in found:
            msg = f"a structural schema needs a type, and there is none in {schema}: give the field one type"
            raise TypeError(msg)
        if "description" in found:
            found["description"] = found["description"].replace("``", "`")
        if not self.defaults:
            found.pop("default", None)
        if "const" in schema:
            found["enum"] = [schema["const"]]
        found |= _bounds(schema)
        found |= {key: schema[key] for key in sorted(schema) if key.startswith("x-kubernetes-")}
        match found["type"]:
            case "integer":
                found["format"] = "int64"
            case "array":
                found.setdefault("x-kubernetes-list-type", "atomic")
                found["items"] = self.convert(schema["items"])
            case "object":
                found |= self._object(schema)
        return found

    def _inlined(self, schema: Schema) -> Schema:
        """Follow a reference; what stands beside it (a field's description and default) goes before its target's."""
        if "$ref" not in schema:
            return schema
        target = self._inlined(self.definitions[schema["$ref"].rpartition("/")[2]])
        return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}

    def _object(self, schema: Schema) -> Schema:
        values = schema.get("additionalProperties")
        if "properties" not in schema:
            return {"additionalProperties": self.convert(values)} if isinstance(values, dict) else {PRESERVE: True}
        found: Schema = {PRESERVE: True} if self.keep_unknown else {}
        if schema.get("required"):
            found["required"] = schema["required"]
        found["properties"] = {name: self.convert(inner) for name, inner in schema["properties"].items()}
        return found


def _bounds(schema: Schema) -> Schema:
    """Return minimum and maximum; OpenAPI 3.0 has a flag where JSON Schema has exclusive bounds."""
    found: Schema = {}
    for inclusive, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if inclusive in schema:
            found[inclusive] = schema[inclusive]
        elif exclusive in schema:
            found |= {inclusive: schema[exclusive], exclusive: True}
    return found
