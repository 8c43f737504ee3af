from __future__ import annotations

from coalmine.local.node.leftout import left_out


def test_a_plain_pod_has_nothing_left_out():
    container = {"name": "web", "ports": [{"containerPort": 80}], "resources": {"requests": {"cpu": "1"}}}
    # Admission gives every pod an empty securityContext.
    assert left_out({"spec": {"securityContext": {}, "containers": [container]}}) == []


def test_what_is_not_applied_is_named():
    web = {
        "name": "web",
        "resources": {"limits": {"memory": "1Gi"}},
        "securityContext": {"runAsUser": 1},
        "ports": [{"containerPort": 80, "hostPort": 80}],
    }
    spec = {"hostAliases": [{"ip": "1.2.3.4"}], "containers": [web], "initContainers": [{"name": "setup", "tty": True}]}
    assert left_out({"spec": spec}) == [
        "spec.hostAliases",
        "initContainers[setup].tty",
        "containers[web].securityContext",
        "containers[web].resources.limits",
        "containers[web].ports.hostPort",
    ]
