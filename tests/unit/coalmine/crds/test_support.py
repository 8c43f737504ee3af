"""The page of supported fields is what the models say."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from coalmine.crds.definitions import DEFINITIONS
from coalmine.crds.istio import FIELDS
from coalmine.crds.support import SUPPORT_PAGE, Group, groups, support
from mesh.api.istio import IstioResource, unimplemented

ROOT = Path(__file__).parents[4]


class Inner(IstioResource):
    some_name: str = ""


class Outer(IstioResource):
    one: Inner | None = None
    many: tuple[Inner, ...] = ()
    named: dict[str, Inner] = Field(default_factory=dict)
    whole: dict[str, str] = Field(default_factory=dict)
    our_own: int = 0


INNER = {"someName": None, "other": None}
TREE = {"one": INNER, "many": INNER, "named": INNER, "whole": {"a": None}, "absent": {"b": None}}


def test_the_page_does_not_drift_from_the_models():
    assert (ROOT / SUPPORT_PAGE).read_text(encoding="utf-8") == support(), "run `coalmine crds generate` and commit it"


def test_fields_are_found_in_lists_maps_and_objects():
    inner = ("someName",), ("other",)
    assert list(groups(TREE, Outer)) == [
        Group("", ("one", "many", "named", "whole"), ("absent",), ("ourOwn",)),
        Group("one", *inner),
        Group("many", *inner),
        Group("named", *inner),
        Group("whole", ("a",), ()),
    ]


def test_what_is_said_to_be_reported_is_reported():
    """The page and the Events are made from the same models, by different ways."""
    written = {"one": {"someName": "x", "other": 1}, "absent": {"b": 1}}
    assert unimplemented(Outer.model_validate(written)) == ["spec.absent", "spec.one.other"]


def test_equal_objects_are_shown_once():
    large = dict.fromkeys("abcde")
    tree = {"one": large, "many": large}
    assert [(g.path, g.same_as) for g in groups(tree, Outer)] == [("", ""), ("one", ""), ("many", "one")]


def test_every_kind_of_istios_that_there_is_a_definition_for_has_its_fields_listed():
    istios = {d.kind for d in DEFINITIONS if d.group.endswith("istio.io")}
    assert istios <= set(FIELDS)
