from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crds.base import format_duration, parse_duration
from rollouts.views.words import age, duration_words, image_tag, images_words, percent, seconds_of, short, unix


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (303, "5m3s"), (600, "10m"), (10_799, "179m"), (11_100, "3h5m"), (28_800, "8h"),
        (93_600, "26h"), (172_800, "2d"), (180_000, "2d2h"), (691_200, "8d"), (63_072_000, "2y"), (65_000_000, "2y22d"), (300_000_000, "9y"), (-5, "0s"),
    ],
)  # fmt: skip
def test_ages_are_kubectls(seconds, words):
    assert age(seconds) == words


@given(st.integers(0, 500_000))
def test_durations_are_written_and_read_as_the_controllers(seconds):
    assert duration_words(seconds) == format_duration(seconds)
    assert seconds_of(format_duration(seconds)) == parse_duration(format_duration(seconds))


def test_what_is_no_duration_or_no_time_is_none():
    assert [seconds_of(x) for x in (None, "", "soon", True, 5, 2.5)] == [None, None, None, None, 5.0, 2.5]
    assert [unix(x) for x in (None, "", "yesterday", 4)] == [None] * 4
    assert unix("2026-01-01T00:00:00Z") == 1_767_225_600.0


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("registry.example:5000/shop/payment:v2", "v2"),
        ("registry.example:5000/shop/payment", "latest"),
        ("payment@sha256:0123456789abcdef0123", "0123456789ab"),
        ("payment:v2@sha256:0123456789abcdef0123", "v2"),
    ],
)
def test_a_version_is_known_by_its_tag_or_the_beginning_of_its_digest(image, tag):
    assert image_tag(image) == tag


def test_numbers_and_texts():
    assert images_words(["a:v1", "b:v1", "c:v2"]) == "v1, v2"
    assert [percent(x) for x in (None, 10, 9.8, 0)] == ["–", "10 %", "9.8 %", "0 %"]
    assert [short("a long sentence", n) for n in (15, 8, 0)] == ["a long sentence", "a long…", "…"]
