"""The canary's objects: nothing of the stable side may select its pods."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.core.canary import canary_deployment, canary_labels, canary_service, capacity, inseparable, selects
from rollouts.core.naming import MAX_LABEL, Names, suffixed
from rollouts.core.templates import plain, revision

VALUE = st.from_regex(r"\A[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?\Z")


def parts(world):
    observed = world.observe()
    return observed.subject, Names("payment", "payment"), observed.deployment, observed.service


@given(VALUE)
def test_suffixed_values_are_valid_labels_and_differ(value):
    assert suffixed(value) != value
    assert len(suffixed(value)) <= MAX_LABEL
    assert suffixed(value).endswith("-canary")


@given(VALUE, VALUE)
def test_suffixes_keep_names_apart(one, other):
    assert (suffixed(one) == suffixed(other)) == (one == other)


@given(st.dictionaries(st.sampled_from("abcd"), VALUE, min_size=1))
def test_no_selector_of_the_stable_side_selects_the_canary(labels):
    keys = sorted(labels)
    deployment = {
        "matchLabels": {keys[0]: labels[keys[0]]},
        "matchExpressions": [{"key": k, "operator": "In", "values": [labels[k]]} for k in keys[1:2]],
    }
    service = {keys[-1]: labels[keys[-1]]}
    changed = canary_labels(labels, deployment, service)
    assert not selects(deployment, changed)
    assert not selects({"matchLabels": service}, changed)


def test_labels_that_no_selector_uses_are_kept(world):
    deployment = canary_deployment(*parts(world), replicas=1, deadline=600)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "payment-canary", "team": "shop", "coalmine.dev/role": "canary"}
    assert deployment["spec"]["selector"]["matchLabels"] == {"app": "payment-canary", "coalmine.dev/role": "canary"}


def test_a_key_that_must_only_exist_is_left_out():
    selector = {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    changed = canary_labels({"tier": "web", "app": "x"}, selector, {"app": "x"})
    assert "tier" not in changed
    assert not selects(selector, changed)


def test_a_selector_that_selects_whatever_is_there_is_found(world):
    world.deployment["spec"]["selector"] = {"matchExpressions": [{"key": "legacy", "operator": "DoesNotExist"}]}
    _, _, deployment, service = parts(world)
    assert inseparable(deployment, service)


def test_the_hold_does_not_catch_the_canary(world):
    assert (
        "coalmine.dev/rollout" not in canary_deployment(*parts(world), replicas=1, deadline=600)["metadata"]["labels"]
    )


def test_the_canary_service_has_the_same_ports_and_no_address_of_its_own(world):
    world.service["spec"] |= {"clusterIP": "10.0.0.7"}
    world.service["spec"]["ports"] = [
        {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "nodePort": 30080}
    ]
    spec = canary_service(*parts(world))["spec"]
    assert spec == {
        "selector": {"app": "payment-canary", "coalmine.dev/role": "canary"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
    }


@pytest.mark.parametrize(
    ("weight", "stable", "pods"),
    [(10, 4, 1), (50, 4, 2), (51, 4, 3), (100, 4, 4), (0, 4, 1), (1, 100, 1), (1, 101, 2), (10, 0, 1)],
)
def test_capacity_is_the_share_of_the_stable_pods_rounded_up(weight, stable, pods):
    assert capacity(weight, stable) == pods


def test_a_replica_sets_template_is_the_same_release(world):
    template = world.deployment["spec"]["template"]
    labels = {**template["metadata"]["labels"], "pod-template-hash": "abc"}
    assert revision({**template, "metadata": {"labels": labels, "creationTimestamp": None}}) == revision(template)
    assert "pod-template-hash" not in plain({**template, "metadata": {"labels": labels}})["metadata"]["labels"]
