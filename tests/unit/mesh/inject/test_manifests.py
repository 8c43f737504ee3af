"""Injection of manifests, without an API server."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from mesh.api.names import INIT_CONTAINER, PROXY_CONTAINER
from mesh.cli import mesh
from mesh.inject.choice import RefusedError
from mesh.inject.manifests import inject_manifests
from mesh.inject.pods import InjectConfig

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = InjectConfig(xds_address="10.0.0.1:15010", capture="iptables")
POD = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}}


def workload(kind: str, **metadata) -> dict:
    template = copy.deepcopy(POD)
    spec = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "a", **metadata}, "spec": spec}


def names(pod: dict) -> list[str]:
    return [c["name"] for c in pod["spec"].get("initContainers", [])]


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet", "CronJob"])
def test_templates_of_all_workloads_get_a_sidecar(kind):
    before = workload(kind)
    original = copy.deepcopy(before)

    (after,), warnings = inject_manifests([before], CONFIG)

    spec = after["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else after["spec"]
    assert names(spec["template"]) == [INIT_CONTAINER, PROXY_CONTAINER]
    assert warnings == []
    assert before == original, "what comes in must not be changed"


def test_what_makes_no_pods_comes_out_as_it_went_in():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}

    assert inject_manifests([service, None, "text"], CONFIG) == ([service, None, "text"], [])


def test_a_list_and_a_second_run():
    made, _ = inject_manifests([{"kind": "List", "items": [{"kind": "Pod", **POD}]}], CONFIG)

    assert names(made[0]["items"][0]) == [INIT_CONTAINER, PROXY_CONTAINER]
    assert inject_manifests(made, CONFIG)[0] == made


def test_who_opts_out_stays_out():
    out = workload("Deployment")
    out["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"

    assert inject_manifests([out], CONFIG)[0] == [out]


def test_a_refusal_names_the_object():
    refused = workload("Deployment", namespace="shop")
    refused["spec"]["template"]["spec"]["hostNetwork"] = True

    with pytest.raises(RefusedError, match=r"Deployment shop/a: spec\.hostNetwork"):
        inject_manifests([refused], CONFIG)
    with pytest.raises(RefusedError, match=r"Job shop/a: spec\.template is missing"):
        inject_manifests([{"kind": "Job", "metadata": {"name": "a", "namespace": "shop"}, "spec": {}}], CONFIG)


def test_an_unknown_annotation_about_capture_is_warned_of():
    manifest = workload("Deployment")
    manifest["spec"]["template"]["metadata"]["annotations"] = {"traffic.sidecar.istio.io/kubevirtInterfaces": "eth1"}

    assert inject_manifests([manifest], CONFIG)[1] == [
        "Deployment a: metadata.annotations[traffic.sidecar.istio.io/kubevirtInterfaces] is not implemented: no effect"
    ]


def test_the_command_writes_what_the_webhook_would_make(tmp_path: Path):
    source = tmp_path / "app.yaml"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
    source.write_text(yaml.safe_dump_all([workload("Deployment"), service]))
    arguments = ["inject", "-f", str(source), "--xds-address", "10.0.0.1:15010", "--capture", "iptables"]

    done = CliRunner().invoke(mesh, arguments)

    assert done.exit_code == 0, done.output
    made = list(yaml.safe_load_all(done.stdout))
    assert made == inject_manifests([workload("Deployment"), service], CONFIG)[0]


def test_the_command_refuses_in_a_sentence(tmp_path: Path):
    source = tmp_path / "app.yaml"
    source.write_text("kind: Deployment\nmetadata: {name: a}\nspec: {}\n")

    done = CliRunner().invoke(mesh, ["inject", "-f", str(source), "--xds-address", "a:1"])

    assert done.exit_code == 1
    assert "Deployment a: spec.template is missing" in done.stderr
