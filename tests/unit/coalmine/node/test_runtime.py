"""Real processes, without an apiserver."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from coalmine.local.node.deadlines import Deadline
from coalmine.local.node.processes import adopt, identity, launch
from coalmine.local.node.records import ContainerRecord, PodFolder
from coalmine.local.node.runtime import end_strays, kill_all


@pytest.fixture
def start(tmp_path):
    def make(*argv):
        return launch(argv, environment=dict(os.environ), folder=tmp_path, output=tmp_path / "out")

    return make


@pytest.mark.parametrize(("program", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
async def test_exit_codes(start, program, code):
    assert await start("sh", "-c", program).wait() == code


async def test_output_goes_to_the_file(start, tmp_path):
    await start("sh", "-c", "echo out; echo err >&2").wait()
    assert (tmp_path / "out").read_text() == "out\nerr\n"


async def test_a_missing_program_or_folder_is_an_error(start, tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        start("no-such-program")
    with pytest.raises(FileNotFoundError, match="workingDir"):
        launch(["true"], environment={}, folder=tmp_path / "none", output=tmp_path / "out")


async def test_an_adopted_process_is_watched_but_its_exit_code_unknown(start):
    process = start("sleep", "600")
    mark = identity(process.pid)
    adopted = adopt(process.pid, mark)
    assert adopted is not None
    adopted.send(signal.SIGTERM)
    assert await adopted.wait() is None
    assert await process.wait() == 143
    assert adopt(process.pid, mark) is None


async def test_another_process_with_the_number_is_not_adopted():
    assert adopt(os.getpid(), "boot/1") is None
    assert identity(os.getpid()) == identity(os.getpid()) != "boot/1"


def record(process, **fields):
    return ContainerRecord(
        container_id="x", pid=process.pid, identity=identity(process.pid), started_at=datetime.now(UTC), restart_count=0
    )


def test_kill_all_ends_what_is_recorded_and_nothing_else(tmp_path):
    deaf = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
    script = [sys.executable, "-c", deaf]
    with (
        subprocess.Popen(script, start_new_session=True, stdout=subprocess.PIPE) as stubborn,
        subprocess.Popen(["sleep", "600"], start_new_session=True) as gentle,
        subprocess.Popen(["sleep", "600"], start_new_session=True) as other,
    ):
        try:
            stubborn.stdout.readline()
            PodFolder(tmp_path / "pods" / "u1").save("a", record(stubborn))
            PodFolder(tmp_path / "pods" / "u2").save("b", record(gentle))
            # A number that was given to another process since.
            impostor = ContainerRecord(
                container_id="y", pid=other.pid, identity="old/1", started_at=datetime.now(UTC), restart_count=0
            )
            PodFolder(tmp_path / "pods" / "u3").save("c", impostor)
            assert kill_all(tmp_path, grace_seconds=0.1) == 2
            assert (stubborn.wait(), gentle.wait(), other.poll()) == (-9, -15, None)
            assert kill_all(tmp_path) == 0
        finally:
            other.kill()


def test_what_was_started_but_not_written_down_is_ended(tmp_path):
    """An agent that is killed between starting a process and recording it leaves a stray."""
    sleep = ["sleep", "600"]
    recorded, stray, probe = (tmp_path / "pods" / "u" / name for name in ("a/0.log", "b/0.log", "a/action.out"))
    for path in (recorded, stray, probe):
        path.parent.mkdir(parents=True, exist_ok=True)
    with (
        recorded.open("w") as first,
        stray.open("w") as second,
        probe.open("w") as third,
        subprocess.Popen(sleep, start_new_session=True, stdout=first) as known,
        subprocess.Popen(sleep, start_new_session=True, stdout=first) as child_of_known,
        subprocess.Popen(sleep, start_new_session=True, stdout=second) as unknown,
        subprocess.Popen(sleep, start_new_session=True, stdout=third) as asked,
    ):
        PodFolder(tmp_path / "pods" / "u").save("a", record(known))
        end_strays(tmp_path)
        assert (unknown.wait(), asked.wait()) == (-9, -9)
        assert (known.poll(), child_of_known.poll()) == (None, None)
        assert kill_all(tmp_path) == 1
        assert (known.wait(), child_of_known.wait()) == (-15, -9)


def test_a_damaged_record_is_left_out(tmp_path, caplog):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "record.json").write_text("")
    assert PodFolder(tmp_path).load("c") is None
    assert "is damaged" in caplog.text


def test_kill_all_of_a_node_that_never_was(tmp_path):
    assert kill_all(tmp_path / "none") == 0


def test_records_are_read_back(tmp_path):
    folder = PodFolder(tmp_path / "u")
    with subprocess.Popen(["sleep", "600"]) as process:
        written = record(process)
        process.kill()
    folder.save("c", written)
    assert folder.load("c") == written
    assert folder.load("other") is None


async def test_a_deadline_may_come_closer():
    deadline = Deadline(600)
    waiting = asyncio.create_task(deadline.reached())
    await asyncio.sleep(0)
    deadline.shorten(900)
    assert deadline.remaining > 500
    deadline.shorten(0)
    await waiting
    assert deadline.remaining == 0
