"""Names from the cluster, quick and silent."""

from __future__ import annotations

import stat

import click
import pytest
from click.shell_completion import ShellComplete

from coalmine.completion import names
from coalmine.completion.plugin import answer


@pytest.fixture
def complete():
    @click.command()
    @click.argument("rollout", shell_complete=names.rollouts)
    @click.option("-n", "--namespace", shell_complete=names.namespaces)
    @click.option("--context", shell_complete=names.contexts)
    @click.option("--kubeconfig")
    def status(**_):
        pass

    def complete(*words):
        items = ShellComplete(status, {}, "status", "").get_completions(list(words[:-1]), words[-1])
        return {item.value: item.help for item in items}

    return complete


@pytest.mark.usefixtures("kubectl")
def test_rollouts_are_offered_with_their_status(complete):
    assert complete("") == {"orders": "Healthy 3/3", "payment": "Progressing 1/3"}
    assert complete("pa") == {"payment": "Progressing 1/3"}


@pytest.mark.usefixtures("kubectl")
def test_the_namespace_that_is_written_already_is_looked_in(complete, calls):
    complete("-n", "shop", "--context", "prod", "--kubeconfig", "/k", "")
    (call,) = calls.read_text().splitlines()
    assert call.endswith("--kubeconfig=/k --context=prod --namespace=shop")


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize("command", ["status", "promote", "approve", "abort", "history", "explain"])
def test_the_commands_about_releases_complete_their_rollouts(command):
    assert answer([command, "-n", "shop", "pa"]) == ["payment\tProgressing 1/3", ":4"]


@pytest.mark.usefixtures("kubectl")
def test_namespaces_and_contexts_are_offered(complete):
    assert complete("-n", "s") == {"shop": None}
    assert complete("--context", "") == {"kind": None, "prod": None}


def test_a_kubectl_that_fails_offers_nothing(complete, kubectl, capfd):
    (kubectl / "kubectl").write_text("#!/bin/sh\necho bad >&2\nexit 1\n")
    assert complete("") == {}
    assert capfd.readouterr().err == ""


def test_without_kubectl_nothing_is_offered(complete, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert complete("") == {}


def test_a_cluster_that_does_not_answer_is_not_waited_for(complete, kubectl, monkeypatch):
    monkeypatch.setattr(names, "_SECONDS", 0.05)
    program = kubectl / "kubectl"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert complete("") == {}
