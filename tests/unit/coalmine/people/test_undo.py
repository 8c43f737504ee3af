"""Which revision is gone back to."""

from __future__ import annotations

import click
import pytest

from coalmine.people.undoing import choose, kept_revisions


def template(image, **labels):
    return {
        "metadata": {"labels": {"app": "payment", **labels}},
        "spec": {"containers": [{"name": "app", "image": image}]},
    }


def deployment(image):
    return {
        "metadata": {"name": "payment", "uid": "u1"},
        "spec": {"template": template(image), "revisionHistoryLimit": 3},
    }


def replica_set(number, image, owner="u1"):
    metadata = {
        "annotations": {"deployment.kubernetes.io/revision": str(number)},
        "ownerReferences": [{"uid": owner}],
    }
    return {"metadata": metadata, "spec": {"template": template(image, **{"pod-template-hash": f"h{number}"})}}


SETS = [
    replica_set(3, "shop:3"),
    replica_set(5, "shop:5"),
    replica_set(4, "shop:4"),
    replica_set(9, "x:1", owner="other"),
]


def test_at_rest_it_is_the_one_before_and_while_a_change_is_held_the_stable_one():
    at_rest, held = deployment("shop:5"), deployment("shop:6")
    assert choose(kept_revisions(at_rest, SETS), at_rest, 0).version == "4"
    assert choose(kept_revisions(held, SETS), held, 0).version == "5"


def test_a_named_one_is_put_back_without_what_kubernetes_added():
    now = deployment("shop:5")
    found = choose(kept_revisions(now, SETS), now, 3)
    assert (found.number, found.template) == (3, template("shop:3"))


@pytest.mark.parametrize(
    ("number", "sets", "words"),
    [
        (7, SETS, "keeps no revision 7: --to-revision takes one of 5, 4, 3"),
        (5, SETS, "asks for revision 5 already"),
        (0, SETS[1:2], r"keeps no earlier revision \(spec.revisionHistoryLimit is 3\): revert the commit in git"),
    ],
)
def test_what_cannot_be_is_told(number, sets, words):
    now = deployment("shop:5")
    with pytest.raises(click.ClickException, match=words):
        choose(kept_revisions(now, sets), now, number)
