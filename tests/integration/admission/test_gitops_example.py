"""The example repository and the kustomize component, with the real kustomize and API server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "gitops"
pytestmark = pytest.mark.integration


@pytest.mark.parametrize("overlay", sorted((EXAMPLE / "apps" / "payment" / "overlays").iterdir(), key=str))
def test_every_overlay_of_the_example_is_taken_by_the_api_server(kubectl, namespace, overlay):
    text = kubectl("kustomize", str(overlay)).replace(f"namespace: {overlay.name}", f"namespace: {namespace}")
    said = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    assert said.count("serverside-applied (server dry run)") == 3


def test_the_example_holds_the_component_and_points_at_its_overlay():
    for name in ("kustomization.yaml", "names.yaml"):
        assert (EXAMPLE / "apps/coalmine" / name).read_text() == (ROOT / "deploy/kustomize" / name).read_text()
    (argo,) = yaml.safe_load_all((EXAMPLE / "clusters/argocd/payment.yaml").read_text())
    _, flux = yaml.safe_load_all((EXAMPLE / "clusters/flux/payment.yaml").read_text())
    assert (EXAMPLE / argo["spec"]["source"]["path"] / "kustomization.yaml").is_file()
    assert (EXAMPLE / flux["spec"]["path"] / "kustomization.yaml").is_file()
    for flow in (flux, yaml.safe_load((ROOT / "deploy/flux/health.yaml").read_text())):
        assert [c["kind"] for c in flow["spec"]["healthChecks"]] == ["Rollout"]
        assert flow["spec"]["timeout"] == "1h"


def test_names_in_a_rollout_follow_prefixes_and_hashes(kubectl, tmp_path):
    secret = {"name": "secret", "key": "k"}
    prometheus = {
        "address": "http://prometheus",
        "preset": "Http",
        "bearerToken": secret,
        "basicAuth": {"username": secret, "password": secret},
        "tls": {"ca": secret, "certificate": secret, "privateKey": secret},
        "headers": [{"key": "X-Token", "secretKeyRef": secret}],
    }
    spec = {
        "workloadRef": {"name": "pay"},
        "service": "pay-http",
        "dependsOn": ["base"],
        "gitWriteBack": {"url": "https://git.example/x.git", "secretRef": {"name": "secret"}},
        "analysis": {"templates": [{"templateName": "good"}], "source": {"prometheus": prometheus}},
    }
    rollout = {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "pay"}, "spec": spec}
    others = [
        {**rollout, "metadata": {"name": "base"}, "spec": {"workloadRef": {"name": "base"}}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "pay"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "pay-http"}},
        {"apiVersion": "coalmine.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "good"}},
    ]
    component, app = tmp_path / "coalmine", tmp_path / "app"
    for folder in (component, app):
        folder.mkdir()
    for file in (ROOT / "deploy" / "kustomize").iterdir():
        (component / file.name).write_text(file.read_text())
    (app / "all.yaml").write_text(yaml.safe_dump_all([rollout, *others]))
    generator = [{"name": "secret", "literals": ["k=v"]}]
    kustomization = {
        "resources": ["all.yaml"],
        "components": ["../coalmine"],
        "namePrefix": "dev-",
        "secretGenerator": generator,
    }
    (app / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    made = list(yaml.safe_load_all(kubectl("kustomize", str(app))))
    named = {o["kind"]: o["metadata"]["name"] for o in made}
    found = next(o["spec"] for o in made if o["kind"] == "Rollout" and o["metadata"]["name"] == "dev-pay")
    assert named["Secret"].startswith("dev-secret-")
    assert (found["workloadRef"]["name"], found["service"], found["dependsOn"]) == (
        "dev-pay",
        "dev-pay-http",
        ["dev-base"],
    )
    assert found["analysis"]["templates"] == [{"templateName": "dev-good"}]
    assert found["gitWriteBack"]["secretRef"]["name"] == named["Secret"]
    assert yaml.safe_dump(found).count(named["Secret"]) == 8
    assert "name: secret\n" not in yaml.safe_dump(found)
