"""What pods find in their volumes on the local node, and that it stays true."""

from __future__ import annotations

import base64
import json

import pytest

pytestmark = pytest.mark.integration

READ = """
import json, os, pathlib, sys
root = pathlib.Path(os.environ["CONTAINER_SANDBOX_MOUNT_POINT"] + "/etc/app")
print(json.dumps({name: (root / name).read_text() for name in sys.argv[1:]}), flush=True)
"""
FOLLOW = """
import os, pathlib, time
path, seen = pathlib.Path("etc/app/colour"), ""
while True:
    if path.read_text() != seen:
        seen = path.read_text()
        print(seen, flush=True)
    time.sleep(0.05)
"""
MOUNT = {"name": "files", "mountPath": "/etc/app"}


def settings(**data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}


def claims(token: str) -> dict:
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_a_projected_volume_has_token_settings_and_secrets(pods, python, namespace):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "stringData": {"key": "pearl"}}
    pods.apply(settings(colour="red", shape="round"))
    pods.apply(secret)
    token = {"audience": "coalmine", "expirationSeconds": 3600, "path": "token"}
    sources = [
        {"serviceAccountToken": token},
        {"configMap": {"name": "settings", "items": [{"key": "colour", "path": "looks/colour"}]}},
        {"secret": {"name": "hidden"}},
    ]
    pods.run(
        "reader",
        python(READ, "token", "looks/colour", "key", volumeMounts=[MOUNT]),
        volumes=[{"name": "files", "projected": {"sources": sources}}],
    )
    pods.until("reader", lambda pod: pod["status"]["phase"] == "Succeeded")
    found = json.loads(pods.logs("reader"))
    assert (found["looks/colour"], found["key"]) == ("red", "pearl")
    said = claims(found["token"])
    assert said["aud"] == ["coalmine"]
    assert said["sub"] == f"system:serviceaccount:{namespace}:default"
    assert said["kubernetes.io"]["pod"]["name"] == "reader"


def test_a_changed_config_map_reaches_a_running_pod(pods, python, eventually):
    pods.apply(settings(colour="red"))
    volume = {"name": "files", "configMap": {"name": "settings"}}
    pods.run("follower", python(FOLLOW, volumeMounts=[MOUNT]), volumes=[volume])
    eventually(lambda: pods.logs("follower") == "red\n")
    pods.apply(settings(colour="blue"))
    eventually(lambda: pods.logs("follower") == "red\nblue\n")


def test_a_pod_waits_for_the_config_map_of_its_volume(pods, python):
    volume = {"name": "files", "configMap": {"name": "settings"}}
    pods.run("patient", python(READ, "colour", volumeMounts=[MOUNT]), volumes=[volume])
    waiting = pods.until("patient", lambda pod: _waits(pod) is not None)
    assert "configMap 'settings'" in str(_waits(waiting))
    pods.apply(settings(colour="green"))
    pods.until("patient", lambda pod: pod["status"]["phase"] == "Succeeded")
    assert json.loads(pods.logs("patient")) == {"colour": "green"}


def _waits(pod) -> str | None:
    statuses = pod["status"].get("containerStatuses") or [{}]
    found = statuses[0].get("state", {}).get("waiting", {})
    return found.get("message") if found.get("reason") == "CreateContainerConfigError" else None
