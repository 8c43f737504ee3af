from __future__ import annotations

import dataclasses
import os
import signal

import pytest

from coalmine.local import processes
from coalmine.local.errors import LocalError

STUBBORN = "trap '' TERM; echo ready; while :; do read -r _ </dev/null; sleep 0.05; done"


@pytest.fixture
def start(tmp_path):
    begun = []

    def run(script):
        log, record = tmp_path / "logs" / "x.log", tmp_path / "processes" / "x.json"
        begun.append(
            processes.start(["/bin/sh", "-c", script], log=log, record=record, env={"PATH": os.environ["PATH"]})
        )
        return begun[-1]

    yield run
    for process in begun:
        processes.end(process, grace=0)


def test_a_process_is_found_again_by_its_record(start, tmp_path):
    process = start("exec sleep 60")
    found = processes.living(tmp_path / "processes" / "x.json")
    assert found == process
    assert found.alive()


def test_it_leads_a_session_of_its_own(start):
    process = start("exec sleep 60")
    assert os.getsid(process.pid) == process.pid


def test_one_that_ended_is_not_alive_although_nobody_waited_for_it(start):
    process = start("exit 3")
    fd = os.pidfd_open(process.pid)
    os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOWAIT)
    os.close(fd)
    assert not process.alive()


def test_a_number_that_another_process_has_now_is_never_signalled(start):
    other = start("exec sleep 60")
    stale = dataclasses.replace(other, started=other.started - 1)
    assert not stale.alive()
    assert processes.end(stale, grace=0)
    assert other.alive()


def test_a_record_of_an_earlier_boot_is_not_alive(start):
    process = start("exec sleep 60")
    assert not dataclasses.replace(process, boot="another").alive()


def test_a_process_that_heeds_sigterm_is_not_killed(start):
    assert processes.end(start("exec sleep 60"), grace=10)


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(start, tmp_path):
    process = start(STUBBORN)
    log = tmp_path / "logs" / "x.log"
    while "ready" not in processes.tail(log):
        assert process.alive()
    assert not processes.end(process, grace=0.05)
    assert not process.alive()


def test_sigkill_can_be_asked_for(start, tmp_path):
    process = start(STUBBORN)
    while "ready" not in processes.tail(tmp_path / "logs" / "x.log"):
        assert process.alive()
    assert processes.end(process, first=signal.SIGKILL, grace=10)


def test_a_program_that_is_missing_is_named(tmp_path):
    with pytest.raises(LocalError, match=r"/no/such/etcd cannot be started: No such file"):
        processes.start(["/no/such/etcd"], log=tmp_path / "log", record=tmp_path / "record", env={})
    assert not (tmp_path / "record").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": 1, "boot": "", "command": []}'])
def test_a_record_that_makes_no_sense_is_no_process(tmp_path, text):
    (tmp_path / "record").write_text(text)
    assert processes.read_record(tmp_path / "record") is None


def test_the_tail_of_a_log(tmp_path):
    log = tmp_path / "log"
    assert processes.tail(log) == ""
    log.write_text("".join(f"line {n}\n" for n in range(100_000)))
    assert processes.tail(log, lines=2) == "line 99998\nline 99999"


def test_a_large_log_is_put_aside_when_the_component_starts_again(start, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_LOG_BYTES", 10)
    log = tmp_path / "logs" / "x.log"
    log.parent.mkdir()
    log.write_text("a long line of the past\n")
    start("exec sleep 60")
    assert (tmp_path / "logs" / "x.log.1").read_text() == "a long line of the past\n"
    assert log.read_text() == ""
