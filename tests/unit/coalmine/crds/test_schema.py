from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field

from coalmine.crds.definitions import ROLLOUT, TRAFFIC_SPLIT, VIRTUAL_SERVICE
from coalmine.crds.policies import refuse_unknown_fields
from coalmine.crds.schema import structural
from crds.base import Duration, Resource
from crds.schema import Rule, list_map, rules


class Colour(StrEnum):
    RED = "Red"
    BLUE = "Blue"


class Inner(Resource):
    """What is ``inside``."""

    model_config = ConfigDict(json_schema_extra=rules(Rule("self.x > 0", "too small: make it larger")))

    x: Annotated[int, Field(gt=0, lt=9)] = 3
    wait: Duration = 90.0
    soon: Annotated[Duration, Field(gt=0)] = 10.0


class Outer(Resource):
    """All kinds of fields."""

    one: Annotated[Inner, Field(description="Described here.")]
    two_of: Inner = Inner(x=4)
    three: Inner = Inner()
    maybe: int | None = None
    colour: Colour = Colour.BLUE
    only: Literal["this"] = "this"
    items: Annotated[tuple[Inner, ...], Field(min_length=1, json_schema_extra=list_map("x"))] = (Inner(x=5),)
    words: tuple[str, ...] = ()
    table: Annotated[dict[str, int], Field(default_factory=dict)]
    anything: Annotated[dict[str, Any], Field(default_factory=dict)]


@pytest.fixture
def properties():
    return structural(Outer, defaults=True, keep_unknown=True)["properties"]


def test_references_are_inlined_and_what_stands_beside_them_wins(properties):
    assert properties["one"]["description"] == "Described here."
    assert properties["three"]["description"] == "What is `inside`."
    assert set(properties["one"]["properties"]) == {"x", "wait", "soon"}


def test_the_default_of_an_object_is_what_differs_from_its_fields_defaults(properties):
    assert "default" not in properties["one"]
    assert properties["twoOf"]["default"] == {"x": 4}
    assert properties["three"]["default"] == {}
    assert properties["three"]["properties"]["x"]["default"] == 3
    assert properties["items"]["default"] == [{"x": 5}]


def test_a_duration_is_text_on_the_wire(properties):
    assert properties["one"]["properties"]["wait"]["default"] == "1m30s"
    assert properties["one"]["properties"]["soon"]["default"] == "10s"
    assert properties["one"]["properties"]["wait"]["type"] == "string"


def test_exclusive_bounds_are_flags(properties):
    x = properties["one"]["properties"]["x"]
    assert (x["minimum"], x["exclusiveMinimum"], x["maximum"], x["exclusiveMaximum"]) == (0, True, 9, True)
    assert x["format"] == "int64"


def test_an_optional_field_is_its_type_without_null(properties):
    assert properties["maybe"] == {"type": "integer", "format": "int64"}


def test_choices_are_enums(properties):
    assert properties["colour"]["enum"] == ["Red", "Blue"]
    assert properties["colour"]["default"] == "Blue"
    assert properties["only"]["enum"] == ["this"]


def test_lists_and_tables(properties):
    assert properties["items"]["x-kubernetes-list-type"] == "map"
    assert properties["items"]["x-kubernetes-list-map-keys"] == ["x"]
    assert properties["words"] == {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}}
    assert properties["table"]["additionalProperties"] == {"type": "integer", "format": "int64"}
    assert properties["anything"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def test_rules_stay_with_their_object(properties):
    rule = [{"rule": "self.x > 0", "message": "too small: make it larger"}]
    assert properties["one"]["x-kubernetes-validations"] == rule
    assert properties["items"]["items"]["x-kubernetes-validations"] == rule


def test_a_status_has_no_defaults_and_drops_what_it_does_not_know():
    status = structural(Outer, defaults=False, keep_unknown=False)
    assert "default" not in str(status)
    assert "x-kubernetes-preserve-unknown-fields" not in status
    assert "x-kubernetes-preserve-unknown-fields" not in status["properties"]["one"]
    assert status["properties"]["anything"]["x-kubernetes-preserve-unknown-fields"]


def test_a_field_of_two_types_is_not_structural():
    class Either(Resource):
        port: int | str

    with pytest.raises(TypeError, match="give the field one type"):
        structural(Either, defaults=True, keep_unknown=True)


def test_other_peoples_resources_get_no_defaults_and_no_policy():
    assert ROLLOUT.own
    assert TRAFFIC_SPLIT.own
    assert not VIRTUAL_SERVICE.own
    assert "default" not in VIRTUAL_SERVICE.schema()["properties"]["spec"]["properties"]["gateways"]


def test_the_stored_version_is_the_first_and_all_share_one_schema():
    versions = VIRTUAL_SERVICE.dump()["spec"]["versions"]
    assert [(v["name"], v["storage"]) for v in versions] == [("v1", True), ("v1beta1", False), ("v1alpha3", False)]
    assert len({str(v["schema"]) for v in versions}) == 1


def test_the_policy_looks_into_every_object_of_the_schema():
    def objects(schema, path):
        if "properties" in schema:
            yield path
            for name, inner in schema["properties"].items():
                yield from objects(inner.get("items", inner), f"{path}.{name}{'[]' if 'items' in inner else ''}")

    policy, binding = refuse_unknown_fields(ROLLOUT)
    looked = {v["message"].partition(" has a field")[0] for v in policy["spec"]["validations"]}
    assert looked == set(objects(ROLLOUT.schema()["properties"]["spec"], "spec"))
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
