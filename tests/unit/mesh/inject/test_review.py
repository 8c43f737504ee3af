"""AdmissionReview in, AdmissionReview out; and whom the API server asks us about."""

from __future__ import annotations

import base64
import json

import pytest

from mesh.inject.pods import InjectConfig
from mesh.inject.webhook import review, webhook_configuration

CONFIG = InjectConfig(xds_address="127.0.0.1:15010")
POD = {"metadata": {}, "spec": {"containers": [{"name": "app"}]}}


def asked(pod=POD, operation="CREATE", kind="Pod"):
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "operation": operation,
            "object": pod,
        },
    }


def test_a_pod_is_patched():
    answer = review(asked(), CONFIG)

    response = answer["response"]
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert (response["uid"], response["allowed"], response["patchType"]) == ("u-1", True, "JSONPatch")
    assert json.loads(base64.b64decode(response["patch"]))[0]["op"] == "add"
    assert "warnings" not in response


def test_a_pod_that_cannot_be_injected_is_denied_with_the_reason():
    answer = review(asked({"metadata": {}, "spec": {"hostNetwork": True, "containers": []}}), CONFIG)

    assert answer["response"]["allowed"] is False
    assert "hostNetwork" in answer["response"]["status"]["message"]
    assert "patch" not in answer["response"]


@pytest.mark.parametrize(("operation", "kind"), [("UPDATE", "Pod"), ("CREATE", "Deployment"), ("DELETE", "Pod")])
def test_anything_else_is_let_through(operation, kind):
    assert review(asked(operation=operation, kind=kind), CONFIG)["response"] == {"uid": "u-1", "allowed": True}


@pytest.mark.parametrize("nonsense", [{}, {"request": {}}, {"request": {"uid": "1"}}])
def test_what_is_no_review_raises(nonsense):
    with pytest.raises(KeyError):
        review(nonsense, CONFIG)


@pytest.mark.parametrize("url", ["https://127.0.0.1:9443", "https://127.0.0.1:9443/", "https://127.0.0.1:9443/inject"])
def test_the_address_may_be_given_with_or_without_the_path(url):
    for webhook in webhook_configuration(url, b"PEM")["webhooks"]:
        assert webhook["clientConfig"] == {"url": "https://127.0.0.1:9443/inject", "caBundle": "UEVN"}


def test_only_pods_that_want_a_sidecar_depend_on_us():
    for webhook in webhook_configuration("https://a", "PEM")["webhooks"]:
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["timeoutSeconds"] <= 5
        keys = [e["key"] for s in ("namespaceSelector", "objectSelector") for e in webhook[s]["matchExpressions"]]
        assert keys.count("coalmine.dev/inject") >= 2
