"""From watched objects to one observation."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.model.counts import Arm
from rollouts.core.dependencies import Neighbour
from rollouts.core.observed import Measured
from rollouts.core.templates import revision
from rollouts.engine.cache import Cache
from rollouts.engine.gather import gather, subject_of
from rollouts.engine.measure import Known
from rollouts.routers.coalmine import CoalmineRouter

TEMPLATE = {"metadata": {"labels": {"app": "payment"}}, "spec": {"containers": [{"name": "app", "image": "shop:1"}]}}


def obj(name: str, uid: str = "", owner: str = "", **rest: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "shop",
        "uid": uid or f"uid-{name}",
        "creationTimestamp": "2026-01-02T00:00:00Z",
    }
    metadata["labels"] = rest.pop("labels", {})
    if owner:
        metadata["ownerReferences"] = [{"uid": owner, "controller": True, "name": owner}]
    return {"metadata": metadata, **rest}


def rollout(name: str, created: str = "2026-01-02T00:00:00Z", **spec: Any) -> dict[str, Any]:
    body = obj(name, spec={"workloadRef": {"name": "payment"}, **spec})
    body["metadata"]["creationTimestamp"] = created
    return body


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    cache.put("rollouts", rollout("payment"))
    cache.put(
        "deployments",
        obj("payment", spec={"replicas": 1, "template": TEMPLATE, "selector": {"matchLabels": {"app": "payment"}}}),
    )
    cache.put("services", obj("payment", spec={"selector": {"app": "payment"}, "ports": [{"port": 80}]}))
    cache.put("replicasets", obj("payment-1", owner="uid-payment", spec={"template": TEMPLATE}, status={"replicas": 1}))
    cache.put(
        "pods",
        obj(
            "payment-1-a",
            owner="uid-payment-1",
            labels={"app": "payment"},
            status={"startTime": "2026-01-02T00:00:01Z"},
        ),
    )
    return cache


def look(cache: Cache, name: str = "payment", seen: list[Known] | None = None):
    def measure(_notes, known):
        if seen is not None:
            seen.append(known)
        return Measured()

    return gather(cache, CoalmineRouter(), subject_of(cache.rollouts["shop", name]), measure)


def test_running_revisions_are_the_replica_sets_with_pods(cache):
    cache.put(
        "replicasets",
        obj("payment-0", owner="uid-payment", spec={"template": {**TEMPLATE, "spec": {}}}, status={"replicas": 0}),
    )
    assert look(cache).running == {revision(TEMPLATE): 1}


def test_pods_of_another_workload_behind_the_service_are_foreign(cache):
    assert look(cache).foreign_pods == ()
    cache.put("pods", obj("legacy-x", owner="uid-other", labels={"app": "payment"}))
    assert look(cache).foreign_pods == ("legacy-x",)
    leaving = obj("legacy-x", owner="uid-other", labels={"app": "payment"})
    leaving["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    cache.put("pods", leaving)
    assert look(cache).foreign_pods == ()


def test_the_judge_is_told_when_pods_started_and_what_they_run(cache):
    seen: list[Known] = []
    look(cache, seen=seen)
    assert seen == [Known({"payment-1-a": 1767312001.0}, {"payment-1-a": Arm.BASELINE})]


def test_templates_of_the_cluster_that_nobody_may_read_are_no_missing_ones(cache):
    cache.cluster_templates = False
    references = [{"templateName": "errors", "clusterScope": True}, {"templateName": "own"}]
    cache.put("rollouts", rollout("payment", analysis={"templates": references}))
    problem = look(cache).template_problem
    assert "ClusterAnalysisTemplate errors: this controller is for some namespaces" in problem
    assert "there is no AnalysisTemplate own" in problem


def test_templates_are_looked_for_where_the_reference_says(cache):
    latest = {
        "name": "errors-of-web",
        "thresholdRange": {"max": 1},
        "provider": {"web": {"url": "http://x", "jsonPath": "$.y"}},
    }
    template = {"metadata": {"name": "checkout", "namespace": "shop"}, "spec": {"metrics": [latest]}}
    for scope, there in ((False, "shop"), (True, "")):
        other = Cache()
        for body in cache.all_rollouts():
            other.put("rollouts", body)
        reference = {"templateName": "checkout", "clusterScope": scope}
        other.put("rollouts", rollout("payment", analysis={"templates": [reference]}))
        assert "there is no" in look(other).template_problem
        plural = "clusteranalysistemplates" if scope else "analysistemplates"
        metadata = {k: v for k, v in template["metadata"].items() if k == "name" or there}
        other.put(plural, {**template, "metadata": metadata})
        assert look(other).template_problem == ""
        other.drop(plural, there, "checkout")
        assert "there is no" in look(other).template_problem


def test_of_two_rollouts_for_one_deployment_the_older_wins(cache):
    cache.put("rollouts", rollout("payment-new", "2026-01-03T00:00:00Z"))
    assert look(cache).rival == ""
    assert look(cache, "payment-new").rival == "payment"


def test_two_rollouts_that_name_the_same_service_are_rivals_too(cache):
    cache.put("rollouts", rollout("other", "2026-01-03T00:00:00Z", workloadRef={"name": "other"}, service="payment"))
    assert look(cache, "other").rival == "payment"


def test_an_object_that_has_the_canarys_name_but_another_owner_is_not_ours(cache):
    cache.put("services", obj("payment-canary", owner="uid-somebody", spec={}))
    seen = look(cache)
    assert (seen.canary_service, seen.taken) == (None, "Service payment-canary")
    cache.put("services", obj("payment-canary", owner="uid-payment", spec={}))
    assert look(cache).taken == ""


def test_another_deployment_that_carries_the_label_is_a_stray(cache):
    cache.put("deployments", obj("before", labels={"coalmine.dev/rollout": "payment"}, spec={"template": TEMPLATE}))
    assert [s.name for s in look(cache).strays] == ["before"]


def test_an_invalid_spec_is_told_with_its_field(cache):
    cache.put("rollouts", rollout("payment", stepz=[]))
    subject = subject_of(cache.rollouts["shop", "payment"])
    assert subject.spec is None
    assert "stepz" in subject.spec_error


def test_what_is_forgotten_is_not_seen(cache):
    cache.drop("services", "shop", "payment")
    cache.drop("replicasets", "shop", "payment-1")
    seen = look(cache)
    assert (seen.service, seen.running) == (None, {})


def test_neighbours_are_looked_at_where_some_are_waited_for(cache):
    body = rollout("frontend", workloadRef={"name": "frontend"})
    cache.put("rollouts", body)
    assert look(cache, "frontend").neighbours == {}
    cache.put("rollouts", {**body, "spec": {**body["spec"], "dependsOn": ["payment"]}})
    assert look(cache, "frontend").neighbours == {"payment": Neighbour("Initializing", pending=True)}
    status = {"phase": "Healthy", "stable": {"revision": revision(TEMPLATE)}}
    cache.put("rollouts", {**rollout("payment", dependsOn=["ledger"]), "status": status})
    assert look(cache, "frontend").neighbours == {"payment": Neighbour("Healthy", depends_on=("ledger",))}
    cache.put("rollouts", {**rollout("payment"), "status": {"phase": 7}})
    assert look(cache, "frontend").neighbours == {"payment": Neighbour("unreadable")}
