"""Rules about a Deployment's own pods hold for the canary's: affinity, spread, disruption budgets."""

from __future__ import annotations

import copy

import pytest

from rollouts.core.placement import spread_among_itself

BEFORE = {"app": "payment", "team": "shop"}
AFTER = {"app": "payment-canary", "team": "shop", "coalmine.dev/role": "canary"}
OWN = {"matchLabels": {"app": "payment"}}
CANARY = {"matchLabels": {"app": "payment-canary"}}


def placed(spec):
    changed = copy.deepcopy(spec)
    spread_among_itself(changed, BEFORE, AFTER)
    return changed


@pytest.mark.parametrize(
    ("selector", "becomes"),
    [
        (OWN, CANARY),
        ({"matchLabels": {"app": "payment", "team": "shop"}}, {"matchLabels": {"app": "payment-canary", "team": "shop"}}),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["payment", "x"]}]}, CANARY),
        ({"matchLabels": {"team": "shop"}}, {"matchLabels": {"team": "shop"}}),  # the canary has it too
        ({"matchLabels": {"app": "database"}}, {"matchLabels": {"app": "database"}}),  # about others
        (
            {"matchLabels": {"app": "payment"}, "matchExpressions": [{"key": "team", "operator": "Exists"}]},
            {"matchLabels": {"app": "payment-canary"}, "matchExpressions": [{"key": "team", "operator": "Exists"}]},
        ),
    ],
)  # fmt: skip
def test_a_selector_of_the_pods_own_labels_means_the_canarys_pods(selector, becomes):
    spec = {"topologySpreadConstraints": [{"maxSkew": 1, "labelSelector": selector}]}
    assert placed(spec)["topologySpreadConstraints"] == [{"maxSkew": 1, "labelSelector": becomes}]


@pytest.mark.parametrize("kind", ["podAffinity", "podAntiAffinity"])
def test_required_and_preferred_affinities_are_the_canarys(kind):
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": OWN}
    affinity = {
        kind: {
            "requiredDuringSchedulingIgnoredDuringExecution": [term],
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}],
        },
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
    }
    changed = placed({"affinity": affinity})["affinity"]
    wanted = {**term, "labelSelector": CANARY}
    assert changed[kind]["requiredDuringSchedulingIgnoredDuringExecution"] == [wanted]
    assert changed[kind]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"] == wanted
    assert changed["nodeAffinity"] == affinity["nodeAffinity"]


def test_a_release_places_its_canary_so(world):
    world.deployment["spec"]["template"]["spec"]["affinity"] = {
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": OWN}]}
    }
    world.stable_pods = {}
    world.kubernetes()
    world.settle()
    template = copy.deepcopy(world.deployment["spec"]["template"])
    template["spec"]["containers"][0]["image"] = "shop:2"
    world.deployment["spec"] |= {"template": template, "paused": True}
    world._touch(world.deployment)
    world.settle()
    (term,) = world.canary["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]  # fmt: skip
    assert term["labelSelector"] == CANARY


# --- disruption budgets ---


def budget(selector=None, **spec):
    return {"metadata": {"name": "theirs"}, "spec": {"selector": OWN if selector is None else selector, **spec}}


@pytest.mark.parametrize(
    ("theirs", "canarys"),
    [
        ({"maxUnavailable": 1}, {"maxUnavailable": 1}),
        ({"maxUnavailable": "25%"}, {"maxUnavailable": "25%"}),
        ({"minAvailable": "50%"}, {"minAvailable": "50%"}),
        ({"minAvailable": 3}, {"minAvailable": "75%"}),  # of four
        ({"minAvailable": 9}, {"minAvailable": "100%"}),
    ],
)
def test_a_budget_of_stable_is_one_of_the_canary_and_goes_with_it(world, theirs, canarys):
    world.budgets = [budget(**theirs)]
    world.released()
    spec = world.canary_budget["spec"]
    assert spec == {**canarys, "selector": world.canary["spec"]["selector"], "unhealthyPodEvictionPolicy": "AlwaysAllow"}  # fmt: skip
    world.push("shop:1")
    world.wait(20)
    assert (world.phase, world.canary, world.canary_budget) == ("Healthy", None, None)


@pytest.mark.parametrize(
    "budgets",
    [
        [],
        [budget({"matchLabels": {"app": "other"}}, maxUnavailable=1)],
        [budget({"matchLabels": {"team": "shop"}}, maxUnavailable=1)],  # it covers the canary: no pod may have two
        [budget(maxUnavailable=1), budget({"matchLabels": {"team": "shop"}}, maxUnavailable=1)],
    ],
)
def test_no_budget_where_none_is_missing(world, budgets):
    world.budgets = budgets
    world.released()
    assert world.canary is not None
    assert world.canary_budget is None


def test_a_budget_that_goes_mid_release_takes_the_canarys_with_it(world):
    world.budgets = [budget(maxUnavailable=1)]
    world.released()
    assert world.canary_budget
    world.budgets = []
    world.settle(1)
    assert world.canary_budget is None


def test_deletion_takes_the_canarys_budget(world):
    world.budgets = [budget(maxUnavailable=1)]
    world.released()
    world.delete()
    world.wait(20)
    assert world.gone
    assert world.canary_budget is None
