"""The README's commands do what the README says, in one shell, from top to bottom."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PART = re.compile(r"<!-- commands: .*? -->(.*?)<!-- /commands -->", re.DOTALL)
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def transcript() -> list[tuple[str, list[str]]]:
    """The commands between the markers, each with the output that the README shows."""
    found: list[tuple[str, list[str]]] = []
    part = PART.search((ROOT / "README.md").read_text())
    assert part
    for block in BLOCK.findall(part[1]):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def fits(shown: str, printed: str) -> bool:
    """Say whether a printed line has the shown line's words in order; ages and such may differ."""
    words = [word for word in shown.split("#", maxsplit=1)[0].split() if not re.fullmatch(r"\d+(s|m\d+s)", word)]
    return all(word in printed.split() for word in words)


def state(home: Path) -> str:
    """What is going on in the cluster, for people who read the failure."""
    kubectl = ["kubectl", f"--kubeconfig={home}/coalmine/local/default/kubeconfig", "-n", "shop"]
    asked = (["get", "rollout,deployment,replicaset,pod"], ["get", "rollout", "-o", "yaml"], ["get", "events"])
    answers = [subprocess.run([*kubectl, *a], capture_output=True, text=True, timeout=60, check=False) for a in asked]
    logs = (home / "coalmine/local/default").rglob("controller*.log")
    return "\n".join([a.stdout + a.stderr for a in answers] + [log.read_text()[-5000:] for log in logs])


@pytest.mark.integration
def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    steps = transcript()
    marker = "@@@ exit"
    script = "".join(f"{command}\nprintf '\\n%s %s\\n' '{marker}' $?\n" for command, _ in steps)
    env = os.environ | {"XDG_STATE_HOME": str(tmp_path)}  # a cluster of our own, not the developer's
    try:
        done = subprocess.run(
            ["bash"], input=script, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900, check=True
        )
    except subprocess.TimeoutExpired as error:
        printed = b"".join(part or b"" for part in (error.stdout, error.stderr)).decode()
        pytest.fail(f"not done in {error.timeout:.0f} s\n{printed}\n{state(tmp_path)}")
    finally:
        subprocess.run([".venv/bin/coalmine", "local", "down", "--delete"], cwd=ROOT, env=env, check=True)
    outputs = re.split(rf"^{marker} (\d+)\n", done.stdout, flags=re.MULTILINE)
    assert len(outputs) == 2 * len(steps) + 1, done.stdout + done.stderr
    for (command, shown), printed, code in zip(steps, outputs[::2], outputs[1::2], strict=False):
        failure = any(line.startswith("error: ") for line in shown)
        assert (code == "1") is failure, f"{command} → {code}\n{printed}\n{done.stderr}"
        lines = (printed + done.stderr).splitlines()
        for line in shown:
            assert any(fits(line, got) for got in lines), f"{command} did not print {line!r}\n{printed}\n{done.stderr}"
