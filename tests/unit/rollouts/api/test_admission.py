from __future__ import annotations

import copy

import pytest

from rollouts.api.admission import (
    HOLD_NAME,
    HOLD_PATH,
    RESUMERS,
    hold_patch,
    policy_objects,
    policy_version,
    review,
    webhook_objects,
)
from rollouts.api.names import ROLLOUT_LABEL

OLD = {
    "metadata": {"name": "pay", "labels": {ROLLOUT_LABEL: "pay", "tier": "front"}},
    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "pay:1"}]}}},
}
SERVED = ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations"]


def changed(*, image="pay:2", **labels):
    new = copy.deepcopy(OLD)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = image
    new["metadata"]["labels"] = labels
    return new


def test_a_changed_template_is_paused():
    assert hold_patch(OLD, changed(**OLD["metadata"]["labels"])) == [
        {"op": "add", "path": "/spec/paused", "value": True}
    ]


@pytest.mark.parametrize("labels", [{}, {"tier": "back"}])
def test_a_dropped_label_comes_back_with_a_changed_template(labels):
    assert hold_patch(OLD, changed(**labels))[1] == {
        "op": "add",
        "path": "/metadata/labels",
        "value": {**labels, ROLLOUT_LABEL: "pay"},
    }


def test_labels_may_be_absent_altogether():
    new = changed()
    del new["metadata"]["labels"]
    assert hold_patch(OLD, new)[1]["value"] == {ROLLOUT_LABEL: "pay"}


def test_what_leaves_the_template_alone_is_left_alone():
    new = changed(image="pay:1")
    new["spec"]["replicas"] = 7
    new["spec"]["paused"] = False
    assert hold_patch(OLD, new) == []


def held(**spec):
    old = copy.deepcopy(OLD)
    old["spec"] |= spec
    return old


@pytest.mark.parametrize("manager", ["", "kubectl-replace", "helm", "kustomize-controller", "argocd-controller"])
@pytest.mark.parametrize("new", [held(), held(paused=False), held(paused=False, replicas=7)])
def test_an_applier_that_says_nothing_of_the_pause_does_not_end_it(manager, new):
    assert hold_patch(held(paused=True), new, manager) == [{"op": "add", "path": "/spec/paused", "value": True}]


@pytest.mark.parametrize("manager", RESUMERS)
def test_whoever_means_to_resume_resumes(manager):
    assert hold_patch(held(paused=True), held(), manager) == []
    assert hold_patch(held(paused=True), changed(**OLD["metadata"]["labels"]), manager) != []


def test_the_review_tells_who_asks():
    resource = {"operation": "UPDATE", "resource": {"resource": "deployments"}}
    request = {**resource, "oldObject": held(paused=True), "object": held()}
    assert review({**request, "options": {"fieldManager": "kubectl-rollout"}}) == []
    assert review({**request, "options": {"fieldManager": "helm"}}) != []
    assert review({**request, "options": None}) == review(request) != []


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "CREATE", "resource": {"resource": "deployments"}},
        {"operation": "UPDATE", "resource": {"resource": "pods"}},
        {"operation": "UPDATE", "resource": {"resource": "deployments"}, "subResource": "scale"},
        {},
    ],
)
def test_a_question_about_something_else_names_the_configuration_to_correct(request_):
    with pytest.raises(ValueError, match=r"correct the rules of MutatingWebhookConfiguration hold\.coalmine\.dev"):
        review(request_)


@pytest.mark.parametrize(
    ("served", "version"),
    [
        ({"v1": SERVED}, "v1"),
        ({"v1": SERVED[2:], "v1beta1": SERVED}, "v1beta1"),
        ({"v1": SERVED, "v1beta1": SERVED}, "v1"),
        ({"v1": SERVED[2:]}, None),
        ({"v1": SERVED[:1]}, None),
        ({"v1": SERVED[2:], "v1alpha1": SERVED}, None),
        ({}, None),
    ],
)
def test_the_newest_served_version_of_the_policy_is_taken(served, version):
    assert policy_version(served) == version


def test_policy_and_webhook_ask_about_the_same_and_fail_closed():
    policy, binding = (obj["spec"] for obj in policy_objects("v1beta1"))
    (configuration,) = webhook_objects({"url": f"https://127.0.0.1:1{HOLD_PATH}"})
    (hook,) = configuration["webhooks"]
    assert policy["failurePolicy"] == hook["failurePolicy"] == "Fail"
    assert policy["matchConstraints"]["resourceRules"] == hook["rules"]
    assert policy["matchConstraints"]["objectSelector"] == hook["objectSelector"]
    assert policy["matchConditions"] == hook["matchConditions"]
    assert hook["sideEffects"] == "None"
    assert binding["policyName"] == HOLD_NAME
    assert {obj["apiVersion"] for obj in policy_objects("v1beta1")} == {"admissionregistration.k8s.io/v1beta1"}
