"""What people are told of a proxy follows from what it was sent and what it answered."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2

from mesh.ads.ledger import Ledger
from mesh.ads.messages import Request, build_of
from mesh.ads.sync import short_name, status_of_type
from mesh.xds.resources import CDS, EDS, LDS, RDS, Resource


def res(name: str, version: str) -> Resource:
    return Resource(name, version, b"")


def asked(*names: str) -> Ledger:
    ledger = Ledger()
    ledger.subscribe(Request(CDS, subscribe=names), 0.0)
    return ledger


def send(ledger: Ledger, nonce: str, **versions: str) -> None:
    resources = [res(name, version) for name, version in versions.items()]
    ledger.want({r.name: r for r in resources}, 0.0)
    ledger.depart(nonce, resources, [], 0.0)


def answer(ledger: Ledger, nonce: str, error: str | None = None) -> None:
    ledger.answer(Request(CDS, nonce=nonce, error=error), 0.0, siblings_apply=True)


def test_a_type_that_nobody_asked_for_is_not_sent():
    ledger = Ledger()
    ledger.want({"a": res("a", "1")}, 0.0)
    assert status_of_type(ledger).status == "NOT SENT"


def test_what_is_sent_and_not_answered_is_stale_and_named():
    ledger = asked("*")
    send(ledger, "1", a="1", b="1")
    found = status_of_type(ledger)
    assert (found.status, found.pending, found.held, found.version) == ("STALE", ("a", "b"), 0, "")


def test_what_is_acknowledged_is_synced_and_a_new_version_shows():
    ledger = asked("*")
    send(ledger, "1", a="1")
    answer(ledger, "1")
    first = status_of_type(ledger)
    assert (first.status, first.held, first.pending) == ("SYNCED", 1, ())
    send(ledger, "2", a="2")
    assert status_of_type(ledger).status == "STALE"
    answer(ledger, "2")
    second = status_of_type(ledger)
    assert second.status == "SYNCED"
    assert second.version != first.version


def test_a_refusal_is_stale_with_its_reason_until_it_is_mended():
    ledger = asked("*")
    send(ledger, "1", one="1", two="1")
    answer(ledger, "1", "cluster one: bad")
    found = status_of_type(ledger)
    assert found.status == "STALE"
    assert [(r.name, r.message) for r in found.refused] == [("one", "cluster one: bad")]
    assert found.pending == ()
    send(ledger, "2", one="2", two="1")
    assert status_of_type(ledger).refused == ()
    answer(ledger, "2")
    assert status_of_type(ledger).status == "SYNCED"


def test_only_what_the_proxy_asked_for_counts():
    ledger = asked("a")
    send(ledger, "1", a="1")
    answer(ledger, "1")
    ledger.want({"a": ledger.desired["a"], "b": res("b", "1")}, 0.0)
    assert status_of_type(ledger).status == "SYNCED"


def test_types_are_called_as_people_call_them():
    assert [short_name(t) for t in (CDS, EDS, LDS, RDS)] == ["CDS", "EDS", "LDS", "RDS"]
    assert short_name("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret") == "SDS"
    assert short_name("type.googleapis.com/envoy.Other") == "Other"


def test_the_build_is_read_from_the_node():
    wire = discovery_pb2.DeltaDiscoveryRequest()
    wire.node.id = "a"
    assert build_of(wire.SerializeToString()) == ""
    version = wire.node.user_agent_build_version.version
    version.major_number, version.minor_number, version.patch = 1, 40, 0
    assert build_of(wire.SerializeToString()) == "1.40.0"
