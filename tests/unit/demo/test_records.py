"""Records of the load."""

import json

import pytest

from coalmine.demo.records import NO_VERSION, Request, failed_by_us, parse_line, traffic_by_version


def line(*done: list) -> str:
    return json.dumps({"seq": 3, "start": 100.0, "end": 101.0, "sent": 5, "waiting": 1, "done": list(done)})


def test_a_line_holds_its_requests_with_absolute_times() -> None:
    parsed = parse_line(line([250, 20.5, 200, "v1", ""], [500, 3.0, 0, "", "load to frontend: ..."]))
    assert parsed.requests == (
        Request(100.25, 20.5, 200, "v1"),
        Request(100.5, 3.0, 0, NO_VERSION, "load to frontend: ..."),
    )
    assert (parsed.seq, parsed.sent, parsed.waiting) == (3, 5, 1)


@pytest.mark.parametrize(
    "text", ["", "Traceback", "{}", "[]", line(["x"]), '{"seq":1,"start":0,"end":1,"sent":1,"waiting":0,"done":5}']
)
def test_anything_else_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="not a line of the load's records"):
        parse_line(text)


def test_only_failures_that_were_not_injected_are_ours() -> None:
    ok = Request(1, 1, 200, "v1")
    injected = Request(1, 1, 500, "v3", "injected")
    reset = Request(1, 1, 503, NO_VERSION, "upstream connect error")
    silent_500 = Request(1, 1, 500, "v3")
    no_answer = Request(1, 1, 0, NO_VERSION, "TimeoutError()")
    assert failed_by_us([ok, injected, reset, silent_500, no_answer]) == (reset, silent_500, no_answer)


def test_traffic_counts_a_half_open_span_by_version() -> None:
    requests = [Request(10 + i / 10, float(i), 500 if i == 3 else 200, "v1" if i % 2 else "v2") for i in range(20)]
    traffic = traffic_by_version(requests, 10, 12 - 0.1)  # the last one ends exactly at the end: not in it
    assert (traffic["v1"].requests, traffic["v1"].failed) == (9, 1)
    assert (traffic["v2"].requests, traffic["v2"].failed) == (10, 0)
    assert traffic["v2"].rate == pytest.approx(10 / 1.9)


def test_quantiles_are_values_that_occurred() -> None:
    requests = [Request(0, float(ms), 200, "v1") for ms in range(1, 101)]
    traffic = traffic_by_version(requests, 0, 1)["v1"]
    assert (traffic.p50, traffic.p99) == (50, 99)
