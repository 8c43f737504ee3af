"""A user who may not watch many more files hears of it before sidecars abort."""

from __future__ import annotations

import itertools
import resource
from pathlib import Path

import pytest

from coalmine.local.inotify import shortage


@pytest.fixture
def few_files():
    """No more than a handful of files can be opened, inotify instances among them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(fd.name) for fd in Path("/proc/self/fd").iterdir()}
    free = (number for number in itertools.count() if number not in used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, 4, None)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_can_be_had_is_no_shortage():
    assert shortage(1) is None


@pytest.mark.skipif(not Path("/proc/sys/fs/inotify").is_dir(), reason="no inotify here")
def test_a_shortage_is_told_with_the_fix_and_leaves_nothing_open(few_files):
    first = shortage(50)
    assert "pods with sidecars need 50" in first
    assert "sysctl -w fs.inotify.max_user_instances=1024" in first
    assert shortage(50) == first
