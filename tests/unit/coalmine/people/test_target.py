"""kubectl's namespace, without asking kubectl."""

from __future__ import annotations

import click
import pytest
import yaml

from coalmine.people import target as module
from coalmine.people.target import Target, present_namespace


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write a kubeconfig with contexts and their namespaces."""
    monkeypatch.setattr(module, "_POD_NAMESPACE", tmp_path / "no-pod")

    def written(name, current, **contexts):
        entries = [
            {"name": n, "context": {"cluster": "c", **({"namespace": s} if s else {})}} for n, s in contexts.items()
        ]
        file = tmp_path / name
        file.write_text(yaml.safe_dump({"kind": "Config", "current-context": current, "contexts": entries}))
        return str(file)

    return written


def test_it_is_the_present_contexts_or_default(config):
    file = config("one", "a", a="shop", b=None)
    assert present_namespace(file, None, {}) == "shop"
    assert present_namespace(file, "b", {}) == "default"
    assert present_namespace(None, None, {"KUBECONFIG": file}) == "shop"


def test_of_several_files_the_first_that_says_something_counts(config):
    first, second = config("first", "", a="bank"), config("second", "a", a="shop", b="other")
    both = {"KUBECONFIG": f"{first}:/no/such/file:{second}"}
    assert present_namespace(None, None, both) == "bank"
    assert present_namespace(None, "b", both) == "other"


def test_the_home_folder_is_kubectls_default(config, tmp_path):
    (tmp_path / ".kube").mkdir()
    config(".kube/config", "a", a="home")
    assert present_namespace(None, None, {"HOME": str(tmp_path)}) == "home"


def test_in_a_pod_it_is_the_pods(tmp_path, monkeypatch):
    file = tmp_path / "namespace"
    file.write_text("ci\n")
    monkeypatch.setattr(module, "_POD_NAMESPACE", file)
    assert present_namespace(None, None, {"HOME": str(tmp_path)}) == "ci"


def test_a_wrong_context_is_told_with_those_that_there_are(config):
    with pytest.raises(click.ClickException, match="there is no context 'prod'; known: a, b"):
        present_namespace(config("one", "a", a="shop", b=None), "prod", {})


def test_what_is_no_kubeconfig_is_told(tmp_path):
    file = tmp_path / "broken"
    file.write_text("a: [")
    with pytest.raises(click.ClickException, match="broken is no kubeconfig"):
        present_namespace(str(file), None, {})


def test_kubectl_gets_the_same_options():
    target = Target(namespace="shop", context="prod", kubeconfig="/k", user="ann", groups=("ops", "dev"))
    assert target.flags == ["--kubeconfig=/k", "--context=prod", "--as=ann", "--as-group=ops", "--as-group=dev"]
    assert target.place == "shop"
