"""``kubectl coalmine`` is the same program under another name."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from coalmine.cli import _RELEASES, main

ROOT = Path(__file__).parents[4]


def test_kubectl_finds_it_by_its_name():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["kubectl-coalmine"] == "coalmine.cli:kubectl_plugin"
    code = "import sys; from coalmine.cli import kubectl_plugin; sys.argv[1:] = ['status', '--help']; kubectl_plugin()"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("Usage: kubectl coalmine status [OPTIONS] [ROLLOUT]")


@pytest.mark.parametrize("name", sorted(_RELEASES))
def test_every_command_has_examples_and_kubectls_options(name):
    command = main.get_command(None, name)
    assert command.epilog.startswith("\b\nExamples:\n")
    assert f"coalmine {name}" in command.epilog
    options = {option for parameter in command.params for option in parameter.opts}
    assert options >= {"-n", "--namespace", "--context", "--kubeconfig", "--as"}
