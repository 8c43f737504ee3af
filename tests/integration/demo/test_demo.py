"""The command as people run it: one release end to end, and an interruption. Nothing may be left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

pytestmark = pytest.mark.integration

BAD_ONLY = """
import sys
from rich.console import Console
from coalmine.demo.cli import run_demo
from coalmine.demo.releases import BAD_ERRORS
report = run_demo(Console(width=200), name="one", rate=100, releases=[BAD_ERRORS], plain=True)
print("REPORT " + report.model_dump_json())
sys.exit(0 if report.ok else 1)
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty home, but with the cache of Kubernetes' binaries."""
    cache = Path(platformdirs.user_cache_dir("coalmine")).parent
    clean = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    return clean | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache)}


def processes_of(home: str) -> Iterator[str]:
    """Command lines of the processes that have this home: the cluster's components and its pods."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            if f"HOME={home}".encode() in environment:
                yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


def state_of(home: str) -> list[str]:
    found = (Path(home) / ".local" / "state" / "coalmine").rglob("*")
    return [str(p) for p in found if p.is_file() and p.stat().st_size]


def test_a_bad_release_is_taken_back_and_nothing_is_left(home: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BAD_ONLY], env=home, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(done.stdout.rpartition("REPORT ")[2])
    (release,) = report["releases"]
    assert (release["outcome"], release["kubectl_exit_code"]) == ("RolledBack", 1)
    assert release["weights"] == [10, 0]
    assert release["failed"]["v3"] > 0
    assert release["failed"]["v1"] == 0
    assert release["rollback_seconds"] is not None
    assert report["failed_by_us"] == 0
    assert list(processes_of(home["HOME"])) == []
    assert state_of(home["HOME"]) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(home: dict[str, str], number: signal.Signals) -> None:
    command = [sys.executable, "-m", "coalmine", "demo", "--plain", "--name", "interrupted", "--rate", "20"]
    with subprocess.Popen(command, env=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        said = []
        for line in demo.stdout:
            said.append(line)
            if "waiting for a steady load" in line:
                break
        assert len(list(processes_of(home["HOME"]))) > 10
        demo.send_signal(number)
        said += demo.stdout
        assert demo.wait(timeout=120) == 130, "".join(said)
    assert "Traceback" not in "".join(said)
    assert list(processes_of(home["HOME"])) == []
    assert state_of(home["HOME"]) == []
