"""Secrets of gateways: what is missing is known in a cluster only, and only to those who may read them."""

from __future__ import annotations

import pytest
import yaml

from mesh.ir.gateways import Credential
from mesh.lint.analyze import analyze
from mesh.lint.resources import read_resources

MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: edge, namespace: edge, labels: {istio: ingressgateway}, annotations: {coalmine.dev/status: gateway}}
spec: {containers: [{name: istio-proxy}]}
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: edge}
spec: {selector: {istio: ingressgateway}, ports: [{name: https, port: 443, targetPort: 8443}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: old, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [old.example.com]
    tls: {mode: SIMPLE, credentialName: cert}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: coalmine}
spec: {controllerName: mesh.coalmine.dev/controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: new, namespace: edge}
spec:
  gatewayClassName: coalmine
  addresses: [{type: Hostname, value: edge.edge.svc.cluster.local}]
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: new.example.com, tls: {certificateRefs: [{name: cert}]}}
"""
GOOD = {("edge", "cert"): Credential(b"chain", b"key")}
BAD = {("edge", "cert"): Credential(problem="tls.key holds no private key in PEM")}


@pytest.mark.parametrize(
    ("known", "named"), [({}, {"old", "new"}), (BAD, {"old", "new"}), (GOOD, set()), (None, set())]
)
def test_a_secret_that_is_missing_or_wrong_is_told_where_it_is_known(known, named):
    resources = read_resources(yaml.safe_load_all(MANIFESTS), complete=True, credentials=known)
    assert {f.ref.name for f in analyze(resources) if f.code == "CM0501"} == named
