"""What the terminal shows, as files that reviewers read. COALMINE_REGENERATE=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coalmine.people.listing import get_table, overview
from coalmine.people.paint import length, paint
from coalmine.people.screen import MOST_PODS, screen, tree_lines
from rollouts.views.looks import Tone
from rollouts.views.release import release_of
from rollouts.views.tree import Node

GOLDEN = Path(__file__).parent / "golden"
NOW = 1_800_000_120.0
SITUATIONS = ["healthy", "starting", "judging", "paused", "asking", "rolling-back", "rolled-back", "promoted"]


def pod(name, words="Running 2/2", tone=Tone.GOOD, symbol="✔"):
    return Node("Pod", name, symbol, tone, words=words, age="2m")


def replica_set(name, version, *pods):
    return Node(
        "ReplicaSet", name, "✔", Tone.GOOD, words="2/2 ready, revision 4", images=version, age="26h", children=pods
    )


def objects(pods=2):
    stable = Node(
        "Deployment", "payment", "✔", Tone.GOOD, role="stable", words="4/4 ready, change held", images="2", age="26h",
        children=(replica_set("payment-5d9c8", "1", *(pod(f"payment-5d9c8-{n:02}") for n in range(pods))),),
    )  # fmt: skip
    bad = pod("payment-canary-77f-x2", "ImagePullBackOff 1/2", Tone.BAD, "✖")
    canary = Node(
        "Deployment", "payment-canary", "◌", Tone.BUSY, role="canary", words="1/2 ready", images="2", age="2m",
        children=(replica_set("payment-canary-77f", "2", pod("payment-canary-77f-x1"), bad),),
    )  # fmt: skip
    return (stable, canary)


def golden(name, text):
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("COALMINE_REGENERATE"):
        file.write_text(text)
    assert file.read_text() == text, f"{file.name} differs: if that is meant, write it anew with COALMINE_REGENERATE=1"


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("width", [80, 140])
def test_one_rollout(rollout, situation, width):
    nodes = () if situation == "starting" else objects()
    lines = screen(release_of(rollout(situation)), nodes, width, NOW)
    assert max(map(length, lines)) <= width
    golden(f"{situation}-{width}", paint(lines, colour=False))


def test_colours_say_nothing_that_the_plain_screen_does_not(rollout):
    lines = screen(release_of(rollout("judging")), objects(), 100, NOW)
    coloured = paint(lines, colour=True)
    golden("judging-colours", coloured.replace("\x1b", "^"))
    assert "\x1b" not in paint(lines, colour=False)


def test_piped_into_a_file_nothing_is_cut_or_broken(rollout):
    long = "x" * 300
    lines = screen(release_of(rollout("judging", message=long)), objects(), 0, NOW)
    assert any(long in text for line in lines for text, _ in line)


def test_of_many_pods_those_that_are_not_well_come_first():
    stable, _ = objects(pods=30)
    (kept,) = stable.children
    bad = pod("payment-5d9c8-zz", "Error 0/2", Tone.BAD, "✖")
    shown = paint(
        tree_lines(
            [
                Node(
                    "Deployment",
                    "payment",
                    "✔",
                    Tone.GOOD,
                    children=(Node(**{**vars(kept), "children": (*kept.children, bad)}),),
                )
            ],
            100,
        ),
        colour=False,
    ).splitlines()
    assert len(shown) == 2 + MOST_PODS + 1
    assert "payment-5d9c8-zz" in shown[2]
    assert "and 23 pods more" in shown[-1]
    assert "23 well" in shown[-1]


def test_tables_of_many(rollout):
    rollouts = [rollout(situation) for situation in SITUATIONS]
    releases = [release_of(r) for r in rollouts]
    table = get_table(releases, NOW, everywhere=False, wide=False)
    wide = get_table(releases, NOW, everywhere=True, wide=True)
    many = overview(rollouts, NOW, everywhere=True)
    golden("tables", "\n".join(paint(t, colour=False) for t in (table, wide, many)))


def test_in_a_large_cluster_those_at_rest_are_counted_only(rollout):
    many = [rollout("healthy")] * 30 + [rollout("asking")]
    lines = paint(overview(many, NOW, everywhere=True), colour=False).splitlines()
    assert lines[0].split("  ") == ["31 Rollouts", "", "? 1 awaiting approval", "✔ 30 healthy"]
    assert len([line for line in lines if "shop/payment" in line]) == 1
    assert "30 healthy ones are not shown" in lines[-1]


def test_a_rollout_that_nobody_has_looked_at_is_shown():
    fresh = release_of({"metadata": {"name": "new", "namespace": "shop"}, "spec": {"workloadRef": {"name": "new"}}})
    assert "the controller has not looked at it yet" in paint(screen(fresh, (), 80, NOW), colour=False)
    assert "<unknown>" in paint(get_table([fresh], NOW, everywhere=False, wide=False), colour=False)
