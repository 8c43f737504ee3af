from __future__ import annotations

import base64
import json

import pytest
from aiohttp.test_utils import TestClient, TestServer

from rollouts.api.admission import HOLD_PATH
from rollouts.api.names import ROLLOUT_LABEL
from rollouts.handlers.hold import answer, make_app, serve_hold


def question(old="pay:1", new="pay:2", **more):
    def deployment(image):
        return {
            "metadata": {"labels": {ROLLOUT_LABEL: "pay"}},
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        }

    request = {
        "uid": "u1",
        "operation": "UPDATE",
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "oldObject": deployment(old),
        "object": deployment(new),
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**request, **more}}


def test_a_changed_template_is_patched():
    response = answer(question())["response"]
    assert (response["uid"], response["allowed"], response["patchType"]) == ("u1", True, "JSONPatch")
    assert json.loads(base64.b64decode(response["patch"])) == [{"op": "add", "path": "/spec/paused", "value": True}]


def test_an_unchanged_template_is_allowed_without_a_patch():
    assert answer(question(new="pay:1"))["response"] == {"uid": "u1", "allowed": True}


@pytest.mark.parametrize("more", [{"operation": "CREATE"}, {"oldObject": None}, {"object": {}}])
def test_what_cannot_be_judged_is_refused_with_the_reason(more):
    response = answer(question(**more))["response"]
    assert response["allowed"] is False
    assert response["status"]["message"].startswith("coalmine: ")


async def test_it_answers_over_http_and_refuses_what_is_no_review():
    async with TestClient(TestServer(make_app())) as client:
        good = await client.post(HOLD_PATH, json=question())
        assert (await good.json())["response"]["allowed"]
        for body in ("no json", "{}", "[]", '"x"'):
            bad = await client.post(HOLD_PATH, data=body, headers={"Content-Type": "application/json"})
            assert bad.status == 400
            assert "not an AdmissionReview" in await bad.text()


@pytest.mark.parametrize("address", ["9443", "127.0.0.1", "127.0.0.1:port"])
async def test_an_address_without_a_port_says_how_to_write_it(tmp_path, address):
    with pytest.raises(ValueError, match=r"write it like 127\.0\.0\.1:9443"):
        await serve_hold(address, tmp_path, tmp_path)
