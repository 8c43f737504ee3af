"""What a controller for some namespaces may do is what the one for the whole cluster may, without what has no namespace.

``COALMINE_REGENERATE=1`` writes the file anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[3] / "deploy" / "controller"
ROLE = DEPLOY / "namespaced" / "role.yaml"
CLUSTER_SCOPED = {
    "clusteranalysistemplates",
    "customresourcedefinitions",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "namespaces",
    "subjectaccessreviews",
    "tokenreviews",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
}
ELSEWHERE = {"leases"}
"""In the controller's own namespace: cluster.yaml allows them there."""


def objects(path):
    return list(yaml.safe_load_all(path.read_text()))


def wanted():
    (cluster,) = [
        o
        for o in objects(DEPLOY / "rbac.yaml")
        if o["kind"] == "ClusterRole" and o["metadata"]["name"] == "coalmine-controller"
    ]
    for rule in cluster["rules"]:
        resources = [r for r in rule["resources"] if r not in CLUSTER_SCOPED | ELSEWHERE]
        if resources:
            yield {"apiGroups": rule["apiGroups"], "resources": resources, "verbs": rule["verbs"]}


def test_the_role_for_one_namespace_is_the_cluster_role_without_what_has_no_namespace():
    role, binding = objects(ROLE)
    if os.environ.get("COALMINE_REGENERATE"):
        head = ROLE.read_text().partition("apiVersion:")[0]
        text = yaml.safe_dump_all(
            [{**role, "rules": list(wanted())}, binding], sort_keys=False, default_flow_style=None, width=120
        )
        ROLE.write_text(head + text)
        role, binding = objects(ROLE)
    assert role["rules"] == list(wanted())
    assert (role["kind"], binding["kind"]) == ("Role", "RoleBinding")
    account = {"kind": "ServiceAccount", "name": "coalmine-controller", "namespace": "coalmine-system"}
    assert binding["subjects"] == [account]
    made = [o for o in objects(DEPLOY / "namespaced" / "cluster.yaml") if o["kind"] == "ServiceAccount"]
    assert [(o["metadata"]["name"], o["metadata"]["namespace"]) for o in made] == [
        ("coalmine-controller", "coalmine-system")
    ]


def test_nothing_in_the_role_can_reach_beyond_its_namespace():
    role, _ = objects(ROLE)
    named = {r for rule in role["rules"] for r in rule["resources"]}
    assert not named & (CLUSTER_SCOPED | {"secrets", "*", "roles", "rolebindings"})
    assert not {v for rule in role["rules"] for v in rule["verbs"]} & {"*", "escalate", "bind", "impersonate"}
