from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration


def test_objects_are_kept_and_deployments_get_replica_sets(kubectl, namespace):
    kubectl("create", "deployment", "web", "--image=none", "-n", namespace)
    kubectl("wait", "--for=create", "replicaset", "-l", "app=web", "-n", namespace, "--timeout=30s")
    sets = json.loads(kubectl("get", "replicasets", "-n", namespace, "-o", "json"))["items"]
    assert [s["metadata"]["ownerReferences"][0]["name"] for s in sets] == ["web"]
