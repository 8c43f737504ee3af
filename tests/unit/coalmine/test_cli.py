from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from coalmine import cli
from coalmine.cli import main


@pytest.fixture
def run():
    return lambda *args: CliRunner().invoke(main, args)


def test_help_names_every_subcommand(run):
    result = run("--help")
    assert result.exit_code == 0
    assert all(name in result.output for name in ("local", "mesh", "controller", "crds", "demo"))


def test_help_imports_no_subcommand():
    code = "import sys, coalmine.cli as c; c.main(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert "'coalmine.cli'" in loaded
    assert not any(f"'{name}'" in loaded for name in ("rollouts", "mesh", "kopf", "grpc", "coalmine.local.cli"))


def test_a_subcommand_that_cannot_be_imported_says_so_only_when_it_is_used(run, monkeypatch):
    monkeypatch.setitem(cli._SUBCOMMANDS, "mesh", ("no.such.module", "mesh", "Broken."))
    assert run("--help").exit_code == 0
    result = run("mesh")
    assert result.exit_code == 1
    assert "`coalmine mesh` cannot be loaded (no.such.module): No module named 'no'" in result.output


def test_an_unknown_subcommand_is_refused(run):
    result = run("nothing")
    assert result.exit_code == 2
    assert "No such command 'nothing'" in result.output


def test_the_version_is_told(run):
    assert run("--version").output.startswith("coalmine, version ")


def test_local_lists_its_commands_with_the_node_agent(run):
    output = run("local", "--help").output
    assert all(f"  {name} " in output for name in ("up", "down", "status", "restart", "node", "binaries"))


def test_up_refuses_to_skip_what_does_not_exist(run, tmp_path):
    result = run("local", "up", "--state-dir", str(tmp_path / "s"), "--skip", "meshh")
    assert result.exit_code == 1
    assert "unknown component meshh; there are: etcd, kube-apiserver" in result.output


def test_status_of_a_cluster_that_never_ran(run, tmp_path):
    result = run("local", "status", "--state-dir", str(tmp_path / "s"))
    assert result.exit_code == 0
    assert result.output.count("stopped") == 6
    assert not (tmp_path / "s").exists()


def test_down_of_a_cluster_that_never_ran(run, tmp_path):
    result = run("local", "down", "--state-dir", str(tmp_path / "s"))
    assert result.exit_code == 0
    assert "Nothing was running" in result.output
