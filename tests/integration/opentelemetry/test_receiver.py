"""OTLP/HTTP's answers over a real socket: success, partial success, and each way a request can be wrong."""

from __future__ import annotations

import gzip
import json
import time

import aiohttp
import pytest
from google.protobuf import json_format
from google.rpc import status_pb2

from analysis.api.opentelemetry import OpenTelemetryCounts
from analysis.model.counts import Arm
from analysis.providers.opentelemetry.schema import ExportMetricsServiceRequest, ExportMetricsServiceResponse

pytestmark = pytest.mark.integration
PROTOBUF, JSON = "application/x-protobuf", "application/json"
POD = "payment-a"


def export(pod=POD, **changed):
    """Return an export with one point that is counted and one that is not."""
    now = time.time_ns()
    good = {"timeUnixNano": str(now), "count": "3", "bucketCounts": ["1", "2"], "explicitBounds": [0.1]}
    wrong = good | {"count": "9", "attributes": [{"key": "http.route", "value": {"stringValue": "/x"}}]}
    histogram = {"aggregationTemporality": 2, "dataPoints": [good, wrong]}
    resource = {"attributes": [{"key": "k8s.pod.name", "value": {"stringValue": pod}}]} if pod else {}
    metrics = [{"name": "http.server.request.duration", "unit": "s", "histogram": histogram}]
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]} | changed


def encoded(kind, found):
    if kind == JSON:
        return json.dumps(found).encode()
    return json_format.ParseDict(found, ExportMetricsServiceRequest()).SerializeToString()


async def post(server, body, kind=PROTOBUF, **headers):
    """Return the status, the content type and the body of the answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(server.url, data=body, headers={"Content-Type": kind} | headers) as answer,
    ):
        return answer.status, answer.content_type, await answer.read()


def status_of(kind, body):
    """Return the google.rpc.Status of an answer."""
    found = status_pb2.Status()
    return json_format.Parse(body, found) if kind == JSON else status_pb2.Status.FromString(body)


@pytest.fixture
async def server(serve):
    found = await serve(max_bytes=100_000)
    settings = OpenTelemetryCounts(preset="Http")
    source = found.receiver.open_counts(settings, bounds_ms=(), pods=lambda: {POD: Arm.BASELINE})
    yield found
    await source.close()


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_what_was_refused_stands_in_the_partial_success(server, kind):
    status, answered, body = await post(server, encoded(kind, export()), kind)
    assert (status, answered) == (200, kind)
    response = ExportMetricsServiceResponse()
    response = json_format.Parse(body, response) if kind == JSON else response.FromString(body)
    assert response.partial_success.rejected_data_points == 1
    assert "hold 3 together, and a count of 9" in response.partial_success.error_message
    if kind == JSON:
        assert json.loads(body)["partialSuccess"]["rejectedDataPoints"] == "1"


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_success_is_an_empty_message(server, kind):
    other = export()
    other["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["name"] = "process.cpu.time"
    for body in (encoded(kind, other), encoded(kind, {})):
        assert await post(server, body, kind) == (200, kind, b"{}" if kind == JSON else b"")


async def test_fields_of_later_versions_are_skipped_and_types_may_have_parameters(server):
    later = export(someNewField={"a": [1]})
    status, _, body = await post(server, json.dumps(later).encode(), "application/json; charset=utf-8")
    assert status == 200
    assert b"partialSuccess" in body
    unknown = encoded(PROTOBUF, export()) + b"\xc2\x3e\x03abc"  # field 1000, three bytes
    status, _, _ = await post(server, unknown)
    assert status == 200


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_gzip_is_unpacked(server, kind):
    status, _, body = await post(server, gzip.compress(encoded(kind, export())), kind, **{"Content-Encoding": "gzip"})
    assert (status, b"and a count of 9" in body) == (200, True)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PROTOBUF, b"\xff\xff\xff"),
        (PROTOBUF, b"\x0a\x05abc"),
        (JSON, b"{"),
        (JSON, b"\xff\xfe"),
        (JSON, b"[]"),
        (JSON, b'"text"'),
        (JSON, b"1e999"),
        (JSON, b'{"resourceMetrics": {"a": 1}}'),
        (JSON, b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": 5}]}]}]}'),
        (JSON, b"[" * 50_000),
        (JSON, b'{"resourceMetrics":' * 5_000),
    ],
)
async def test_garbage_is_a_bad_request_with_a_status(server, kind, body):
    status, answered, answer = await post(server, body, kind)
    assert (status, answered) == (400, kind)
    found = status_of(kind, answer)
    assert found.code == 3
    assert "no ExportMetricsServiceRequest" in found.message


async def test_garbage_that_says_it_is_gzip_is_a_bad_request(server):
    status, _, _ = await post(server, b"not gzip at all", **{"Content-Encoding": "gzip"})
    assert status == 400


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_that_is_too_large_is_refused_also_when_it_is_packed(server, packed):
    body = bytes(50_000_000 if packed else 200_000)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    status, answered, answer = await post(server, gzip.compress(body) if packed else body, **headers)
    assert (status, answered) == (413, PROTOBUF)
    assert "larger than 100000 bytes" in status_of(PROTOBUF, answer).message


@pytest.mark.parametrize("kind", ["text/plain", "application/grpc", "application/octet-stream"])
async def test_other_content_types_are_refused(server, kind):
    status, answered, answer = await post(server, encoded(PROTOBUF, export()), kind)
    assert (status, answered) == (415, JSON)
    assert "application/x-protobuf or application/json" in status_of(JSON, answer).message


async def test_other_methods_and_paths_are_refused(server):
    async with aiohttp.ClientSession() as session:
        async with session.get(server.url) as answer:
            assert answer.status == 405
        async with session.post(server.url.replace("metrics", "traces"), data=b"") as answer:
            assert answer.status == 404


async def test_with_a_token_only_who_shows_it_may_send(serve):
    server = await serve(token="geheim-ä")
    body = encoded(PROTOBUF, export())
    for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "geheim"}):
        status, answered, answer = await post(server, body, **headers)
        assert (status, answered, status_of(PROTOBUF, answer).code) == (401, PROTOBUF, 16)
    status, _, _ = await post(server, body, Authorization="Bearer geheim-ä")
    assert status == 200
