"""Leader election: never two at once, whatever the network, the scheduler and the API server do."""

from __future__ import annotations

import asyncio
import copy

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from rollouts.engine.kube import ConflictError, Kube, KubeError, NotLeaderError
from rollouts.engine.leader import Elector, LeaseSettings

LEASE = LeaseSettings("coalmine-system", "coalmine-controller", seconds=15)


class Time:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Leases:
    """What the API server does with one Lease: versions, conflicts, and answers that get lost."""

    def __init__(self):
        self.stored = None
        self.version = 0
        self.lose_request = self.lose_answer = False

    async def request(self, method, path, *, body=None, **_):
        assert path.startswith("/apis/coordination.k8s.io/v1/namespaces/coalmine-system/leases")
        if self.lose_request:
            raise OSError("connection refused")
        answer = self._do(method, copy.deepcopy(body))
        if self.lose_answer:
            raise TimeoutError
        return copy.deepcopy(answer)

    def _do(self, method, body):
        if method == "GET" or (method == "PUT" and self.stored is None):
            return self.stored
        found = self.stored is not None
        if method == "POST" and found:
            raise ConflictError(409, "AlreadyExists", "it exists")
        if method == "PUT" and body["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", "it changed")
        self.version += 1
        body["metadata"] |= {"uid": "uid-lease", "resourceVersion": str(self.version)}
        self.stored = body
        return body

    @property
    def holder(self):
        return self.stored["spec"]["holderIdentity"]


@pytest.fixture
def leases():
    return Leases()


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def make(leases, time):
    return lambda name, **more: Elector(leases, LEASE, name, clock=time, today=time, **more)


async def test_the_first_one_leads_and_another_waits(make, leases):
    a, b = make("a"), make("b")
    await a.attempt()
    await b.attempt()
    assert (leases.holder, a.left() > 0, b.left() > 0) == ("a", True, False)


async def test_who_cannot_renew_stops_before_another_may_start(make, leases, time):
    a, b = make("a"), make("b")
    await a.attempt()
    await b.attempt()
    time.now += 9
    assert a.left() > 0
    time.now += 2
    assert a.left() <= 0
    await b.attempt()
    assert b.left() <= 0, "the lease lasts 15 seconds"
    time.now += 4
    await b.attempt()
    assert (b.left() > 0, leases.holder) == (True, "b")
    assert leases.stored["spec"]["leaseTransitions"] == 2


async def test_a_stopped_leader_that_wakes_up_leads_no_more(make, time):
    a, b = make("a"), make("b")
    await a.attempt()
    await b.attempt()
    time.now += 20  # SIGSTOP … SIGCONT
    assert a.left() <= 0, "known from the clock alone, before anything is asked"
    await b.attempt()
    await a.attempt()
    assert (a.left() > 0, b.left() > 0) == (False, True)


async def test_a_renewal_whose_answer_was_lost_does_not_end_a_term(make, leases, time):
    a = make("a")
    await a.attempt()
    time.now += 2
    leases.lose_answer = True
    with pytest.raises(TimeoutError):
        await a.attempt()
    leases.lose_answer = False
    time.now += 2
    await a.attempt()
    assert a.left() == 10


async def test_a_lease_that_was_deleted_is_made_anew(make, leases):
    a = make("a")
    await a.attempt()
    leases.stored = None
    await a.attempt()
    await a.attempt()
    assert (leases.holder, a.left()) == ("a", 10)


