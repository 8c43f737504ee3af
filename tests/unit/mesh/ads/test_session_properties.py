"""Whatever changes come, in whatever order answers arrive: a proxy never routes to what it does not have."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mesh.ads.messages import Request, Response
from mesh.ads.session import Session
from mesh.xds.resources import CDS, EDS, LDS, RDS, Resource, Snapshot, SplitMark
from mesh.xds.routes import OUTBOUND_ROUTES

NAMES = ("a", "b", "c")
CLUSTERS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from("12"))


class Envoy:
    """What matters of Envoy: clusters warm until their endpoints come, names are subscribed to as they are needed."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, str]] = {t: {} for t in (CDS, EDS, LDS, RDS)}
        self.warming: set[str] = set()
        self.active: set[str] = set()
        self.routed: frozenset[str] = frozenset()
        self.initialised = False

    def first_requests(self) -> list[Request]:
        """Return what Envoy says on a new stream.

        A cluster that was warming stays as it was before, until initial_fetch_timeout ends its warming.
        """
        self.warming -= self.held[EDS].keys()
        requests = [Request(CDS, ("*",), held=dict(self.held[CDS]))]
        if self.held[CDS]:
            requests.append(Request(EDS, tuple(self.held[CDS]), held=dict(self.held[EDS])))
        if self.initialised:
            requests.append(Request(LDS, ("*",), held=dict(self.held[LDS])))
        if self.held[LDS]:
            requests.append(Request(RDS, (OUTBOUND_ROUTES,), held=dict(self.held[RDS])))
        return requests

    def apply(self, response: Response) -> list[Request]:
        """Apply a response; return the acknowledgement and what Envoy asks for next."""
        held = self.held[response.type_url]
        new = [r.name for r in response.resources if r.name not in held]
        for resource in response.resources:
            # What it has not asked for (any more), Envoy does not keep.
            if response.type_url != EDS or resource.name in self.held[CDS]:
                held[resource.name] = resource.version
        for name in response.removed:
            held.pop(name, None)
        ack = Request(response.type_url, nonce=response.nonce)
        return [ack, *getattr(self, f"_{response.type_url.rpartition('.')[2].lower()}")(response, new)]

    def _cluster(self, response: Response, new: list[str]) -> list[Request]:
        for name in response.removed:
            self.active.discard(name)
            self.warming.discard(name)
            self.held[EDS].pop(name, None)
        # A changed cluster serves as it was until the new one is warm.
        self.warming.update(r.name for r in response.resources)
        requests = []
        if new or response.removed:
            requests.append(Request(EDS, tuple(new), tuple(response.removed)))
        if not self.initialised:
            self.initialised = True
            requests.append(Request(LDS, ("*",)))
        return requests

    def _clusterloadassignment(self, response: Response, _: list[str]) -> list[Request]:
        for resource in response.resources:
            if resource.name in self.held[CDS]:
                self.warming.discard(resource.name)
                self.active.add(resource.name)
        return []

    def _listener(self, _: Response, new: list[str]) -> list[Request]:
        return [Request(RDS, (OUTBOUND_ROUTES,))] if new else []

    def _routeconfiguration(self, response: Response, _: list[str]) -> list[Request]:
        for resource in response.resources:
            self.routed = frozenset(filter(None, resource.version.split("+")))
        return []


class Streams(RuleBasedStateMachine):
    """A control plane and an Envoy, with messages under way in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.envoy = Envoy()
        self.known: dict[tuple[str, str], Resource] = {}
        self.snapshot: Snapshot | None = None
        self.generation = 0
        self.connect()

    def connect(self) -> None:
        self.session = Session()
        self.down: deque[Response] = deque()
        self.up: deque[Request] = deque(self.envoy.first_requests())
        if self.snapshot:
            self.down.extend(self.session.offer(self.snapshot, 0))

    def make(self, name: str, version: str) -> Resource:
        return self.known.setdefault((name, version), Resource(name, version, b""))

    @rule(clusters=CLUSTERS, endpoints=st.sampled_from("xy"), data=st.data())
    def change(self, clusters, endpoints, data):
        routed = frozenset(data.draw(st.sets(st.sampled_from(sorted(clusters))))) if clusters else frozenset()
        self.generation += 1
        self.snapshot = Snapshot(
            {
                CDS: {n: self.make(n, v) for n, v in clusters.items()},
                EDS: {n: self.make(n, endpoints) for n in clusters},
                LDS: {"outbound": self.make("outbound", "l")},
                RDS: {OUTBOUND_ROUTES: self.make(OUTBOUND_ROUTES, "+".join(sorted(routed)))},
            },
            vital=routed,
            splits={"u": SplitMark(self.generation, routed)},
        )
        self.down.extend(self.session.offer(self.snapshot, 0))

    @precondition(lambda self: self.up)
    @rule()
    def a_request_arrives(self):
        self.down.extend(self.session.receive(self.up.popleft(), 0))

    @precondition(lambda self: self.down)
    @rule()
    def a_response_arrives(self):
        self.up.extend(self.envoy.apply(self.down.popleft()))

    @rule()
    def the_stream_breaks(self):
        self.connect()

    @rule()
    def all_is_delivered(self):
        self.drain()
        if self.snapshot is None:
            return
        for type_url in (CDS, LDS, RDS, EDS):
            wanted = {n: r.version for n, r in self.snapshot.of(type_url).items()}
            assert self.envoy.held[type_url] == wanted, type_url
        assert self.session.generation("u") == self.generation
        assert not self.envoy.warming

    @precondition(lambda self: self.snapshot)
    @rule()
    def a_restarted_control_plane_says_nothing(self):
        self.drain()
        self.connect()
        while self.up:
            responses = self.session.receive(self.up.popleft(), 0)
            # A proxy that holds nothing cannot be told from one that starts, so it gets an empty answer.
            assert not any(r.resources or r.removed for r in responses)
            self.down.extend(responses)
        assert self.session.generation("u") == self.generation

    def drain(self) -> None:
        for _ in range(1000):
            if self.down:
                self.a_response_arrives()
            elif self.up:
                self.a_request_arrives()
            else:
                return
        raise AssertionError("the two never stop talking")

    @invariant()
    def routes_lead_to_clusters_that_are_there(self):
        assert self.envoy.routed <= self.envoy.active


Streams.TestCase.settings = settings(max_examples=100, stateful_step_count=25)
TestStreams = Streams.TestCase
