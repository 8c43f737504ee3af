"""Which pods get a sidecar, and how they look with it (golden files)."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
import yaml

from mesh.api.names import PROXY_CONTAINER
from mesh.inject.pods import InjectConfig, RefusedError, inject

GOLDEN = Path(__file__).parents[3] / "golden" / "inject"
CONFIG = InjectConfig(xds_address="127.0.0.1:15010", envoy="/usr/bin/envoy")
CAPTURED = InjectConfig(xds_address="coalmine-mesh.coalmine-system.svc:15010", capture="iptables")


def pod(*containers: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    apps = list(containers) or [{"name": "app", "image": "app:1"}]
    spec.setdefault("terminationGracePeriodSeconds", 30)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "app-", **(metadata or {})},
        "spec": {"containers": apps, **spec},
    }


def injected(before: dict[str, Any], config: InjectConfig = CONFIG) -> dict[str, Any]:
    original = copy.deepcopy(before)
    patch = inject(before, config).patch
    assert before == original, "inject must not change what it was given"
    after = jsonpatch.apply_patch(before, json.loads(json.dumps(patch)))
    assert isinstance(after, dict)
    return after


CASES = {
    "plain": pod(),
    "rich": pod(
        {
            "name": "app",
            "image": "app:1",
            "ports": [{"containerPort": 8080}],
            "env": [{"name": "POD_IP", "value": "mine"}, {"name": "no_proxy", "value": "db"}],
            "lifecycle": {"postStart": {"exec": {"command": ["true"]}}},
        },
        {"name": "waits-itself", "image": "b:1", "lifecycle": {"preStop": {"exec": {"command": ["sleep", "9"]}}}},
        {"name": "own-proxy", "image": "c:1", "env": [{"name": "HTTP_PROXY", "value": "http://corp:3128"}]},
        metadata={"annotations": {"team": "shop"}, "labels": {"coalmine.dev/inject": "enabled"}},
        initContainers=[{"name": "migrate", "image": "m:1"}],
        terminationGracePeriodSeconds=60,
    ),
}


CAPTURED_CASE = pod(
    {
        "name": "app",
        "image": "app:1",
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 9090}],
        "startupProbe": {"tcpSocket": {"port": "http"}, "failureThreshold": 30},
        "livenessProbe": {"grpc": {"port": 9090, "service": "live"}},
        "readinessProbe": {"httpGet": {"path": "/ready?full=1", "port": "http"}, "periodSeconds": 2},
        "lifecycle": {"postStart": {"httpGet": {"path": "/warm", "port": 8443, "scheme": "HTTPS"}}},
    },
    {"name": "helper", "image": "h:1", "livenessProbe": {"exec": {"command": ["true"]}}},
    metadata={
        "annotations": {
            "traffic.sidecar.istio.io/excludeOutboundPorts": "5432, 6379",
            "traffic.sidecar.istio.io/excludeInboundPorts": "9100",
            "traffic.sidecar.istio.io/includeOutboundIPRanges": "10.96.0.0/16,10.244.0.0/16",
        }
    },
    initContainers=[{"name": "migrate", "image": "m:1"}],
)


@pytest.mark.parametrize("name", [*CASES, "captured"])
def test_golden(name):
    path = GOLDEN / f"{name}.yaml"
    after = injected(CAPTURED_CASE, CAPTURED) if name == "captured" else injected(CASES[name])
    for container in after["spec"]["initContainers"]:
        if container["name"] == PROXY_CONTAINER:  # as an object, so that a change can be read
            container["args"][1] = json.loads(container["args"][1])
    text = yaml.safe_dump(after, sort_keys=False)
    if os.environ.get("COALMINE_REGENERATE"):
        path.write_text(text)

    assert text == path.read_text()


def test_an_injected_pod_stays_as_it_is():
    assert inject(injected(CASES["rich"]), CONFIG).patch == ()


@pytest.mark.parametrize("kind", ["labels", "annotations"])
@pytest.mark.parametrize(("key", "value"), [("coalmine.dev/inject", "disabled"), ("sidecar.istio.io/inject", "false")])
def test_a_pod_can_opt_out(kind, key, value):
    assert inject(pod(metadata={kind: {key: value}}), CONFIG).patch == ()


def test_opting_out_is_for_pods_that_could_not_be_injected_too():
    assert inject(pod(metadata={"labels": {"coalmine.dev/inject": "disabled"}}, hostNetwork=True), CONFIG).patch == ()


def test_the_sidecar_comes_first_and_outlives_the_app():
    after = injected(pod(initContainers=[{"name": "migrate", "image": "m:1"}]))

    names = [container["name"] for container in after["spec"]["initContainers"]]
    assert names == [PROXY_CONTAINER, "migrate"]
    assert after["spec"]["initContainers"][0]["restartPolicy"] == "Always"


def test_its_own_time_to_end_is_left_to_the_app():
    after = injected(pod(terminationGracePeriodSeconds=10), InjectConfig(xds_address="a:1", drain_seconds=5))

    assert after["spec"]["terminationGracePeriodSeconds"] == 15
    assert after["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


@pytest.mark.parametrize(("grace", "drain"), [(0, 3), (30, 0)])
def test_no_wait_is_added_where_none_is_wanted(grace, drain):
    before = pod(terminationGracePeriodSeconds=grace)
    after = injected(before, InjectConfig(xds_address="a:1", drain_seconds=drain))

    assert "lifecycle" not in after["spec"]["containers"][0]
    assert after["spec"]["terminationGracePeriodSeconds"] == grace


def test_a_proxy_of_the_users_own_is_kept_and_warned_of():
    injection = inject(CASES["rich"], CONFIG)

    assert [w for w in injection.warnings if "own-proxy" in w and "HTTP_PROXY" in w]
    assert len(injection.warnings) == 1


def test_variables_come_before_those_that_refer_to_them():
    after = injected(pod({"name": "app", "env": [{"name": "URL", "value": "$(http_proxy)/x"}], "image": "a"}))

    names = [variable["name"] for variable in after["spec"]["containers"][0]["env"]]
    assert names.index("COALMINE_POD_IP") < names.index("http_proxy") < names.index("URL")


@pytest.mark.parametrize(
    ("before", "config", "says"),
    [
        pytest.param(pod(hostNetwork=True), CONFIG, "hostNetwork", id="host-network"),
        pytest.param(
            pod(metadata={"annotations": {"traffic.sidecar.istio.io/excludeOutboundPorts": "http"}}),
            CAPTURED,
            "excludeOutboundPorts.*'http' is not a port number",
            id="no-port",
        ),
        pytest.param(
            pod(metadata={"annotations": {"traffic.sidecar.istio.io/includeOutboundIPRanges": "10.0.0.0/99"}}),
            CAPTURED,
            "includeOutboundIPRanges.*is not an address range",
            id="no-range",
        ),
        pytest.param(pod(securityContext={"runAsUser": 1337}), CAPTURED, "runAsUser is 1337", id="sidecars-user"),
        pytest.param(
            pod(metadata={"labels": {"sidecar.istio.io/inject": "flase"}}), CONFIG, "true or false", id="istio-misspelt"
        ),
        pytest.param(
            pod(metadata={"labels": {"coalmine.dev/inject": "yes"}}), CONFIG, "enabled or disabled", id="misspelt"
        ),
        pytest.param(
            pod(metadata={"annotations": {"coalmine.dev/inject": ""}}), CONFIG, "annotations", id="empty-annotation"
        ),
        pytest.param(pod({"name": PROXY_CONTAINER, "image": "x"}), CONFIG, "name of the mesh's", id="name-taken"),
        *(
            pytest.param(
                pod({"name": "app", "image": "x", "ports": [{"containerPort": port}]}), CONFIG, str(port), id=str(port)
            )
            for port in (15000, 15001, 15006, 15021, 15100)
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(before, config, says):
    with pytest.raises(RefusedError, match=says):
        inject(before, config)


@pytest.mark.parametrize(
    "ports", [[{"containerPort": 15006, "protocol": "UDP"}], [{"containerPort": 15150}], [{"containerPort": 15020}]]
)
def test_ports_that_do_not_clash_are_fine(ports):
    assert inject(pod({"name": "app", "image": "x", "ports": ports}), CONFIG).patch


@pytest.mark.parametrize(
    "before",
    [
        {"metadata": {}, "spec": {"containers": [{"name": "a"}]}},
        {"metadata": {"annotations": None, "labels": None}, "spec": {"containers": [{"name": "a", "env": None}]}},
        {"spec": {"containers": [{"name": "a", "ports": None, "lifecycle": None}], "initContainers": None}},
    ],
)
def test_what_is_absent_or_null_is_no_obstacle(before):
    after = injected({"metadata": {}, **before})

    assert after["spec"]["initContainers"][0]["name"] == PROXY_CONTAINER
