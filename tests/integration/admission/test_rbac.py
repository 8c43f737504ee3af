"""The controller's user may do what it must, and not more."""

from __future__ import annotations

import pytest

from coalmine.local.errors import KubectlError

pytestmark = pytest.mark.integration
USER = "system:coalmine:controller"
HOLD = "mutatingadmissionpolicies.admissionregistration.k8s.io/hold.coalmine.dev"
GUARD = "validatingadmissionpolicies.admissionregistration.k8s.io/approvals.coalmine.dev"
ANOTHER = "mutatingadmissionpolicies.admissionregistration.k8s.io/another"


def may(kubectl, verb, resource, *more):
    try:
        return kubectl("auth", "can-i", verb, resource, "--as", USER, "-A", *more).strip() == "yes"
    except KubectlError:
        return False


@pytest.mark.parametrize(
    ("verb", "resource", "subresource"),
    [
        ("watch", "rollouts.coalmine.dev", ""),
        ("patch", "rollouts.coalmine.dev", "status"),
        ("create", "deployments.apps", ""),
        ("patch", "deployments.apps", "status"),
        ("list", "replicasets.apps", ""),
        ("list", "pods", ""),
        ("create", "pods", "eviction"),
        ("create", "services", ""),
        ("patch", "trafficsplits.mesh.coalmine.dev", ""),
        ("create", "jobs.batch", ""),
        ("delete", "jobs.batch", ""),
        ("list", "resourcequotas", ""),
        ("list", "poddisruptionbudgets.policy", ""),
        ("list", "horizontalpodautoscalers.autoscaling", ""),
        ("list", "virtualservices.networking.istio.io", ""),
        ("list", "destinationrules.networking.istio.io", ""),
        ("list", "peerauthentications.security.istio.io", ""),
        ("get", "configmaps", ""),
        ("list", "clusteranalysistemplates.coalmine.dev", ""),
        ("create", "events", ""),
        ("create", "events.events.k8s.io", ""),
        ("update", "leases.coordination.k8s.io", ""),
        ("patch", HOLD, ""),
        ("create", HOLD, ""),
        ("patch", GUARD, ""),
        ("decide", "rollouts.coalmine.dev", ""),
    ],
)
def test_it_may(kubectl, verb, resource, subresource):
    assert may(kubectl, verb, resource, f"--subresource={subresource}")


@pytest.mark.parametrize(
    ("verb", "resource", "subresource"),
    [
        ("create", "rollouts.coalmine.dev", ""),
        ("approve", "rollouts.coalmine.dev", ""),
        ("delete", "rollouts.coalmine.dev", ""),
        ("patch", "trafficsplits.mesh.coalmine.dev", "status"),
        ("delete", "pods", ""),
        ("list", "jobs.batch", ""),
        ("create", "pods", "exec"),
        ("get", "secrets", ""),
        ("list", "configmaps", ""),
        ("patch", "replicasets.apps", ""),
        ("patch", "resourcequotas", ""),
        ("create", "virtualservices.networking.istio.io", ""),
        ("patch", "peerauthentications.security.istio.io", ""),
        ("create", "namespaces", ""),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io", ""),
        ("patch", "clusterroles.rbac.authorization.k8s.io", ""),
        ("patch", ANOTHER, ""),
        ("create", ANOTHER, ""),
    ],
)
def test_it_may_not(kubectl, verb, resource, subresource):
    assert not may(kubectl, verb, resource, f"--subresource={subresource}")


def test_whoever_edits_a_namespace_edits_its_rollouts_and_whoever_views_it_views_them(kubectl, namespace):
    for role in ("edit", "view"):
        kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user=a-{role}er", "-n", namespace)
    kubectl("auth", "can-i", "create", "rollouts.coalmine.dev", "--as=a-editer", "-n", namespace)
    kubectl("auth", "can-i", "list", "rollouts.coalmine.dev", "--as=a-viewer", "-n", namespace)
    with pytest.raises(KubectlError):
        kubectl("auth", "can-i", "create", "rollouts.coalmine.dev", "--as=a-viewer", "-n", namespace)
