"""What is said of a Service."""

from __future__ import annotations

from mesh.inspect.facts import service_facts
from mesh.lint.resources import read_resources


def service(name):
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    spec = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def test_all_that_a_split_says_is_told():
    spec = {
        "service": "payment",
        "backends": [{"service": "payment", "weight": 100}, {"service": "payment-canary", "weight": 0}],
        "routes": [
            {
                "match": [{"headers": {"x-tester": {"exact": "yes"}}}, {"cookies": {"tester": {}}}],
                "service": "payment-canary",
            }
        ],
        "mirror": {"service": "payment-canary", "percent": 5, "match": [{"headers": {"x-lang": {"prefix": "en"}}}]},
        "sessionAffinity": {},
    }
    meta = {"name": "payment", "namespace": "shop", "uid": "u", "generation": 2}
    split = {"apiVersion": "mesh.coalmine.dev/v1alpha1", "kind": "TrafficSplit", "metadata": meta, "spec": spec}
    resources = read_resources([service("payment"), service("payment-canary"), split], complete=False)
    facts, _ = service_facts(resources, ("shop", "payment"), None)
    (said,) = [fact.lines for fact in facts if fact.label == "split"]
    assert said[:4] == (
        "TrafficSplit shop/payment: payment 100 %, payment-canary 0 %",
        "before the weights, 0: headers: {x-tester: {exact: 'yes'}} or cookies: {tester: {}} → payment-canary",
        "copies of 5 % of headers: {x-lang: {prefix: en}} → payment-canary",
        "callers stay on their side by cookie coalmine-affinity",
    )
