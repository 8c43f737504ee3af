"""What can be told without a cluster: how answers are judged, shown and ended with."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import yaml
from click.testing import CliRunner

from coalmine.cli import main
from coalmine.doctor import control
from coalmine.doctor.cluster import contains, names
from coalmine.doctor.look import Look, shipped
from coalmine.doctor.rights import reviews_of
from coalmine.kubectl import AbsentError, ForbiddenError, Kubectl, KubectlError

NOW = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """Puts a kubectl into PATH that says and ends as told."""

    def make(said="", *, code=0, error=""):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "out").write_text(said)
        (folder / "err").write_text(error)
        program = folder / "kubectl"
        program.write_text(f'#!/bin/sh\n/bin/cat "{folder}/out"\n/bin/cat "{folder}/err" >&2\nexit {code}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return Kubectl()

    return make


def test_without_a_cluster_one_thing_is_said(kubectl):
    kubectl(
        code=1,
        error="The connection to the server localhost:8080 was refused - did you specify the right host or port?\n",
    )
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith("✗ cluster: it cannot be reached: The connection to the server")
    assert result.stdout.splitlines()[1:] == ["    $ kubectl cluster-info", "1 failed"]


def test_without_kubectl_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(main, ["doctor", "-o", "json"])
    (found,) = json.loads(result.stdout)
    assert (result.exit_code, found["status"]) == (1, "failed")
    assert "kubectl is not in PATH: install it" in found["message"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ('Error from server (NotFound): pods "x" not found', AbsentError),
        ('error: the server doesn\'t have a resource type "rollouts"', AbsentError),
        ('Error from server (Forbidden): pods is forbidden: User "x" cannot list', ForbiddenError),
        ("Unable to connect to the server: EOF", KubectlError),
        ("", KubectlError),
    ],
)
def test_what_kubectl_says_is_told_apart(kubectl, error, kind):
    with pytest.raises(KubectlError) as caught:
        kubectl(code=1, error=error).run("get", "x")
    assert type(caught.value) is kind


def test_what_was_created_is_read_one_after_the_other(kubectl):
    found = kubectl('{"a": 1}\n{"kind": "List", "items": [{"a": 2}, {"a": 3}]}\n').create([])
    assert found == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_what_people_copy_reaches_the_same_cluster():
    assert Kubectl("/k", "prod").command == "kubectl --kubeconfig=/k --context=prod"


class Narrow:
    """A kubectl of somebody who sees one namespace."""

    def object(self, *args):
        if "-A" in args:
            raise ForbiddenError("no")
        return {"items": [{"kind": "Rollout"}]}

    def namespace(self):
        return "shop"


def test_who_may_not_see_all_namespaces_sees_their_own():
    look = Look(Narrow())
    assert look.narrow() == "shop"
    assert (look.scope, look.rollouts()) == (("-n", "shop"), [{"kind": "Rollout"}])
    assert Look(Narrow(), "shop").narrow() == ""


def test_what_the_server_adds_is_no_difference():
    assert contains({"a": [{"b": 1, "default": 2}], "c": 3}, {"a": [{"b": 1}]})
    assert not contains({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}]})
    assert not contains({"a": {"b": 1}}, {"a": {"b": 2}})


def test_every_right_of_a_role_is_asked_for():
    rule = {"apiGroups": ["apps"], "resources": ["deployments/status"], "verbs": ["patch"], "resourceNames": ["a", "b"]}
    found = [right.attributes("shop") for right in reviews_of([rule])]
    assert found == [
        {
            "group": "apps",
            "resource": "deployments",
            "subresource": "status",
            "verb": "patch",
            "name": n,
            "namespace": "shop",
        }
        for n in "ab"
    ]


def test_the_roles_that_we_ship_have_rights():
    for parts in (("deploy", "controller", "rbac.yaml"), ("deploy", "controller", "namespaced", "role.yaml")):
        documents = [
            d for d in yaml.safe_load_all(shipped(*parts).read_text()) if d["metadata"]["name"] == "coalmine-controller"
        ]
        assert len(list(reviews_of(documents[0]["rules"]))) > 50


def test_a_few_of_many_names_are_shown():
    assert names(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def lease(holder, renewed):
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15}
    if renewed is not None:
        spec["renewTime"] = (NOW + dt.timedelta(seconds=renewed)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"metadata": {"namespace": "coalmine-system"}, "spec": spec}


@pytest.mark.parametrize(
    ("found", "statuses"),
    [
        (lease("pod-1_7_x", -3), ["ok"]),
        (lease("pod-1_7_x", -31), ["failed"]),
        (lease("", -3), ["failed"]),
        (lease("pod-1_7_x", None), ["failed"]),
        (lease("pod-1_7_x", 40), ["ok", "warning"]),
    ],
)
def test_who_leads_is_read_from_the_lease(found, statuses, monkeypatch, kubectl):
    monkeypatch.setattr(control, "server_time", lambda _: NOW)
    look = Look(kubectl(code=1, error='Error from server (NotFound): pods "pod-1" not found'))
    assert [r.status for r in control._lease(look, found)] == statuses


def test_slack_is_asked_also_where_no_cluster_answers(kubectl, tmp_path):
    kubectl(code=1, error="The connection to the server localhost:8080 was refused\n")
    (tmp_path / "controller.yaml").write_text("{}\n")
    result = CliRunner().invoke(main, ["doctor", "--config", str(tmp_path / "controller.yaml")])
    assert result.exit_code == 1
    assert (
        result.stdout.splitlines()[2] == f"✓ slack: {tmp_path / 'controller.yaml'} has no slack: nobody is told there"
    )