async def test_a_refused_lease_says_which(make, leases, caplog):
    leases.lose_request = True
    run = asyncio.create_task(make("a").run(asyncio.Event().wait, lambda: None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    run.cancel()
    await asyncio.wait({run})
    assert "leases/coalmine-controller: connection refused" in caplog.text


class Office:
    """Counts the terms of one elector's duty, and lets its pauses end."""

    def __init__(self):
        self.terms = self.ended = self.waited = 0
        self.go = asyncio.Event()
        self.paused = asyncio.Event()
        self.error = None

    async def duty(self):
        self.terms += 1
        try:
            if self.error:
                raise self.error
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    def waits(self):
        self.waited += 1

    async def pause(self, _seconds):
        self.paused.set()
        await self.go.wait()
        self.go.clear()

    async def turn(self):
        """Let one pause end, and wait for the next one."""
        await self.paused.wait()
        self.paused.clear()
        self.go.set()
        await self.paused.wait()


@pytest.fixture
async def office(make):
    office = Office()
    task = asyncio.create_task(make("a", pause=office.pause).run(office.duty, office.waits))
    office.task = task
    yield office
    task.cancel()
    await asyncio.wait({task})


async def test_the_duty_ends_with_the_lease_and_begins_again_with_it(office, make, time):
    await office.turn()
    assert (office.terms, office.ended) == (1, 0)
    other = make("b")
    await other.attempt()
    time.now += 20
    await other.attempt()
    await office.turn()
    assert (office.terms, office.ended, office.waited > 0) == (1, 1, True)
    time.now += 20
    await office.turn()
    assert (office.terms, office.ended) == (2, 1)


async def test_a_term_does_not_go_on_when_another_led_in_between(office, make, leases, time):
    """What it remembers would be old."""
    await office.turn()
    other = make("b")
    await other.attempt()
    time.now += 20
    await other.attempt()
    await other._give_back()
    assert leases.holder == ""
    await office.turn()
    assert (office.terms, office.ended, leases.holder) == (2, 1, "a")


async def test_at_the_end_the_lease_is_given_back_so_that_another_takes_over_at_once(office, make, leases):
    await office.turn()
    office.task.cancel()
    await asyncio.wait({office.task})
    assert (leases.holder, office.ended) == ("", 1)
    other = make("b")
    await other.attempt()
    assert other.left() > 0


async def test_what_the_duty_raises_ends_the_process(make):
    office = Office()
    office.error = ValueError("no such hold")
    with pytest.raises(ValueError, match="no such hold"):
        await make("a", pause=lambda s: asyncio.sleep(0)).run(office.duty, office.waits)


async def test_a_write_without_the_lease_is_not_even_sent():
    class Api:
        sent = 0

        async def param_serialize(self, *_args, **_more):
            return "", "", {}, None, None

        async def call_api(self, *_args, **_more):
            self.sent += 1
            raise AssertionError("sent")

    api = Api()
    with pytest.raises(NotLeaderError, match="does not lead"):
        await Kube(api).guarded(lambda: 0.0).request("PATCH", "/x")
    assert api.sent == 0
    assert issubclass(NotLeaderError, KubeError)
    with pytest.raises(AssertionError):
        await Kube(api).guarded(lambda: 0.0).request("GET", "/x")


def at_once(coroutine):
    """Run what waits for nothing, without a loop."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def election():
    class Election(RuleBasedStateMachine):
        """Three replicas, whose requests fail and whose processes stop at any moment."""

        def __init__(self):
            super().__init__()
            self.time, self.leases = Time(), Leases()
            self.replicas = [Elector(self.leases, LEASE, n, clock=self.time, today=self.time) for n in "abc"]

        @rule(who=st.integers(0, 2), lost=st.sampled_from(["", "", "request", "answer"]))
        def tries(self, who, lost):
            self.leases.lose_request, self.leases.lose_answer = lost == "request", lost == "answer"
            try:
                at_once(self.replicas[who].attempt())
            except (OSError, TimeoutError):
                assert lost

        @rule(who=st.integers(0, 2))
        def gives_back(self, who):
            self.leases.lose_request = self.leases.lose_answer = False
            asyncio.run(self.replicas[who]._give_back())

        @rule(seconds=st.sampled_from([0.1, 2.0, 4.9, 10.0, 15.0]))
        def time_passes(self, seconds):
            self.time.now += seconds

        @rule()
        def somebody_deletes_it(self):
            if all(r.left() <= 0 for r in self.replicas):  # while somebody leads nobody may: docs/high-availability.md
                self.leases.stored = None

        @invariant()
        def at_most_one_leads(self):
            assert sum(r.left() > 0 for r in self.replicas) <= 1

    return Election


def test_never_two_lead_at_once():
    run_state_machine_as_test(election(), settings=settings(max_examples=60, stateful_step_count=40))
