"""What lists show comes from the definition's columns: the same as from the objects themselves."""

from __future__ import annotations

import pytest

from coalmine.crds.definitions import ROLLOUT
from coalmine.people.listing import get_table, overview
from coalmine.people.paint import paint
from coalmine.people.rows import rollouts_of
from rollouts.views.release import release_of

NOW = 1_800_000_120.0


def cell(rollout, column):
    """What the API server prints of an object in a column: several texts with spaces between."""
    path = column.path.removeprefix(".").removesuffix("[*]").split(".")
    found = rollout
    for part in path:
        found = found.get(part, {})
    if found in ({}, []):
        return None
    return " ".join(found) if isinstance(found, list) else found


def table(*rollouts, columns=ROLLOUT.columns):
    rows = [
        {"cells": [r["metadata"]["name"], *(cell(r, c) for c in columns)], "object": {"metadata": r["metadata"]}}
        for r in rollouts
    ]
    return {
        "kind": "Table",
        "columnDefinitions": [{"name": "Name"}, *({"name": c.name} for c in columns)],
        "rows": rows,
    }


def shown(rollouts):
    releases = [release_of(r) for r in rollouts]
    tables = (
        get_table(releases, NOW, everywhere=True, wide=False),
        get_table(releases, NOW, everywhere=False, wide=True),
        overview(rollouts, NOW, everywhere=True),
    )
    return [paint(t, colour=False) for t in tables]


def test_lists_show_of_a_table_what_they_show_of_the_objects(rollout, situations):
    rollouts = [rollout(situation) for situation in situations]
    rollouts.append({"metadata": {"name": "new", "namespace": "shop"}, "spec": {"workloadRef": {"name": "new"}}})
    assert shown(rollouts_of(table(*rollouts))) == shown(rollouts)


def test_a_stalled_release_is_under_way(rollout):
    (found,) = rollouts_of(table(rollout("judging", phase="Stalled")))
    assert release_of(found).under_way


def test_what_an_older_definition_does_not_tell_is_not_shown(rollout):
    older = [c for c in ROLLOUT.columns if c.name not in {"STARTED", "STABLE", "CANARY"}]
    (found,) = rollouts_of(table(rollout("judging"), columns=older))
    release = release_of(found)
    assert (release.phase, release.started, release.stable.words) == ("Progressing", None, "")


@pytest.mark.parametrize(
    "answer", [{"items": [{"metadata": {"name": "payment"}}]}, {"kind": "RolloutList", "items": []}]
)
def test_objects_are_taken_from_servers_that_print_no_tables(answer):
    assert rollouts_of(answer) == answer["items"]
