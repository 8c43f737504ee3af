from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.providers.refusals import retry_after, said

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:27 GMT"}, 7),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "7", "x-ratelimit-reset": "60"}, 7),
        ({"x-ratelimit-reset": "60"}, 60),
        ({"x-ratelimit-reset": "1700000007"}, 7),
        ({"x-ratelimit-reset": "1700000007000000"}, 7),
        ({"x-ratelimit-reset": "1699999999"}, 0),
    ],
)
def test_services_say_in_four_ways_when_to_come_back(headers, seconds):
    assert retry_after(headers, NOW) == seconds


@given(st.text(), st.text())
def test_no_header_is_a_crash(after, reset):
    found = retry_after({"retry-after": after, "x-ratelimit-reset": reset}, NOW)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"message": "no such metric"}', "no such metric"),
        ('{"error": {"code": 404, "message": "no such metric"}}', "no such metric"),
        ('{"errors": ["one", "two"]}', "one; two"),
        ('{"errors": [{"message": "one"}, {"message": "two"}]}', "one; two"),
        ('{"error": "invalid_grant", "error_description": "Bad key."}', "Bad key."),
        ('{"status": 7}', ""),
        ("<html><head><title>\n 502 Bad\n Gateway </title></head>", "502 Bad Gateway"),
        ("<p>Not <b>today</b></p>", "Not today"),
        ("two\n  lines", "two lines"),
        ("", ""),
        ("[" * 100_000, "[" * 300 + "…"),
    ],
)
def test_a_services_own_words_are_one_short_line(text, words):
    assert said(text) == words


@given(st.text(max_size=3000))
def test_words_stay_short_whatever_comes(text):
    found = said(text)
    assert len(found) <= 301
    assert "\n" not in found
