from __future__ import annotations

import pytest

from coalmine.local.node.logs import LogOptions, note_times, read_log, rotate


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "0.log"
    path.write_bytes(b"one\ntwo\nthree\n")
    return path


async def read(log, ended=lambda: True, **options):
    return b"".join([piece async for piece in read_log(log, LogOptions(**options), ended)])


@pytest.mark.parametrize(
    ("tail", "shown"), [(0, b""), (1, b"three\n"), (2, b"two\nthree\n"), (9, b"one\ntwo\nthree\n")]
)
async def test_tail(log, tail, shown):
    assert await read(log, tail=tail) == shown


async def test_tail_counts_a_line_that_is_not_ended(log):
    log.write_bytes(b"one\ntwo")
    assert await read(log, tail=1) == b"two"


async def test_tail_over_several_blocks(log):
    log.write_bytes(b"".join(b"%099d\n" % n for n in range(5000)))
    assert await read(log, tail=2000) == b"".join(b"%099d\n" % n for n in range(3000, 5000))


async def test_limit(log):
    assert await read(log, limit=5) == b"one\nt"


async def test_times_are_those_at_which_lines_were_first_seen(log):
    log.with_name("0.log.times").write_text("100 4\n200 14\n")
    stamped = await read(log, timestamps=True)
    assert stamped == (
        b"1970-01-01T00:01:40.000000000Z one\n"
        b"1970-01-01T00:03:20.000000000Z two\n"
        b"1970-01-01T00:03:20.000000000Z three\n"
    )
    assert await read(log, since=150) == b"two\nthree\n"
    assert await read(log, since=50) == b"one\ntwo\nthree\n"


async def test_lengths_are_noted_when_they_grow(log):
    note_times(log)
    note_times(log)
    noted = log.with_name("0.log.times").read_text().splitlines()
    assert [line.split()[1] for line in noted] == ["14"]


async def test_a_long_log_is_rotated(log):
    note_times(log)
    rotate(log, 100)
    assert log.stat().st_size == 14
    rotate(log, 10)
    assert log.read_bytes() == b""
    assert log.with_name("0.log.old").read_bytes() == b"one\ntwo\nthree\n"
    assert not log.with_name("0.log.times").exists()


async def test_following_goes_on_after_a_rotation(log):
    reader = read_log(log, LogOptions(follow=True), lambda: False)
    assert await anext(reader) == b"one\ntwo\nthree\n"
    log.write_bytes(b"four\n")
    assert await anext(reader) == b"four\n"
    await reader.aclose()
