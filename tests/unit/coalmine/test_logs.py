"""Log lines say which release they belong to, also those of tasks that a look started."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging

import pytest

from crds import logs


@pytest.fixture
def lines(capfd, request):
    """Logs in a format, and returns the lines that were written; afterwards logging is as it was."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("rollouts").level)

    def configure(log_format, **more):
        logs.configure(log_format, packages=("rollouts",), **more)
        return lambda: capfd.readouterr().err.splitlines()  # noqa: PLW0108 - what is written after this

    yield configure
    root.handlers[:], level, package = before
    root.setLevel(level)
    logging.getLogger("rollouts").setLevel(package)


async def look(words):
    """One Rollout's task, which starts another one."""

    async def stream():
        logging.getLogger("rollouts.engine.telemetry").warning(words)

    logs.bind(rollout="shop/payment", revision="7d9f", release="7d9f-1763769600")
    await asyncio.create_task(stream())


async def test_json_is_one_object_a_line_with_the_release(lines):
    read = lines("json")
    await asyncio.create_task(look("a line\nand another"))
    (line,) = read()
    found = json.loads(line)
    assert dt.datetime.fromisoformat(found.pop("time")).tzinfo is not None
    assert found == {
        "level": "WARNING",
        "logger": "rollouts.engine.telemetry",
        "message": "a line\nand another",
        "rollout": "shop/payment",
        "revision": "7d9f",
        "release": "7d9f-1763769600",
    }


async def test_text_ends_with_the_release(lines):
    read = lines("text")
    await asyncio.create_task(look("the connection broke"))
    (line,) = read()
    assert line.endswith(
        " WARNING rollouts.engine.telemetry: the connection broke"
        " rollout=shop/payment revision=7d9f release=7d9f-1763769600"
    )


async def test_what_one_rollouts_task_bound_is_on_no_other_line(lines):
    read = lines("json")
    await asyncio.gather(asyncio.create_task(look("one")))
    logging.getLogger("rollouts").info("the controller itself")
    assert "rollout" not in json.loads(read()[-1])


async def test_what_is_empty_is_left_out_and_what_is_bound_later_counts(lines):
    read = lines("json")

    async def rests():
        logs.bind(rollout="shop/payment", revision="a", release="a-1")
        logs.bind(rollout="shop/payment", revision="", release="")
        logging.getLogger("rollouts").info("rests")

    await asyncio.create_task(rests())
    found = json.loads(read()[-1])
    assert found["rollout"] == "shop/payment"
    assert not {"revision", "release"} & found.keys()


def test_an_error_has_its_trace_in_the_same_object(lines):
    read = lines("json")
    try:
        _ = {}["x"]
    except KeyError:
        logging.getLogger("rollouts").exception("failed")
    (line,) = read()
    assert "KeyError: 'x'" in json.loads(line)["exc_info"]


@pytest.mark.parametrize(("verbose", "told"), [(False, 0), (True, 1)])
def test_details_are_told_where_they_are_asked_for(lines, verbose, told):
    read = lines("text", verbose=verbose)
    logging.getLogger("rollouts.engine").debug("PUT /apis")
    logging.getLogger("others").debug("never")
    assert len(read()) == told
