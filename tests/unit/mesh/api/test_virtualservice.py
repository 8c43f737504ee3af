"""What a VirtualService may say; what Envoy would refuse is refused before."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mesh.api.istio import unimplemented
from mesh.api.virtualservice import VirtualServiceSpec

TO = [{"destination": {"host": "payment"}}]


def parsed(http, **more):
    return VirtualServiceSpec.model_validate({"hosts": ["payment"], "http": [http], **more})


@pytest.mark.parametrize(
    "http",
    [
        {"route": TO, "redirect": {"uri": "/a"}},
        {"route": TO, "delegate": {"name": "a"}},
        {"redirect": {"redirectCode": 200}},
        {"redirect": {"port": 80, "derivePort": "FROM_REQUEST_PORT"}},
        {"directResponse": {"status": 99}},
        {"directResponse": {"status": 200, "body": {"string": "a", "bytes": "AA=="}}},
        {"directResponse": {"status": 200, "body": {"bytes": "?"}}},
        {"directResponse": {"status": 200, "body": {"string": "a" * (1 << 20) + "a"}}},
        {"route": TO, "timeout": "9999999h"},
        {"route": TO, "timeout": "soon"},
        {"route": TO, "rewrite": {"uri": "/a", "uriRegexRewrite": {"match": "a"}}},
        {"route": TO, "rewrite": {"authority": "a b"}},
        {"route": TO, "retries": {"backoff": "0s"}},
        {"route": TO, "fault": {"delay": {"fixedDelay": "0s"}}},
        {"route": TO, "fault": {"abort": {"httpStatus": 503, "grpcStatus": "UNAVAILABLE"}}},
        {"route": TO, "fault": {"abort": {"percentage": {"value": 1}}}},
        {"route": TO, "fault": {"abort": {"grpcStatus": "SAD"}}},
        {"route": TO, "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 101}}}},
        {"route": TO, "fault": {"abort": {"httpStatus": 503, "percentage": {"value": float("nan")}}}},
        {"route": TO, "mirror": {"host": "a"}, "mirrors": [{"destination": {"host": "b"}}]},
        {"route": TO, "headers": {"request": {"set": {"no good": "a"}}}},
        {"route": TO, "headers": {"request": {"set": {":path": "/"}}}},
        {"route": TO, "headers": {"request": {"add": {"x": "a\nb"}}}},
        {"route": TO, "match": [{"uri": {"exact": "/a", "prefix": "/b"}}]},
        {"route": TO, "match": [{"uri": {}}]},
        {"route": TO, "match": [{"headers": {"": {}}}]},
    ],
)
def test_what_cannot_be_is_refused(http):
    with pytest.raises(ValidationError):
        parsed(http)


@pytest.mark.parametrize("host", ["a b", "", "*a", "a.*", "http://a", "ü"])
def test_a_host_is_a_name(host):
    with pytest.raises(ValidationError):
        parsed({"route": TO}, hosts=[host])


def test_networks_are_networks():
    with pytest.raises(ValidationError, match="no network"):
        parsed({"route": TO}, tcp=[{"match": [{"destinationSubnets": ["10.0.0.300"]}], "route": TO}])


def test_fields_that_are_unknown_are_found_in_maps_too():
    spec = parsed({"route": TO, "match": [{"headers": {"x-a": {"suffix": "b"}}}]})
    assert unimplemented(spec) == ["spec.http[0].match[0].headers[x-a].suffix"]


@pytest.mark.parametrize(
    ("export", "own", "caller", "seen"),
    [
        ([], "shop", "web", True),
        (["*"], "shop", "web", True),
        (["."], "shop", "web", False),
        (["."], "shop", "shop", True),
        (["web", "."], "shop", "web", True),
        (["back"], "shop", "shop", False),
    ],
)
def test_it_is_seen_where_it_is_exported_to(export, own, caller, seen):
    assert parsed({"route": TO}, exportTo=export).visible(own, caller) is seen


def test_a_body_may_be_bytes():
    (rule,) = parsed({"directResponse": {"status": 200, "body": {"bytes": "AAE="}}}).http
    assert rule.direct_response is not None
    assert rule.direct_response.body is not None
    assert rule.direct_response.body.content == b"\x00\x01"
