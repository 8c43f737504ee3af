"""What was recorded is written while it grows, and whoever ends it ends only the recording."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from analysis.model.counts import Arm, PodCounts, Window
from analysis.run.files import read_recording
from analysis.run.record import Recorder
from coalmine.recording.attending import Output, attend


def recorder():
    found = Recorder((10.0,))
    found.add([Window(1.0, 2.0, (PodCounts(Arm.CANARY, "c", 1, 0),))])
    return found


async def test_a_file_is_written_before_the_release_has_ended(tmp_path):
    path, recording = tmp_path / "r.jsonl.gz", recorder()

    async def work():
        async with asyncio.timeout(10):
            while not path.exists():  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.005)

    assert await attend(work(), recording, Output(path), every=0.01) is False
    assert read_recording(path) == recording.recording()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_work_in_order_and_is_told(tmp_path, number):
    ended = []

    async def work():
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    assert await attend(work(), recorder(), Output(None)) is True
    assert ended == [True]


async def test_what_the_work_raises_is_raised_and_a_full_disk_meanwhile_ends_nothing(tmp_path):
    async def work():
        await asyncio.sleep(0.05)
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await attend(work(), recorder(), Output(tmp_path / "no" / "such" / "folder"), every=0.001)


def test_standard_output_gets_the_whole_recording_at_the_end(capsys):
    Output(None).save(recorder())
    assert capsys.readouterr().out.splitlines() == list(recorder().lines())
