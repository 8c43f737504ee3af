"""The scripts, in the real shells; and what kubectl asks."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from coalmine.cli import main
from coalmine.completion import plugin
from coalmine.completion.plugin import answer


@pytest.fixture
def path(tmp_path, monkeypatch):
    """``coalmine`` and ``kubectl_complete-coalmine`` in PATH, as an installation has them."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for name, module in (("coalmine", "coalmine.cli"), ("kubectl_complete-coalmine", "coalmine.completion.plugin")):
        program = folder / name
        program.write_text(f"#!{sys.executable}\nfrom {module} import main\n\nmain()\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def script(shell):
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0, result.output
    return result.output


def shell(name, program, *, args=()):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [found, *args, "-c", program], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    return done.stdout.splitlines()


BASH = """
{script}
complete -p coalmine
COMP_WORDS=({words}); COMP_CWORD={number}
_coalmine_completion coalmine "${{COMP_WORDS[$COMP_CWORD]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def in_bash(*words):
    quoted = " ".join(f"'{word}'" for word in ("coalmine", *words))
    program = BASH.format(script=script("bash"), words=quoted, number=len(words))
    first, *rest = shell("bash", program, args=("--norc", "--noprofile"))
    assert first.endswith("-F _coalmine_completion coalmine")
    return [line for line in rest if line]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["li"], ["lint"]),
        (["co"], ["completion", "controller"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["lint", "--out"], ["--output"]),
        (["lint", "--output", "g"], ["github", "gitlab"]),
    ],
)
def test_bash_completes(words, offered):
    assert in_bash(*words) == offered


@pytest.mark.usefixtures("path")
def test_zsh_completes():
    program = f"autoload -U compinit; compinit -D -u\n{script('zsh')}\nprint $_comps[coalmine]"
    assert shell("zsh", program, args=("-f",)) == ["_coalmine_completion"]


@pytest.mark.usefixtures("path")
def test_fish_completes():
    offered = shell("fish", f"{script('fish')}\ncomplete -C 'coalmine li'", args=("--no-config",))
    assert [line.split("\t")[0] for line in offered] == ["lint"]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_script_is_for_the_command_that_is_typed(name):
    text = script(name)
    assert f"_COALMINE_COMPLETE={name}_complete" in text


def test_another_shell_is_wrong_usage():
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == 2


def test_kubectl_is_answered_as_cobra_does():
    assert answer(["comp"]) == ["completion\tPrint the script that completes on <TAB>.", ":4"]
    assert answer(["lint", "--output", "js"]) == ["json", ":4"]
    assert answer(["lint", "deploy/"]) == [":0"]
    assert {line.split("\t")[0] for line in answer([])} >= {"lint", "mesh", ":4"}


@pytest.mark.usefixtures("path")
def test_the_real_kubectl_passes_it_on(path):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    plugin = path / "kubectl-coalmine"
    plugin.write_text("#!/bin/sh\n")
    plugin.chmod(0o755)
    said = subprocess.run(
        ["kubectl", "__complete", "coalmine", "lint", "--output", "g"], capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines()[:2] == ["github", "gitlab"]


def test_what_kubectl_looks_for_is_installed():
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    module, _, attribute = project["scripts"]["kubectl_complete-coalmine"].partition(":")
    assert getattr(importlib.import_module(module), attribute) is plugin.main


def test_a_shell_waits_for_no_library():
    code = (
        "import sys; from coalmine.completion.plugin import answer; "
        "[answer(words) for words in (['li'], ['lint', '--'], ['init', '--'], ['doctor', '--'], ['completion', ''])]; "
        "print([m for m in ('pydantic', 'numpy', 'rich', 'kubernetes', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
