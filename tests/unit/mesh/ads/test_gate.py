"""Who is offered what nobody has accepted yet, and what becomes of what is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.ads.gate import FIRST, TIMEOUT, Gate
from mesh.ads.messages import Request, Response
from mesh.ads.session import Session
from mesh.xds.resources import CDS, ECDS, EDS, LDS, RDS, Resource, Snapshot, SplitMark

ROUTES = "outbound"
KNOWN: dict[tuple[str, str], Resource] = {}


def res(name: str, version: str) -> Resource:
    return KNOWN.setdefault((name, version), Resource(name, version, b""))


def snap(routes="r1", *, clusters=(("a", "1"),), eds="e1", generation=0) -> Snapshot:
    found = dict(clusters)
    mark = SplitMark(generation, frozenset(found), frozenset({ROUTES}))
    return Snapshot(
        {
            CDS: {n: res(n, v) for n, v in found.items()},
            EDS: {n: res(n, eds) for n in found},
            LDS: {"outbound": res("outbound", "l1")},
            ECDS: {"jwt": res("jwt", "t1")},
            RDS: {ROUTES: res(ROUTES, routes)},
        },
        vital=frozenset(),
        splits={"u": mark} if generation else {},
    )


class Envoy:
    """Answers all that it is sent, unless it is told to wait; refuses versions that begin with ``bad``."""

    def __init__(self, mesh: Mesh, name: str) -> None:
        self.mesh, self.name, self.session = mesh, name, Session()
        self.held: dict[tuple[str, str], str] = {}
        self.got: list[str] = []
        self.inbox: list[Response] = []
        self.silent = False
        self.refuses: set[str] = set()

    def connect(self) -> None:
        self.inbox.clear()
        self.session = Session()
        self.mesh.gate.leave(self.name)
        self.mesh.offer(self)
        for type_url, names in ((CDS, "*"), (EDS, "ab"), (LDS, "*"), (RDS, (ROUTES,))):
            held = {n: v for (t, n), v in self.held.items() if t == type_url}
            self.say(Request(type_url, tuple(names), held=held))

    def say(self, request: Request) -> None:
        self.inbox += self.session.receive(request, self.mesh.now)
        if self.mesh.gate.learn(self.name, self.session):
            self.mesh.offer(self)
        self.mesh.offer_waiting()

    def offered(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            self.inbox += self.session.offer(snapshot, self.mesh.now)

    def answer(self) -> None:
        while self.inbox and not self.silent:
            response = self.inbox.pop(0)
            self.got += [r.version for r in response.resources]
            bad = [r for r in response.resources if r.version.startswith("bad") or r.version in self.refuses]
            for resource in response.resources:
                if not bad or (response.type_url == CDS and resource not in bad):
                    self.held[response.type_url, resource.name] = resource.version
            for name in response.removed:
                self.held.pop((response.type_url, name), None)
            error = f"no {bad[0].name}, said {self.name}" if bad else None
            self.say(Request(response.type_url, nonce=response.nonce, error=error))


class Mesh:
    """A gate and proxies."""

    def __init__(self, count: int) -> None:
        self.gate, self.now = Gate(), 0.0
        self.proxies = [Envoy(self, f"shop/{n}") for n in range(count)]
        self.wanted: dict[str, Snapshot] = {}

    def start(self, snapshot: Snapshot) -> None:
        self.publish(snapshot)
        for proxy in self.proxies:
            proxy.connect()
        self.settle()

    def publish(self, snapshot: Snapshot, **others: Snapshot) -> None:
        self.gate.begin(self.now)
        for proxy in self.proxies:
            self.wanted[proxy.name] = others.get(proxy.name.replace("shop/", "p"), snapshot)
            self.offer(proxy)

    def offer(self, proxy: Envoy) -> None:
        wanted = self.wanted[proxy.name]
        proxy.offered(self.gate.offer(proxy.name, wanted, proxy.session, self.now))

    def offer_waiting(self) -> None:
        while self.gate.unlocked():
            for proxy in self.proxies:
                if proxy.name in self.gate.waiting:
                    self.offer(proxy)

    def settle(self) -> None:
        for _ in range(100):
            if not any(p.inbox and not p.silent for p in self.proxies):
                return
            for proxy in self.proxies:
                proxy.answer()
        pytest.fail("they never stop talking")

    def having(self, version: str) -> int:
        return sum(version in p.held.values() for p in self.proxies)

    def told(self, version: str) -> int:
        return sum(version in p.got for p in self.proxies)


@pytest.fixture
def mesh() -> Mesh:
    made = Mesh(8)
    made.start(snap())
    assert made.having("r1") == 8
    return made


def test_what_is_new_goes_to_a_few_first_and_to_all_when_one_accepts_it(mesh):
    mesh.publish(snap("r2"))
    first = [p for p in mesh.proxies if p.inbox]
    assert len(first) == FIRST
    first[1].answer()
    assert all(p.inbox for p in mesh.proxies if p is not first[1])
    mesh.settle()
    assert mesh.having("r2") == 8


def test_what_is_refused_goes_to_nobody_else(mesh):
    mesh.publish(snap("bad"))
    mesh.settle()
    assert mesh.told("bad") <= FIRST
    assert mesh.having("r1") == 8
    final = [r for r in mesh.gate.news() if r.final]
    assert {(r.type_url, r.name, r.version) for r in final} == {(RDS, ROUTES, "bad")}
    assert final[0].message.startswith("no outbound")
    mesh.publish(snap("r3"))
    mesh.settle()
    assert mesh.having("r3") == 8


def test_endpoints_do_not_wait_for_what_is_refused(mesh):
    mesh.publish(snap("bad"))
    mesh.settle()
    mesh.publish(snap("bad", eds="e2"))
    mesh.settle()
    assert mesh.having("e2") == 8
    assert mesh.told("bad") <= FIRST


def test_endpoints_do_not_wait_for_those_that_go_first(mesh):
    for proxy in mesh.proxies[:FIRST]:
        proxy.silent = True
    mesh.publish(snap("r2", eds="e2"))
    mesh.settle()
    assert mesh.having("e2") == 8 - FIRST
    assert mesh.having("r2") == 0


def test_a_proxy_that_does_not_answer_gives_its_place_to_another(mesh):
    for proxy in mesh.proxies[:FIRST]:
        proxy.silent = True
    mesh.publish(snap("r2"))
    mesh.settle()
    mesh.now = TIMEOUT / 2
    mesh.gate.tick(mesh.now)
    mesh.offer_waiting()
    assert not any(p.inbox for p in mesh.proxies[FIRST:])
    mesh.now = TIMEOUT
    mesh.gate.tick(mesh.now)
    mesh.offer_waiting()
    mesh.settle()
    assert mesh.having("r2") == 8 - FIRST
    for proxy in mesh.proxies:
        proxy.silent = False
    mesh.settle()
    assert mesh.having("r2") == 8


def test_a_proxy_that_goes_gives_its_place_to_another(mesh):
    mesh.publish(snap("r2"))
    for proxy in mesh.proxies[:FIRST]:
        proxy.inbox.clear()
        mesh.gate.leave(proxy.name)
    mesh.offer_waiting()
    mesh.settle()
    assert mesh.having("r2") == 8 - FIRST


def test_what_only_one_refuses_goes_to_all_others(mesh):
    mesh.proxies[0].refuses.add("r2")
    mesh.publish(snap("r2"))
    mesh.settle()
    assert mesh.having("r2") == 7
    assert mesh.proxies[0].held[RDS, ROUTES] == "r1"
    assert [r.final for r in mesh.gate.news()] == [False]


def test_what_only_one_is_to_hold_is_final_when_it_refuses(mesh):
    mesh.publish(snap(), p3=snap("bad own"))
    mesh.settle()
    assert mesh.told("bad own") == 1
    assert [(r.proxy, r.final) for r in mesh.gate.news()] == [("shop/3", True)]
    assert mesh.proxies[3].held[RDS, ROUTES] == "r1"


def test_what_differs_from_pod_to_pod_goes_to_a_few_first_as_well(mesh):
    mesh.publish(snap(), **{f"p{n}": snap(f"bad{n}") for n in range(8)})
    mesh.settle()
    assert sum(any(v.startswith("bad") for v in p.got) for p in mesh.proxies) == FIRST
    mesh.publish(snap(), **{f"p{n}": snap(f"own{n}") for n in range(8)})
    assert sum(bool(p.inbox) for p in mesh.proxies) == FIRST
    mesh.settle()
    assert all(p.held[RDS, ROUTES] == f"own{n}" for n, p in enumerate(mesh.proxies))


def test_what_all_refuse_each_for_itself_is_tried_by_a_few_more_as_time_goes_by(mesh):
    mesh.publish(snap(), **{f"p{n}": snap(f"bad{n}") for n in range(8)})
    mesh.settle()
    mesh.now = TIMEOUT
    mesh.gate.tick(mesh.now)
    mesh.offer_waiting()
    mesh.settle()
    assert sum(any(v.startswith("bad") for v in p.got) for p in mesh.proxies) == 2 * FIRST


def test_all_else_goes_on_and_clusters_stay_that_the_old_routes_lead_to(mesh):
    mesh.publish(snap("bad", clusters=(("b", "1"),)))
    mesh.settle()
    assert mesh.gate.withheld("shop/7").keys() == {(RDS, ROUTES)}
    assert all({n for t, n in p.held if t == CDS} == {"a", "b"} for p in mesh.proxies)
    mesh.publish(snap("r3", clusters=(("b", "1"),)))
    mesh.settle()
    assert all({n for t, n in p.held if t == CDS} == {"b"} for p in mesh.proxies)


def test_a_refused_cluster_stays_as_it_was_while_its_siblings_change(mesh):
    mesh.publish(snap("r2", clusters=(("a", "bad"), ("b", "1"))))
    mesh.settle()
    assert mesh.told("bad") <= FIRST
    assert all(p.held[CDS, "a"] == "1" and p.held[CDS, "b"] == "1" for p in mesh.proxies)
    assert mesh.having("r2") == 8


def test_weights_that_were_refused_are_not_acknowledged(mesh):
    mesh.publish(snap("r2", generation=1))
    mesh.settle()
    mesh.publish(snap("bad", generation=2))
    mesh.settle()
    assert {p.session.generation("u") for p in mesh.proxies} == {1}
    assert all(mesh.gate.refusal(p.name, "u") for p in mesh.proxies)
    mesh.publish(snap("r3", generation=3))
    mesh.settle()
    assert {p.session.generation("u") for p in mesh.proxies} == {3}
    assert not any(mesh.gate.refusal(p.name, "u") for p in mesh.proxies)


def test_weights_that_wait_are_not_acknowledged_where_they_are_not_held(mesh):
    mesh.publish(snap("r2", generation=1))
    mesh.settle()
    mesh.publish(snap("r3", generation=2))
    assert {p.session.generation("u") for p in mesh.proxies} == {1}


def test_a_restarted_control_plane_hears_from_the_proxies_what_they_accept(mesh):
    mesh.gate = Gate()
    for proxy in mesh.proxies:
        proxy.got.clear()
    for proxy in mesh.proxies:
        proxy.connect()
    mesh.settle()
    assert not any(p.got for p in mesh.proxies)
    assert mesh.gate.waiting == []


def test_a_proxy_that_comes_anew_is_not_kept_from_starting_by_what_is_refused(mesh):
    mesh.publish(snap("bad"))
    mesh.settle()
    mesh.proxies.append(late := Envoy(mesh, "shop/late"))
    mesh.wanted[late.name] = snap("bad")
    late.connect()
    mesh.settle()
    assert late.held[LDS, "outbound"] == "l1"


def test_what_is_gone_is_forgotten(mesh):
    mesh.publish(snap("bad"))
    mesh.settle()
    mesh.gate.news()
    mesh.gate.retain({"shop/7"})
    assert mesh.gate.withheld("shop/0") == {}
    assert mesh.gate.desired("shop/7") is not None


@settings(max_examples=200)
@given(st.data())
def test_whatever_happens_bad_versions_reach_few_and_good_ones_all(data):
    mesh = Mesh(7)
    mesh.start(snap())
    numbers, reconnects = itertools.count(2), 0
    for _ in range(data.draw(st.integers(1, 8))):
        kind = data.draw(st.sampled_from(["good", "bad", "cluster", "eds", "reconnect", "answer"]))
        number = next(numbers)
        if kind == "reconnect":
            reconnects += 1
            proxy = data.draw(st.sampled_from(mesh.proxies))
            proxy.connect()
        elif kind == "answer":
            for proxy in data.draw(st.permutations(mesh.proxies))[:3]:
                proxy.answer()
        elif kind == "cluster":
            mesh.publish(snap(f"r{number}", clusters=(("a", f"bad{number}"), ("b", "1"))))
        else:
            mesh.publish(snap(f"{'bad' if kind == 'bad' else 'r'}{number}", eds=f"e{number if kind == 'eds' else 1}"))
    mesh.settle()
    mesh.publish(snap("last"))
    mesh.settle()
    assert mesh.having("last") == 7
    assert mesh.gate.waiting == []
    for version in {v for p in mesh.proxies for v in p.got if v.startswith("bad")}:
        assert mesh.told(version) <= FIRST + reconnects
