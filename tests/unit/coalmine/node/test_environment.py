from __future__ import annotations

from base64 import b64encode

import pytest

from coalmine.local.node.environment import TOKEN_MOUNT, ConfigError, build_environment, command_line, references
from coalmine.local.node.volumes import mounts_of

POD = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u-1",
        "labels": {"app": "web"},
        "annotations": {"note": "hi"},
    },
    "spec": {"nodeName": "local", "serviceAccountName": "default", "containers": []},
}
OBJECTS = {
    ("ConfigMap", "settings"): {"data": {"colour": "green", "not a name": "x"}},
    ("Secret", "keys"): {"data": {"token": b64encode(b"s3cret").decode()}},
    ("ConfigMap", "none"): None,
}


def environment(*env, env_from=(), resources=None, inherited=()):
    container = {"name": "c", "env": list(env), "envFrom": list(env_from), "resources": resources or {}}
    return build_environment(
        POD,
        container,
        pod_ip="127.0.1.1",
        objects=OBJECTS,
        inherited=dict(inherited),
        capacity={"cpu": "2", "memory": "1048576Ki"},
    )


def value_of(**source):
    return environment({"name": "X", "valueFrom": source}).get("X")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-1"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['note']", "hi"),
        ("metadata.labels['none']", ""),
        ("status.podIP", "127.0.1.1"),
        ("status.podIPs", "127.0.1.1"),
        ("status.hostIP", "127.0.0.1"),
        ("spec.nodeName", "local"),
        ("spec.serviceAccountName", "default"),
    ],
)
def test_fields_of_the_pod(path, value):
    assert value_of(fieldRef={"fieldPath": path}) == value


def test_an_unknown_field_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"'spec.dnsPolicy' is not supported .*metadata.name"):
        value_of(fieldRef={"fieldPath": "spec.dnsPolicy"})


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "128"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "250"),
        ({"resource": "requests.memory"}, "0"),
    ],
)
def test_resources_are_the_containers_else_the_nodes(ref, value):
    resources = {"limits": {"memory": "128Mi"}, "requests": {"cpu": "250m"}}
    found = environment({"name": "X", "valueFrom": {"resourceFieldRef": ref}}, resources=resources)
    assert found == {"X": value}


def test_config_maps_and_secrets():
    assert value_of(configMapKeyRef={"name": "settings", "key": "colour"}) == "green"
    assert value_of(secretKeyRef={"name": "keys", "key": "token"}) == "s3cret"


def test_what_is_optional_may_be_missing():
    assert value_of(configMapKeyRef={"name": "none", "key": "x", "optional": True}) is None
    assert value_of(configMapKeyRef={"name": "settings", "key": "x", "optional": True}) is None
    assert environment(env_from=[{"configMapRef": {"name": "none", "optional": True}}]) == {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "x"}}, "configmap 'none' not found"),
        ({"configMapKeyRef": {"name": "settings", "key": "x"}}, "couldn't find key x in ConfigMap 'settings'"),
        ({"fileKeyRef": {"path": "x"}}, "is not supported"),
    ],
)
def test_what_is_missing_is_named(source, message):
    with pytest.raises(ConfigError, match=message) as caught:
        value_of(**source)
    assert caught.value.reason == "CreateContainerConfigError"


def test_all_of_a_source_with_a_prefix_and_without_what_cannot_be_a_name():
    assert environment(env_from=[{"prefix": "P_", "configMapRef": {"name": "settings"}}]) == {"P_colour": "green"}


def test_env_wins_over_env_from_and_later_over_earlier_and_sees_only_what_came_before():
    found = environment(
        {"name": "colour", "value": "red"},
        {"name": "A", "value": "$(colour)-$(B)"},
        {"name": "B", "value": "$(A)"},
        env_from=[{"configMapRef": {"name": "settings"}}],
    )
    assert found == {"colour": "red", "A": "red-$(B)", "B": "red-$(B)"}


def test_only_path_and_home_are_inherited_and_the_pod_may_set_them():
    inherited = {"PATH": "/bin", "HOME": "/root", "SECRET": "x"}
    assert environment(inherited=inherited.items()) == {"PATH": "/bin", "HOME": "/root"}
    assert environment({"name": "HOME", "value": "/h"}, inherited=inherited.items())["HOME"] == "/h"


def test_references_are_found():
    container = {
        "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "t"}}},
            {"name": "B", "value": "1"},
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
    }
    assert references(container) == {("Secret", "keys"), ("ConfigMap", "settings")}


def test_command_and_args_are_expanded():
    container = {"name": "c", "command": ["run", "$(A)"], "args": ["--b=$(B)", "$$(A)"]}
    assert command_line(container, {"A": "1"}) == ["run", "1", "--b=$(B)", "$(A)"]


def test_a_container_without_a_command_is_refused():
    with pytest.raises(ConfigError, match="set command of container 'c'") as caught:
        command_line({"name": "c", "image": "nginx"}, {})
    assert caught.value.reason == "ErrImagePull"


def test_volumes_are_files_but_for_the_token_of_every_pod():
    token = {"name": "kube-api-access-x", "mountPath": TOKEN_MOUNT}
    settings = {"name": "settings", "mountPath": "/etc/app"}
    pod = {"spec": {"volumes": [{"name": "settings", "configMap": {"name": "app"}}]}}
    found = mounts_of(pod, {"name": "c", "volumeMounts": [token, settings]})
    assert [(mount.path, mount.sources) for mount in found] == [("/etc/app", ({"configMap": {"name": "app"}},))]


def test_a_volume_that_is_no_file_is_refused():
    pod = {"spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}
    data = {"name": "data", "mountPath": "/data"}
    with pytest.raises(ConfigError, match=r"volume 'data' at /data of container 'c': .* remove the mount") as caught:
        mounts_of(pod, {"name": "c", "volumeMounts": [data]})
    assert caught.value.event == "FailedMount"
