"""Where the dashboard is: beside a local cluster's kubeconfig, or behind kubectl's port-forward."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from coalmine.cli import main
from coalmine.local.layout import Layout
from coalmine.local.settings import Ports, Settings, save_settings


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """Put a kubectl in front of the others; returns what it was called with."""

    def make(script):
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "kubectl"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return lambda: (tmp_path / "asked").read_text().strip()

    return make


@pytest.fixture
def kubeconfig(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("")
    return path


def test_a_local_clusters_dashboard_has_a_port_of_its_own(kubeconfig):
    ports = Ports(*range(20000, 20011))
    save_settings(Layout(kubeconfig.parent), Settings("default", "127.5.0.0/16", ports))
    found = CliRunner().invoke(main, ["dashboard"], env={"KUBECONFIG": str(kubeconfig)})
    assert (found.exit_code, found.output) == (0, f"The dashboard: http://127.0.0.1:{ports.controller_http}/\n")


def test_a_clusters_dashboard_is_forwarded_by_kubectl(kubectl, kubeconfig):
    asked = kubectl("echo 'Forwarding from 127.0.0.1:41234 -> 15091'; echo 'Handling connection for 41234'")
    found = CliRunner().invoke(main, ["dashboard", "--context", "prod"], env={"KUBECONFIG": str(kubeconfig)})
    assert (found.exit_code, found.output) == (0, "The dashboard: http://127.0.0.1:41234/\n")
    assert asked() == (
        "--context=prod -n coalmine-system port-forward --address 127.0.0.1 deployment/coalmine-controller :15091"
    )


def test_what_kubectl_cannot_reach_is_said_with_what_to_look_at(kubectl, kubeconfig):
    kubectl("echo 'Error from server (NotFound)' >&2; exit 1")
    found = CliRunner().invoke(main, ["dashboard", "-n", "x"], env={"KUBECONFIG": str(kubeconfig)})
    assert found.exit_code == 1
    assert "deployment/coalmine-controller in namespace x cannot be reached at port 15091" in found.output
