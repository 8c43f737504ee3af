"""Who is behind a Service, told by Pods or by EndpointSlices: one contract for both."""

from __future__ import annotations

import pytest

from mesh.resolve.endpoints import PodIndex, from_pods, from_slices
from mesh.resolve.objects import read_pod, read_service

SERVICE = read_service(
    {
        "metadata": {"name": "payment", "namespace": "shop"},
        "spec": {"selector": {"app": "payment"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
    }
)


def pod(name: str, address: str, *, ready=True, ending=False, meshed=True, phase="Running", ports=(8080,), **labels):
    named = [{"name": "web" if i == len(ports) - 1 else f"p{i}", "containerPort": n} for i, n in enumerate(ports)]
    meta = {"name": name, "namespace": "shop", "labels": {"app": "payment", **labels}}
    if ending:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": meta,
        "spec": {
            "nodeName": "n1",
            "initContainers": [{"name": "coalmine-proxy"}] if meshed else [],
            "containers": [{"name": "app", "ports": named}],
        },
        "status": {
            "phase": phase,
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def by_pods(*pods):
    return from_pods(SERVICE, PodIndex([read_pod(p) for p in pods]))[80]


def by_slices(*pods):
    """Say the same as Kubernetes' own endpointslice controller would."""
    entries = []
    for p in pods:
        serving = p["status"]["conditions"][0]["status"] == "True"
        ending = "deletionTimestamp" in p["metadata"]
        if p["status"]["podIP"] and p["status"]["phase"] not in {"Succeeded", "Failed"}:
            entries.append(
                {
                    "addresses": [p["status"]["podIP"]],
                    "conditions": {"ready": serving and not ending, "serving": serving, "terminating": ending},
                    "targetRef": {"kind": "Pod", "name": p["metadata"]["name"]},
                    "nodeName": "n1",
                }
            )
    number = pods[0]["spec"]["containers"][0]["ports"][-1]["containerPort"] if pods else None
    slices = [{"ports": [{"name": "http", "port": number}], "endpoints": entries}]
    workloads = {w.key: w for w in map(read_pod, pods)}
    return from_slices(SERVICE, slices, workloads)[80]


@pytest.fixture(params=[by_pods, by_slices])
def endpoints(request):
    return request.param


def brief(found):
    return [(e.pod, e.address, e.port, "draining" if e.draining else "ready") for e in found]


def test_a_ready_pod_is_reached_through_its_sidecar(endpoints):
    assert brief(endpoints(pod("a", "10.0.0.1"))) == [("a", "10.0.0.1", 15006, "ready")]


def test_a_pods_second_port_has_the_next_inbound_port(endpoints):
    assert brief(endpoints(pod("a", "10.0.0.1", ports=(9000, 8080)))) == [("a", "10.0.0.1", 15100, "ready")]


def test_a_pod_without_a_sidecar_is_reached_directly(endpoints):
    assert brief(endpoints(pod("a", "10.0.0.1", meshed=False))) == [("a", "10.0.0.1", 8080, "ready")]


def test_a_pod_that_is_not_ready_is_absent(endpoints):
    assert brief(endpoints(pod("a", "10.0.0.1"), pod("b", "10.0.0.2", ready=False))) == [
        ("a", "10.0.0.1", 15006, "ready")
    ]


def test_a_pod_that_ends_is_draining_ready_or_not(endpoints):
    found = endpoints(
        pod("a", "10.0.0.1"), pod("b", "10.0.0.2", ending=True), pod("c", "10.0.0.3", ending=True, ready=False)
    )
    assert [(e.pod, e.draining) for e in found] == [("a", False), ("b", True), ("c", True)]


def test_when_no_pod_is_ready_those_that_end_and_still_serve_take_the_requests(endpoints):
    found = endpoints(pod("b", "10.0.0.2", ending=True), pod("c", "10.0.0.3", ending=True, ready=False))
    assert [(e.pod, e.draining) for e in found] == [("b", False), ("c", True)]


def test_a_pod_that_has_ended_is_gone(endpoints):
    assert brief(endpoints(pod("a", "10.0.0.1", phase="Succeeded"))) == []


def test_a_pod_without_an_address_is_not_there_yet(endpoints):
    assert brief(endpoints(pod("a", "", ready=False))) == []


def test_the_order_does_not_depend_on_who_came_first(endpoints):
    a, b = pod("a", "10.0.0.1"), pod("b", "10.0.0.2")
    assert endpoints(a, b) == endpoints(b, a)


def test_version_node_and_labels_are_told(endpoints):
    (found,) = endpoints(pod("a", "10.0.0.1", version="v2"))
    assert (found.version, found.node, dict(found.labels)) == ("v2", "n1", {"app": "payment", "version": "v2"})


def test_pods_that_lack_a_label_are_not_chosen():
    other = pod("x", "10.0.0.9")
    other["metadata"]["labels"] = {"app": "other"}
    assert brief(by_pods(other)) == []


def test_a_service_without_a_selector_chooses_no_pod():
    service = read_service({"metadata": {"name": "s", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}})
    assert from_pods(service, PodIndex([read_pod(pod("a", "10.0.0.1"))])) == {80: ()}


def test_an_address_without_a_pod_is_used_as_it_is():
    slices = [{"ports": [{"name": "http", "port": 5432}], "endpoints": [{"addresses": ["192.0.2.1"]}]}]
    assert brief(from_slices(SERVICE, slices, {})[80]) == [("", "192.0.2.1", 5432, "ready")]
