"""The discovery protocol, message by message."""

from __future__ import annotations

import pytest

from mesh.ads.messages import Request
from mesh.ads.session import TIMEOUT, Session
from mesh.xds.resources import CDS, ECDS, EDS, LDS, RDS, Resource, Snapshot, SplitMark
from mesh.xds.routes import OUTBOUND_ROUTES


def res(name: str, version: str) -> Resource:
    return Resource(name, version, b"")


def snap(
    clusters: dict[str, str], *, eds=None, routes="r1", listener="l1", tokens="t1", vital=(), splits=None
) -> Snapshot:
    eds = dict.fromkeys(clusters, "e1") if eds is None else eds
    return Snapshot(
        {
            CDS: {n: res(n, v) for n, v in clusters.items()},
            EDS: {n: res(n, v) for n, v in eds.items()},
            LDS: {"outbound": res("outbound", listener)},
            ECDS: {"jwt": res("jwt", tokens)},
            RDS: {OUTBOUND_ROUTES: res(OUTBOUND_ROUTES, routes)},
        },
        vital=frozenset(vital),
        splits=splits or {},
    )


class Proxy:
    """Answers as told, one step at a time."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.now = 0.0

    def offer(self, snapshot: Snapshot):
        return self.session.offer(snapshot, self.now)

    def ask(self, type_url: str, *names: str, held=None, drop=()):
        return self.session.receive(Request(type_url, names, drop, held or {}), self.now)

    def ack(self, response):
        return self.session.receive(Request(response.type_url, nonce=response.nonce), self.now)

    def nack(self, response, error="bad"):
        return self.session.receive(Request(response.type_url, nonce=response.nonce, error=error), self.now)

    def start(self, snapshot: Snapshot) -> None:
        """Go through a first connection as Envoy does."""
        assert self.offer(snapshot) == []
        clusters = only(self.ask(CDS, "*"))
        self.ack(clusters)
        names = [r.name for r in clusters.resources if r.name in snapshot.of(EDS)]
        if names:
            self.ack(only(self.ask(EDS, *names)))
        self.ack(only(self.ask(LDS, "*")))
        self.ack(only(self.ask(RDS, OUTBOUND_ROUTES)))


def only(responses):
    (response,) = responses
    return response


def said(responses):
    return [(r.type_url.rpartition(".")[2], {x.name: x.version for x in r.resources}, r.removed) for r in responses]


@pytest.fixture
def proxy() -> Proxy:
    return Proxy(Session())


def test_a_first_connection_is_told_everything(proxy):
    proxy.start(snap({"a": "1"}))
    assert proxy.session.holds(CDS) == {"a": "1"}
    assert proxy.session.holds(RDS) == {OUTBOUND_ROUTES: "r1"}


def test_nothing_is_said_before_there_is_a_snapshot(proxy):
    assert proxy.ask(CDS, "*") == []
    assert said(proxy.offer(snap({"a": "1"}))) == [("Cluster", {"a": "1"}, ())]


def test_a_legacy_wildcard_subscription_has_no_names(proxy):
    proxy.offer(snap({"a": "1"}))
    assert said(proxy.ask(CDS)) == [("Cluster", {"a": "1"}, ())]


def test_a_proxy_without_anything_to_hold_is_answered_so_that_it_can_start(proxy):
    proxy.offer(snap({}))
    assert said(proxy.ask(CDS, "*")) == [("Cluster", {}, ())]
    assert proxy.session.tick(1) == []


def test_a_proxy_that_holds_everything_is_told_nothing(proxy):
    proxy.offer(snap({"a": "1"}))
    assert proxy.ask(CDS, "*", held={"a": "1"}) == []
    assert proxy.ask(EDS, "a", held={"a": "e1"}) == []
    assert proxy.ask(LDS, "*", held={"outbound": "l1"}) == []
    assert proxy.ask(RDS, OUTBOUND_ROUTES, held={OUTBOUND_ROUTES: "r1"}) == []


def test_a_proxy_that_held_more_is_told_what_is_gone(proxy):
    proxy.offer(snap({"a": "1"}))
    assert proxy.ask(CDS, "*", held={"a": "1", "old": "1"}) == []
    assert proxy.ask(EDS, "a", held={"a": "e1"}) == []
    assert proxy.ask(LDS, "*", held={"outbound": "l1"}) == []
    assert said(proxy.ask(RDS, OUTBOUND_ROUTES, held={OUTBOUND_ROUTES: "r1"})) == [("Cluster", {}, ("old",))]


def test_the_same_snapshot_is_not_sent_twice(proxy):
    proxy.start(snap({"a": "1"}))
    assert proxy.offer(snap({"a": "1"})) == []


def test_a_new_cluster_is_ready_before_a_route_names_it(proxy):
    proxy.start(snap({"a": "1"}))
    first = proxy.offer(snap({"a": "1", "b": "1"}, routes="r2", vital={"b"}))
    assert said(first) == [("Cluster", {"b": "1"}, ())]
    assert proxy.ack(only(first)) == []
    endpoints = proxy.ask(EDS, "b")
    assert said(endpoints) == [("ClusterLoadAssignment", {"b": "e1"}, ())]
    assert said(proxy.ack(only(endpoints))) == [("RouteConfiguration", {OUTBOUND_ROUTES: "r2"}, ())]


def test_a_changed_cluster_gets_its_endpoints_again_since_it_warms_until_then(proxy):
    proxy.start(snap({"a": "1", "b": "1"}))
    assert said(proxy.offer(snap({"a": "2", "b": "1"}))) == [
        ("Cluster", {"a": "2"}, ()),
        ("ClusterLoadAssignment", {"a": "e1"}, ()),
    ]


def test_a_cluster_goes_only_when_the_routes_without_it_are_held(proxy):
    proxy.start(snap({"a": "1", "b": "1"}))
    routes = proxy.offer(snap({"a": "1"}, routes="r2"))
    assert said(routes) == [("RouteConfiguration", {OUTBOUND_ROUTES: "r2"}, ())]
    assert said(proxy.ack(only(routes))) == [("Cluster", {}, ("b",))]


def test_a_cluster_stays_when_the_routes_without_it_were_refused(proxy):
    proxy.start(snap({"a": "1", "b": "1"}))
    routes = proxy.offer(snap({"a": "1"}, routes="r2"))
    assert proxy.nack(only(routes)) == []
    assert proxy.session.tick(100.0) == []


def test_a_cluster_that_comes_back_while_it_goes_is_there_before_its_routes(proxy):
    proxy.start(snap({"a": "1"}, routes="to a"))
    routes = only(proxy.offer(snap({}, routes="to none")))
    going = only(proxy.ack(routes))
    assert going.removed == ("a",)
    assert said(proxy.offer(snap({"a": "1"}, routes="to a again"))) == []  # Envoy has taken it away by now
    sent = [kind for kind, _, _ in said(proxy.ack(going))]
    assert "Cluster" in sent
    assert "RouteConfiguration" not in sent


def test_changes_while_a_response_is_in_flight_become_one(proxy):
    proxy.start(snap({"a": "1"}))
    first = only(proxy.offer(snap({"a": "1"}, routes="r2")))
    assert proxy.offer(snap({"a": "1"}, routes="r3")) == []
    assert proxy.offer(snap({"a": "1"}, routes="r4")) == []
    assert said(proxy.ack(first)) == [("RouteConfiguration", {OUTBOUND_ROUTES: "r4"}, ())]


def test_policies_that_ask_for_tokens_wait_for_the_filter_that_reads_them(proxy):
    proxy.start(snap({}))
    proxy.ack(only(proxy.ask(ECDS, "jwt")))
    tokens = only(proxy.offer(snap({}, tokens="t2", routes="r2")))
    assert said([tokens]) == [("TypedExtensionConfig", {"jwt": "t2"}, ())]
    assert said(proxy.ack(tokens)) == [("RouteConfiguration", {OUTBOUND_ROUTES: "r2"}, ())]


def test_routes_do_not_wait_for_a_filter_that_nobody_asks_for(proxy):
    proxy.start(snap({}))
    assert said(proxy.offer(snap({}, tokens="t2", routes="r2"))) == [
        ("RouteConfiguration", {OUTBOUND_ROUTES: "r2"}, ()),
    ]


def test_a_response_without_an_answer_is_given_up(proxy):
    proxy.start(snap({"a": "1"}))
    proxy.offer(snap({"a": "bad"}))
    assert proxy.offer(snap({"a": "2"})) == []
    assert ("Cluster", {"a": "2"}, ()) in said(proxy.session.tick(TIMEOUT))


def test_routes_do_not_wait_for_ever_for_an_unrelated_cluster(proxy):
    proxy.start(snap({"a": "1"}))
    proxy.offer(snap({"a": "1", "odd": "1"}, routes="r2"))
    assert proxy.session.tick(TIMEOUT / 2) == []
    assert said(proxy.session.tick(TIMEOUT)) == [("RouteConfiguration", {OUTBOUND_ROUTES: "r2"}, ())]


def test_weights_wait_for_their_backend_as_long_as_it_takes(proxy):
    proxy.start(snap({"a": "1"}))
    clusters = {"a": "1", "canary": "1"}
    proxy.offer(snap(clusters, routes="r2", vital={"a", "canary"}))
    assert proxy.session.tick(100 * TIMEOUT) == []
    proxy.now = 100 * TIMEOUT
    back = proxy.offer(snap(clusters, routes="r3", vital={"a"}))
    assert said(back) == [("RouteConfiguration", {OUTBOUND_ROUTES: "r3"}, ())]


def test_a_refused_version_is_not_sent_again_but_the_next_one_is(proxy):
    proxy.start(snap({"a": "1"}))
    assert proxy.nack(only(proxy.offer(snap({"a": "1"}, routes="bad")))) == []
    assert proxy.offer(snap({"a": "1"}, routes="bad")) == []
    assert said(proxy.offer(snap({"a": "1"}, routes="r1"))) == [("RouteConfiguration", {OUTBOUND_ROUTES: "r1"}, ())]


def test_good_siblings_of_a_refused_cluster_count_as_held(proxy):
    proxy.start(snap({"a": "1"}))
    clusters = only(proxy.offer(snap({"a": "1", "bad": "1", "good": "1"})))
    proxy.nack(clusters, "Error adding/updating cluster(s) bad: no")
    assert proxy.session.holds(CDS) == {"a": "1", "good": "1"}


def test_what_is_asked_for_again_is_sent_again(proxy):
    proxy.start(snap({"a": "1"}))
    assert said(proxy.ask(EDS, "a")) == [("ClusterLoadAssignment", {"a": "e1"}, ())]


def test_what_is_asked_for_and_does_not_exist_is_said_to_be_gone(proxy):
    proxy.start(snap({"a": "1"}))
    assert said(proxy.ask(EDS, "nosuch")) == [("ClusterLoadAssignment", {}, ("nosuch",))]


def test_what_is_no_longer_wanted_is_no_longer_sent(proxy):
    proxy.start(snap({"a": "1", "b": "1"}))
    proxy.ask(EDS, drop=("b",))
    assert said(proxy.offer(snap({"a": "1", "b": "1"}, eds={"a": "e2", "b": "e2"}))) == [
        ("ClusterLoadAssignment", {"a": "e2"}, ())
    ]


def test_an_answer_to_an_unknown_response_changes_nothing(proxy):
    proxy.start(snap({"a": "1"}))
    assert proxy.session.receive(Request(RDS, nonce="nosuch", error="x"), 0) == []
    assert proxy.session.holds(RDS) == {OUTBOUND_ROUTES: "r1"}


def test_types_that_the_mesh_does_not_serve_are_not_answered(proxy):
    assert proxy.ask("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "x") == []


def test_a_generation_counts_when_the_routes_that_carry_it_are_held(proxy):
    mark = SplitMark(1, frozenset({"a"}))
    proxy.start(snap({"a": "1"}, splits={"u": mark}))
    assert proxy.session.generation("u") == 1
    routes = only(proxy.offer(snap({"a": "1"}, routes="r2", splits={"u": SplitMark(2, frozenset({"a"}))})))
    assert proxy.session.generation("u") == 1
    proxy.ack(routes)
    assert proxy.session.generation("u") == 2


def test_a_generation_that_changes_no_route_waits_for_its_clusters(proxy):
    proxy.start(snap({"a": "1"}, splits={"u": SplitMark(1, frozenset({"a"}))}))
    responses = proxy.offer(snap({"a": "2"}, splits={"u": SplitMark(2, frozenset({"a"}))}))
    assert proxy.session.generation("u") is None
    for response in responses:
        proxy.ack(response)
    assert proxy.session.generation("u") == 2


def test_another_hosts_change_takes_no_acknowledgement_away(proxy):
    mark = {"u": SplitMark(1, frozenset({"a"}))}
    proxy.start(snap({"a": "1"}, splits=mark))
    proxy.offer(snap({"a": "1"}, routes="r2", splits=mark))
    assert proxy.session.generation("u") == 1


def test_a_reconnected_proxy_that_holds_the_weights_has_acknowledged_them(proxy):
    proxy.offer(snap({"a": "1"}, splits={"u": SplitMark(7, frozenset({"a"}))}))
    proxy.ask(CDS, "*", held={"a": "1"})
    proxy.ask(EDS, "a", held={"a": "e1"})
    proxy.ask(LDS, "*", held={"outbound": "l1"})
    assert proxy.session.generation("u") is None
    proxy.ask(RDS, OUTBOUND_ROUTES, held={OUTBOUND_ROUTES: "r1"})
    assert proxy.session.generation("u") == 7
