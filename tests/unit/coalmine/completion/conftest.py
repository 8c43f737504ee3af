"""A kubectl that knows two Rollouts, in PATH."""

from __future__ import annotations

import os
import stat

import pytest

KUBECTL = """\
#!/bin/sh
echo "$@" >> "$KUBECTL_CALLS"
case "$*" in
*"get rollouts.coalmine.dev"*) printf 'orders    Healthy      3/3   0   0\\npayment   Progressing  1/3   10  9.8\\n';;
*"get namespaces"*) printf 'default   Active   3d\\nshop      Active   3d\\n';;
*"get-contexts"*) printf 'kind\\nprod\\n';;
*) echo "error: no" >&2; exit 1;;
esac
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The commands that were run."""
    path = tmp_path / "calls"
    path.touch()
    monkeypatch.setenv("KUBECTL_CALLS", str(path))
    return path


@pytest.fixture
def kubectl(tmp_path, monkeypatch, calls):
    """Put it into PATH; returns the folder."""
    del calls
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder
