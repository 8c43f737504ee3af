"""Secrets on the stream: at once when they are asked for, anew when they change, and before routes need them."""

from __future__ import annotations

from mesh.ads.messages import Request
from mesh.ads.session import Session
from mesh.xds.resources import CDS, LDS, RDS, SDS, Resource, Snapshot
from mesh.xds.routes import OUTBOUND_ROUTES


def res(name: str, version: str) -> Resource:
    return Resource(name, version, b"")


def snap(leaf: str, roots: str = "r1", routes: str = "1") -> Snapshot:
    return Snapshot(
        {
            CDS: {"payment": res("payment", "1")},
            SDS: {"default": res("default", leaf), "ROOTCA": res("ROOTCA", roots)},
            LDS: {"outbound": res("outbound", "1")},
            RDS: {OUTBOUND_ROUTES: res(OUTBOUND_ROUTES, routes)},
        }
    )


def ask(session: Session, type_url: str, *names: str, held=None):
    return session.receive(Request(type_url, names, (), held or {}), 0.0)


def ack(session: Session, response):
    return session.receive(Request(response.type_url, nonce=response.nonce), 0.0)


def sent(responses) -> list[tuple[str, str]]:
    return [(r.name, r.version) for response in responses for r in response.resources]


def test_a_secret_comes_when_it_is_asked_for_and_anew_when_it_changes():
    session = Session()
    session.offer(snap("a"), 0.0)
    ack(session, ask(session, CDS, "*")[0])
    found = ask(session, SDS, "default", "ROOTCA")
    assert sorted(sent(found)) == [("ROOTCA", "r1"), ("default", "a")]
    ack(session, found[0])
    assert sent(session.offer(snap("b"), 0.0)) == [("default", "b")]


def test_nobody_gets_a_secret_unasked():
    session = Session()
    session.offer(snap("a"), 0.0)
    ack(session, ask(session, CDS, "*")[0])
    assert session.offer(snap("b"), 0.0) == []


def test_routes_wait_for_the_secrets_that_were_asked_for():
    session = Session()
    session.offer(snap("a"), 0.0)
    ack(session, ask(session, CDS, "*")[0])
    (secret,) = ask(session, SDS, "default")
    ack(session, ask(session, LDS, "*")[0])
    assert ask(session, RDS, OUTBOUND_ROUTES) == []
    assert sent(ack(session, secret)) == [(OUTBOUND_ROUTES, "1")]


def test_routes_do_not_wait_for_secrets_that_nothing_names():
    session = Session()
    session.offer(snap("a"), 0.0)
    ack(session, ask(session, CDS, "*")[0])
    ack(session, ask(session, LDS, "*")[0])
    assert sent(ask(session, RDS, OUTBOUND_ROUTES)) == [(OUTBOUND_ROUTES, "1")]


def test_a_new_stream_gets_only_what_has_changed_meanwhile():
    session = Session()
    session.offer(snap("b"), 0.0)
    ask(session, CDS, "*", held={"payment": "1"})
    found = ask(session, SDS, "default", "ROOTCA", held={"default": "a", "ROOTCA": "r1"})
    assert sent(found) == [("default", "b")]
