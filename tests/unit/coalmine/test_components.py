from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from coalmine.local.binaries import build, toolchain
from coalmine.local.binaries.versions import CONTROL_PLANE, ETCD_VERSION, KUBECTL, KUBERNETES_VERSION
from coalmine.local.components import Programs, commands
from coalmine.local.environment import component_environment, envoy_program
from coalmine.local.layout import APISERVER, CONTROLLER, KCM, MESH, NODE, START_ORDER, Layout
from coalmine.local.manifests import companions, custom_resources
from coalmine.local.settings import Ports, Settings

GO_MOD = (resources.files("coalmine.local") / "kubernetes" / "go.mod").read_text()
PORTS = Ports(*range(20000, 20011))


@pytest.fixture
def lines():
    programs = Programs(Path("/b/etcd"), Path("/b/api"), Path("/b/kcm"), Path("/b/envoy"), ("/b/python", "-P", "-m"))
    return commands(Layout(Path("/state")), Settings("x", "127.4.0.0/16", PORTS), programs)


def test_the_versions_are_those_that_go_mod_pins():
    assert f"k8s.io/kubernetes v{KUBERNETES_VERSION}" in GO_MOD
    assert f"go.etcd.io/etcd/server/v3 v{ETCD_VERSION}" in GO_MOD
    assert tuple(map(int, re.search(r"^go (\d+)\.(\d+)", GO_MOD, re.MULTILINE).groups())) == toolchain.GO_VERSION


def test_go_mod_has_a_tool_for_every_program():
    tools = set(re.search(r"tool \((.*?)\)", GO_MOD, re.DOTALL)[1].split())
    assert {build.PACKAGES[name] for name in (*CONTROL_PLANE, KUBECTL)} == tools


def test_there_is_a_command_for_every_component(lines):
    assert set(lines) == set(START_ORDER)


def test_everything_listens_on_loopback_only(lines):
    text = " ".join(argument for line in lines.values() for argument in line)
    addresses = set(re.findall(r"(?:\d+\.){3}\d+(?=:\d)", text))
    assert addresses == {"127.0.0.1"}
    assert "--bind-address=127.0.0.1" in lines[APISERVER]
    assert "--bind-address=127.0.0.1" in lines[KCM]


def test_the_controllers_that_would_fight_over_loopback_endpoints_are_off(lines):
    (flag,) = [argument for argument in lines[KCM] if argument.startswith("--controllers=")]
    assert {"*", "-endpoints-controller", "-endpointslice-controller", "-endpointslice-mirroring-controller"} <= set(
        flag.removeprefix("--controllers=").split(",")
    )


def test_our_own_components_run_by_the_same_interpreter(lines):
    assert lines[NODE][:6] == ("/b/python", "-P", "-m", "coalmine", "local", "node")
    assert lines[MESH][:6] == ("/b/python", "-P", "-m", "coalmine", "mesh", "serve")
    assert lines[CONTROLLER][:6] == ("/b/python", "-P", "-m", "coalmine", "controller", "run")
    assert "--pod-cidr=127.4.0.0/16" in lines[NODE]
    assert "--envoy=/b/envoy" in lines[MESH]
    assert f"--mesh-url=http://127.0.0.1:{PORTS.mesh_http}" in lines[CONTROLLER]


def test_components_are_not_led_to_another_cluster_or_through_a_proxy():
    env = component_environment({"KUBECONFIG": "/other", "HTTPS_PROXY": "http://proxy", "no_proxy": "corp"})
    assert "KUBECONFIG" not in env
    assert env["no_proxy"] == "corp,localhost,127.0.0.1,127.0.0.0/8"


def test_the_wheel_has_an_envoy():
    assert envoy_program().stat().st_mode & 0o111


def test_a_new_cluster_gets_custom_resources_and_roles():
    assert {path.name.partition("_")[0] for path in custom_resources()} >= {"coalmine.dev", "mesh.coalmine.dev"}
    assert {path.name for path in companions()} >= {"rbac.yaml", "unknown-fields.yaml"}
