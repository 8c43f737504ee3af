"""The real OpenTelemetry SDK in several processes, over a real socket: what they served is what the judge is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter

import pytest

from analysis.api.opentelemetry import OpenTelemetryCounts
from analysis.judges import judge
from analysis.model.counts import Arm
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy
from analysis.model.verdict import Decision
from analysis.providers.base import UnavailableError
from analysis.providers.opentelemetry.schema import ENTRIES

pytestmark = pytest.mark.integration
STABLE, CANARY = "payment-a", "payment-canary-b"
ARMS = {STABLE: Arm.BASELINE, CANARY: Arm.CANARY}
SETTINGS = {"preset": "Http", "exportInterval": "1s", "lateness": "0s"}
BOUNDS = (100.0, 1000.0)


def open_source(server, bounds=BOUNDS, arms=None, **written):
    settings = OpenTelemetryCounts.model_validate(SETTINGS | written)
    return server.receiver.open_counts(settings, bounds_ms=bounds, pods=lambda: arms or ARMS)


def totals(windows):
    """Return attempts, errors and latency by pod."""
    attempts, errors, latency = Counter(), Counter(), {}
    for window in windows:
        for pod in window.pods:
            attempts[pod.pod] += pod.attempts
            errors[pod.pod] += pod.errors
            if pod.latency:
                before = latency.get(pod.pod, (0,) * len(pod.latency))
                latency[pod.pod] = tuple(map(sum, zip(before, pod.latency, strict=True)))
    return {pod: (attempts[pod], errors[pod], latency.get(pod)) for pod in attempts}


async def read_until(source, begun, wanted, eventually):
    """Read as the controller does, always from the end of the last window, until the totals are as expected."""
    windows = []

    async def more():
        since = windows[-1].end if windows else begun
        windows.extend(await source.read(since, time.time()))
        return totals(windows) == wanted

    try:
        await eventually(more, "the counts that were served")
    except AssertionError as error:
        raise AssertionError(f"{totals(windows)}, problems {source.problems}") from error
    assert all(one.end <= other.start for one, other in itertools.pairwise(windows))
    return windows


EXPLICIT = {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "explicit_bucket_histogram"}
EXPONENTIAL = {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"}
CUMULATIVE = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "CUMULATIVE"}
DELTA = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "DELTA"}
GZIP = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}


@pytest.mark.parametrize(
    ("protocol", "environment", "bounds"),
    [
        ("proto", EXPLICIT | CUMULATIVE, (100.0, 1000.0)),
        ("proto", EXPONENTIAL | DELTA | GZIP, (125.0, 1000.0)),
        ("json", EXPONENTIAL | CUMULATIVE, (125.0, 1000.0)),
        ("json", EXPLICIT | DELTA | GZIP, (100.0, 1000.0)),
    ],
    ids=["protobuf-explicit", "protobuf-exponential-delta-gzip", "json-exponential", "json-explicit-delta-gzip"],
)
async def test_every_request_is_counted_once_also_across_a_restart(
    serve, start_pod, eventually, protocol, environment, bounds
):
    server = await serve()
    begun = time.time() - 10
    source = open_source(server, bounds)
    with pytest.raises(UnavailableError):
        await source.bounds()
    stable, canary = [await start_pod(name, server, protocol, **environment) for name in ARMS]
    await stable.serves((200, 0.02, 700), (404, 0.3, 11))
    await canary.serves((200, 0.02, 90), (500, 0.3, 1))
    await canary.serves((200, 2.0, 5), (503, 0.02, 2))
    assert set(bounds) <= set(await source.bounds())
    await canary.kill()
    canary = await start_pod(CANARY, server, protocol, **environment)
    await canary.serves((200, 0.02, 40), (500, 0.02, 8))
    await stable.serves((200, 0.02, 9))
    wanted = {STABLE: (720, 0, (709, 11, 0)), CANARY: (146, 11, (140, 1, 5))}
    windows = await read_until(source, begun, wanted, eventually)
    routes = {(pod.pod, pod.arm, pod.route) for window in windows for pod in window.pods}
    assert routes == {(name, arm, "/pay") for name, arm in ARMS.items()}
    assert list(await source.read(begun, windows[-1].end)) == windows  # asked again, the same
    await source.close()


async def test_a_bad_canary_is_taken_back(serve, start_pod, eventually):
    decision, verdict = await judged(serve, start_pod, eventually, errors=8, wanted=Decision.ROLL_BACK)
    assert decision is Decision.ROLL_BACK
    assert "errors" in verdict.summary


async def test_a_canary_that_is_as_good_is_promoted(serve, start_pod, eventually):
    decision, _ = await judged(serve, start_pod, eventually, errors=0, wanted=Decision.PROMOTE)
    assert decision is Decision.PROMOTE


async def judged(serve, start_pod, eventually, *, errors, wanted):
    """Serve 200 requests at each of three pods again and again, until there is a verdict."""
    arms = {STABLE: Arm.BASELINE, "payment-c": Arm.BASELINE, CANARY: Arm.CANARY}
    server = await serve()
    source = open_source(server, (), arms)
    began = time.time()
    pods = [await start_pod(name, server) for name in arms]
    for pod in pods:
        await pod.serves((200, 0.02, 1))
    bounds = await source.bounds()
    await source.close()
    source = open_source(server, bounds, arms)
    policy = Policy(bounds, errors=ErrorPolicy(1.5, 0.02, 0.5), latency=LatencyPolicy(1.5, 0.5))
    windows = []

    async def decided():
        served = [(500, 0.02, errors if pod.name == CANARY else 0) for pod in pods]
        await asyncio.gather(
            *(pod.serves((200, 0.02, 180), (200, 0.04, 12), bad) for pod, bad in zip(pods, served, strict=True))
        )
        windows.extend(await source.read(windows[-1].end if windows else began - 10, time.time()))
        verdict = judge(windows, policy, pods_started={CANARY: began}, step_starts=(began,), now=time.time())
        assert verdict.decision in {wanted, Decision.CONTINUE, Decision.NO_DATA, Decision.NO_BASELINE}, verdict.summary
        return verdict if verdict.decision is wanted else None

    verdict = await eventually(decided, f"a verdict {wanted}")
    return verdict.decision, verdict


def test_our_messages_are_those_of_the_official_package(run_with_sdk):
    script = """
import json
from google.protobuf import descriptor_pb2
from google.rpc import status_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
found = {}
def take(messages):
    for message in messages:
        found[message.name] = {field.number: (
            field.type_name.rpartition(".")[2] if field.type == 11 else
            "int32" if field.type == 14 else descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)[5:].lower(),
            field.name, field.label == 3) for field in message.field}
        take(message.nested_type)
for file in (metrics_service_pb2, common_pb2, metrics_pb2, resource_pb2, status_pb2):
    proto = descriptor_pb2.FileDescriptorProto()
    file.DESCRIPTOR.CopyToProto(proto)
    take(proto.message_type)
print(json.dumps(found))
"""
    official = json.loads(run_with_sdk(script))
    for message, fields in ENTRIES.items():
        for kind, name, number in fields:
            assert official[message][str(number)] == [kind.removesuffix("*"), name, kind.endswith("*")], message
