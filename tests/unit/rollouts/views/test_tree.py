"""The objects of a Rollout as a tree."""

from __future__ import annotations

import itertools

import pytest

from rollouts.views.looks import Tone
from rollouts.views.tree import tree_of

ROLLOUT = {"metadata": {"name": "payment", "uid": "u-rollout"}, "spec": {"workloadRef": {"name": "payment"}}}
NOW = 1_767_225_600.0
BORN = "2025-12-31T23:00:00Z"
UIDS = itertools.count()


def obj(name, owner=None, labels=None, **parts):
    metadata = {"name": name, "uid": f"u{next(UIDS)}", "creationTimestamp": BORN, "labels": labels or {}}
    if owner:
        metadata["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "name": owner["metadata"]["name"]}]
    return {"metadata": metadata, **parts}


def deployment(name, image, *, replicas=2, ready=2, owner=None, role=None, paused=False, failed=False):
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}] if failed else []
    return obj(
        name,
        owner,
        {"coalmine.dev/role": role} if role else {},
        spec={"replicas": replicas, "paused": paused, "template": template(image)},
        status={"readyReplicas": ready, "conditions": conditions},
    )


def template(image):
    return {"spec": {"containers": [{"name": "app", "image": image}]}}


def replica_set(name, owner, image, number, *, replicas=2):
    found = obj(
        name, owner, spec={"replicas": replicas, "template": template(image)}, status={"readyReplicas": replicas}
    )
    found["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(number)}
    return found


def pod(name, owner, **status):
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"name": "app", "ready": True}]}
    return obj(name, owner, spec={}, status={"phase": "Running", **ready, **status})


def test_stable_comes_first_with_its_live_replica_sets_and_their_pods():
    stable = deployment("payment", "shop/payment:v2", paused=True)
    canary = deployment("payment-canary", "shop/payment:v2", ready=1, owner=ROLLOUT, role="canary")
    other = deployment("cart", "shop/cart:v1")
    new, old = (
        replica_set("payment-5", stable, "shop/payment:v1", 5),
        replica_set("payment-4", stable, "x:0", 4, replicas=0),
    )
    of_canary = replica_set("payment-canary-1", canary, "shop/payment:v2", 1)
    pods = [
        pod("payment-5-b", new),
        pod("payment-5-a", new),
        pod("cart-1-a", other),
        pod("payment-canary-1-a", of_canary),
    ]
    one, two = tree_of(ROLLOUT, [canary, other, stable], [old, new, of_canary], pods, NOW)
    assert (one.name, one.role, one.words, one.age) == ("payment", "stable", "2/2 ready, change held", "60m")
    (kept,) = one.children
    assert (kept.name, kept.words, kept.images) == ("payment-5", "2/2 ready, revision 5", "v1")
    assert [(p.name, p.words, p.tone) for p in kept.children] == [
        ("payment-5-a", "Running 1/1", Tone.GOOD),
        ("payment-5-b", "Running 1/1", Tone.GOOD),
    ]
    assert (two.name, two.role, two.words, two.tone) == ("payment-canary", "canary", "1/2 ready", Tone.BUSY)


def test_a_deployment_marked_as_failed_says_so():
    (node,) = tree_of(ROLLOUT, [deployment("payment", "x:1", failed=True)], [], [], NOW)
    assert (node.tone, node.symbol, node.words) == (Tone.BAD, "✖", "2/2 ready, marked as failed")


@pytest.mark.parametrize(
    ("status", "words", "tone"),
    [
        ({}, "Running 1/1", Tone.GOOD),
        ({"conditions": []}, "not ready 1/1", Tone.BUSY),
        ({"phase": "Pending", "containerStatuses": []}, "Pending", Tone.BUSY),
        ({"phase": "Failed"}, "Failed 1/1", Tone.BAD),
        ({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}, "Unschedulable 1/1", Tone.BAD),
        ({"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff 0/1", Tone.BAD),
        ({"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}}], "phase": "Pending"}, "Pending 0/1", Tone.BUSY),
        ({"containerStatuses": [{"name": "app", "restartCount": 2, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}, "OOMKilled 0/1, 2 restarts", Tone.BAD),
        ({"containerStatuses": [{"name": "app", "ready": True, "restartCount": 1}]}, "Running 1/1, 1 restart", Tone.GOOD),
    ],
)  # fmt: skip
def test_a_pod_says_what_is_wrong_with_it(status, words, tone):
    stable = deployment("payment", "x:1")
    mine = replica_set("payment-1", stable, "x:1", 1)
    (node,) = tree_of(ROLLOUT, [stable], [mine], [pod("p", mine, **status)], NOW)
    (seen,) = node.children[0].children
    assert (seen.words, seen.tone) == (words, tone)


def test_a_native_sidecar_counts_as_a_container_and_an_init_container_does_not():
    stable = deployment("payment", "x:1")
    mine = replica_set("payment-1", stable, "x:1", 1)
    one = pod("p", mine, initContainerStatuses=[{"name": "envoy", "ready": True}, {"name": "iptables"}])
    one["spec"] = {"initContainers": [{"name": "envoy", "restartPolicy": "Always"}, {"name": "iptables"}]}
    gone = pod("q", mine)
    gone["metadata"]["deletionTimestamp"] = BORN
    (node,) = tree_of(ROLLOUT, [stable], [mine], [one, gone], NOW)
    assert [p.words for p in node.children[0].children] == ["Running 2/2", "Terminating 1/1"]


def test_an_empty_replica_set_with_pods_left_is_shown():
    stable = deployment("payment", "x:1")
    mine = replica_set("payment-1", stable, "x:1", 1, replicas=0)
    (node,) = tree_of(ROLLOUT, [stable], [mine], [pod("p", mine)], NOW)
    assert [r.words for r in node.children] == ["0/0 ready, revision 1"]
