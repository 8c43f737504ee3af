"""Pods that should have a sidecar and have none."""

from __future__ import annotations

import pytest

from mesh.inject.missing import Uninjected, find_uninjected
from mesh.wiring.webhooks import istio_injects

NAMESPACES = [
    {"metadata": {"name": "ours", "labels": {"coalmine.dev/inject": "enabled"}}},
    {"metadata": {"name": "istios", "labels": {"istio-injection": "enabled"}}},
    {"metadata": {"name": "off"}},
]
SETS = [
    {
        "metadata": {
            "namespace": "ours",
            "name": "payment-abc",
            "ownerReferences": [{"kind": "Deployment", "name": "payment", "controller": True}],
        }
    }
]


def pod(namespace: str, name: str = "p", *, owner: tuple[str, str] | None = None, **spec) -> dict:
    metadata: dict = {"namespace": namespace, "name": name}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "app"}], **spec},
        "status": {"phase": "Running"},
    }


def test_a_pod_older_than_the_label_is_named_with_what_to_restart():
    found = find_uninjected(NAMESPACES, [pod("ours", "payment-abc-1", owner=("ReplicaSet", "payment-abc"))], SETS)

    assert found == [Uninjected("ours", "payment-abc-1", "Deployment/payment", True, "older than the label")]


@pytest.mark.parametrize(
    "present",
    [
        pod("off"),
        pod("ours", initContainers=[{"name": "coalmine-proxy"}]),
        {**pod("ours"), "status": {"phase": "Succeeded"}},
        {**pod("ours"), "metadata": {"namespace": "ours", "name": "p", "labels": {"coalmine.dev/inject": "disabled"}}},
        {
            **pod("ours"),
            "metadata": {"namespace": "ours", "name": "p", "annotations": {"sidecar.istio.io/inject": "false"}},
        },
        {**pod("ours"), "metadata": {"namespace": "ours", "name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_who_has_one_wants_none_or_ends_is_not_found(present):
    assert find_uninjected(NAMESPACES, [present]) == []


def test_a_pods_own_label_is_enough():
    wanting = pod("off")
    wanting["metadata"]["labels"] = {"coalmine.dev/inject": "enabled"}

    assert [p.pod for p in find_uninjected(NAMESPACES, [wanting])] == ["p"]


def test_jobs_cannot_be_restarted_and_host_networks_have_no_sidecar():
    job, host = (
        pod("ours", "a", owner=("Job", "nightly")),
        pod("ours", "b", owner=("DaemonSet", "agent"), hostNetwork=True),
    )

    found = find_uninjected(NAMESPACES, [job, host])

    assert [(p.owner, p.restart) for p in found] == [("Job/nightly", False), ("DaemonSet/agent", False)]
    assert "hostNetwork" in found[1].reason


def test_istios_label_means_istio_where_its_injector_is():
    assert find_uninjected(NAMESPACES, [pod("istios")])
    assert not find_uninjected(NAMESPACES, [pod("istios")], istio_labels=False)
    assert istio_injects([{"metadata": {"name": "istio-sidecar-injector-1-27"}}])
    assert not istio_injects([{"metadata": {"name": "coalmine-inject"}}])
