"""Recordings: what is written is read again, and what is wrong is said with its line, field and fix."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import ErrorPolicy, Policy
from analysis.model.recording import FORMAT, InvalidRecording, Recording, dump, load

HEADER = json.dumps({"format": FORMAT, "boundsMs": [10, 100]})
BOUNDS = (10.0, 100.0)
UNUSUAL = Policy(BOUNDS, ErrorPolicy(2.0, 0.01, 0.0, 0.05, 1.1, 0.001), None, 0.02, 0.1)


@st.composite
def recordings(draw):
    windows = []
    for second in sorted(draw(st.sets(st.integers(0, 50), max_size=5))):
        keys = draw(
            st.sets(st.tuples(st.sampled_from(Arm), st.sampled_from(["", "a", "b"]), st.sampled_from(["", "/x"])))
        )
        pods = []
        for arm, pod, route in sorted(keys):
            latency = draw(st.one_of(st.just(()), st.tuples(*[st.integers(0, 9)] * 3)))
            attempts = draw(st.integers(0, 30))
            pods.append(PodCounts(arm, pod, attempts, draw(st.integers(0, attempts)), latency, attempts, 0, route))
        if pods:
            windows.append(Window(float(second), second + 1.0, tuple(pods)))
    policy = draw(st.sampled_from([None, Policy(BOUNDS), UNUSUAL]))
    return Recording(BOUNDS, (0.0,), {"a": 1.5}, tuple(windows), draw(st.text(max_size=5)), policy)


@given(recordings())
def test_what_is_written_is_read_again(recording):
    assert load(dump(recording)) == recording


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "file:2: this is not JSON"),
        ('{"time": 1, "arm": "canary", "attempts": NaN}', "file:2: NaN is not a number"),
        ('{"time": 1, "arm": "canary", "attempts": -1}', "file:2: attempts"),
        ('{"time": 1, "arm": "canary", "attempts": 1.5}', "file:2: attempts"),
        ('{"time": 1, "arm": "blue", "attempts": 1}', "file:2: arm"),
        ('{"time": 1, "arm": "canary"}', "file:2: attempts"),
        ('{"time": 1, "arm": "canary", "attempts": 1, "errors": 2}', "errors (2) are more than attempts (1)"),
        ('{"time": 1, "arm": "canary", "attempts": 1, "latency": [1]}', "latency has 1 counts and boundsMs makes 3"),
        ('{"time": 1, "arm": "canary", "attempts": 1, "erors": 2}', "erors"),
        ('{"time": 1, "seconds": 0, "arm": "canary", "attempts": 1}', "file:2: seconds"),
    ],
)
def test_a_wrong_line_is_named_with_its_field(line, words):
    with pytest.raises(InvalidRecording) as caught:
        load([HEADER, line], "file")
    assert words in str(caught.value)


def test_overlaps_doubles_and_a_missing_header_are_refused():
    one = '{"time": 1, "seconds": 2, "arm": "canary", "attempts": 1}'
    with pytest.raises(InvalidRecording, match="windows at 1 and 2 overlap"):
        load([HEADER, one, '{"time": 2, "seconds": 1, "arm": "canary", "attempts": 1}'])
    with pytest.raises(InvalidRecording, match="told twice"):
        load([HEADER, one, one])
    with pytest.raises(InvalidRecording, match="seconds is 1 and 2"):
        load([HEADER, one, '{"time": 1, "arm": "baseline", "attempts": 1}'])
    with pytest.raises(InvalidRecording, match="recording:1"):
        load([one])
    with pytest.raises(InvalidRecording, match="recording:1"):
        load([])
    with pytest.raises(InvalidRecording, match="boundsMs must be above 0 and ascending"):
        load([json.dumps({"format": FORMAT, "boundsMs": [10, 5]})])


def test_a_policy_that_cannot_be_is_refused_and_what_it_leaves_out_is_the_default():
    policy = load([json.dumps({"format": FORMAT, "policy": {"latency": None, "errors": {"warmUp": 1}}})]).policy
    assert policy == Policy((), ErrorPolicy(warm_up=1.0), None)
    with pytest.raises(InvalidRecording, match="rollbackAlpha"):
        load([json.dumps({"format": FORMAT, "policy": {"rollbackAlpha": 2}})])
