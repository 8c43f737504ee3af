"""What is measured of one release: resumed exactly, with metrics that come and go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.api.template import TemplateReference
from analysis.model.verdict import Decision
from mesh.api.telemetry import LATENCY_BOUNDS_MS, PodWindow, TelemetryWindow
from rollouts.api.rollout import Analysis, ErrorAnalysis, LatencyAnalysis, RolloutStatus
from rollouts.core.machine import State
from rollouts.core.metrics import Release, planned
from rollouts.core.naming import Names
from rollouts.core.notes import Notes, ReplacedPod
from rollouts.core.observed import Subject
from rollouts.engine.kube import KubeError
from rollouts.engine.measure import Known
from rollouts.engine.measuring import SAVE_SECONDS, Measuring, Order, Tools

NAMES = Names("payment", "payment")
SUBJECT = Subject("payment", "shop", "uid-1", 1, None, "", RolloutStatus())
ANALYSIS = Analysis(errors=ErrorAnalysis(warm_up=0), latency=LatencyAnalysis(warm_up=0))
NOTES = Notes(state=State.JUDGING, target="7d9c", began=0.0, step_starts=(0.0,))
FAST = (0,) * 9 + (45, 5) + (0,) * (len(LATENCY_BOUNDS_MS) - 10)


def window(second, errors):
    pods = tuple(
        PodWindow(backend=backend, pod=f"{backend}-1", requests=50, attempts=50, attempt_errors=bad, latency=FAST)
        for backend, bad in (("payment", 0), ("payment-canary", errors))
    )
    return TelemetryWindow(epoch="1", start=second, end=second + 1, reporting=2, pods=pods)


class Mesh:
    """Holds all windows, as the mesh does, and tells those after a time."""

    def __init__(self, errors=1):
        self.windows = [window(second, errors) for second in range(900)]
        self.asked = []

    def open(self, host, since, _on_change):
        assert host == ("shop", "payment")
        self.asked.append(since)
        return Stream(self, since)


class Stream:
    problem, answered = "", True

    def __init__(self, mesh, since):
        self.mesh, self.since = mesh, since

    def take(self):
        until = self.mesh.now
        found = [w for w in self.mesh.windows if self.since < w.end <= until]
        self.since = until
        return found

    async def close(self):
        pass


class Kube:
    """Keeps one ConfigMap."""

    def __init__(self):
        self.kept, self.refuses = None, False

    async def request(self, method, path, *, body=None, **_):
        if not path.endswith("/configmaps/coalmine-evidence-uid-1"):
            return None
        if self.refuses:
            raise KubeError(500, "InternalError", "etcd is slow")
        if method == "PATCH":
            self.kept = body
        elif method == "DELETE":
            self.kept = None
        return self.kept


def refuse(*_):
    raise AssertionError("the mesh is not asked")


class World:
    def __init__(self, errors=1):
        self.mesh, self.kube = Mesh(errors), Kube()
        self.at(0.0)

    def at(self, now):
        self.now = self.mesh.now = now

    @property
    def tools(self):
        return Tools(self.kube, self.mesh.open, refuse, lambda: self.now)

    async def begin(self, order=None):
        return await Measuring.begin(self.tools, order or ordered(), lambda: None)


def ordered(*references, templates=None, **changes):
    release = Release(
        {"name": "payment", "namespace": "shop"},
        NAMES,
        tuple(TemplateReference.model_validate(one) for one in references),
        templates or {},
    )
    order = Order(SUBJECT, NAMES, "7d9c", 0.0, None, release, planned(release))
    return replace(order, **changes)


def look(measuring, notes=NOTES):
    return measuring.look(notes, ANALYSIS, Known())


async def test_a_restart_makes_no_difference():
    world, other = World(), World()
    kept, again = await world.begin(), await other.begin()
    for second in range(1, 400, 9):
        world.at(float(second))
        other.at(float(second))
        if second in {28, 100, 217}:
            await again.save(now=second != 28)
            await again.close()
            again = await other.begin()
        assert look(again) == look(kept), second
    assert look(kept).verdict.decision is Decision.ROLL_BACK
    assert other.mesh.asked == [-600.0, -600.0, 91.0, 208.0]


async def test_without_the_mesh_what_was_stored_remains():
    world = World(errors=0)
    measuring = await world.begin()
    world.at(60.0)
    before = look(measuring)
    await measuring.save(now=True)
    world.mesh.windows.clear()
    after = look(await world.begin())
    assert after.verdict == before.verdict
    assert after.share == before.share == 50.0


async def test_it_is_stored_now_and_then_and_removed_at_the_end():
    world = World()
    measuring = await world.begin()
    world.at(SAVE_SECONDS - 1)
    look(measuring)
    await measuring.save()
    assert world.kube.kept is None
    world.at(SAVE_SECONDS)
    await measuring.save()
    assert world.kube.kept is not None
    await measuring.finish()
    assert world.kube.kept is None


async def test_what_cannot_be_stored_is_said_and_tried_again():
    world = World()
    measuring = await world.begin()
    world.kube.refuses = True
    world.at(SAVE_SECONDS)
    await measuring.save()
    assert "could not be stored: etcd is slow" in look(measuring).problems[0]
    world.kube.refuses = False
    world.at(2 * SAVE_SECONDS)
    await measuring.save()
    assert look(measuring).problems == ()


@pytest.mark.parametrize("changes", [{"target": "other"}, {"began": 5.0}, {"names": Names("payment", "pay")}])
async def test_another_release_begins_with_nothing(changes):
    assert ordered(**changes).identity != ordered().identity


async def test_a_replaced_pods_requests_are_forgotten():
    world = World()
    measuring = await world.begin()
    world.at(30.0)
    bad = look(measuring).verdict
    assert bad.decision is Decision.ROLL_BACK
    assert bad.evidence[0].canary_count == 1500
    replaced = NOTES.model_copy(update={"replaced": ReplacedPod(name="payment-canary-1", at=30.0)})
    world.at(91.0)
    (errors, *_) = look(measuring, replaced).verdict.evidence
    assert errors.canary_count == 50
    assert errors.baseline_count == 4550


def template(*names, **changes):
    metrics = [
        {
            "name": name,
            "limit": {"max": 1},
            "interval": "10s",
            "provider": {"web": {"url": "http://127.0.0.1:9/", "jsonPath": "$.x"}},
            **changes,
        }
        for name in names
    ]
    return {("checks", False): {"spec": {"metrics": metrics}}}


async def test_a_metric_that_cannot_be_measured_keeps_the_step_waiting_and_says_why():
    world = World(errors=0)
    reference = {"templateName": "checks"}
    measuring = await world.begin(ordered(reference, templates=template("queue")))
    world.at(600.0)
    measured = look(measuring)
    assert measured.verdict.decision is Decision.CONTINUE
    assert measured.problems == ("queue: it is not measured yet",)
    assert "queue" in measured.budget
    await measuring.update(ordered(reference, templates={}))  # the template is gone: what is measured goes on
    assert look(measuring).problems == ("queue: it is not measured yet",)
    await measuring.update(ordered())
    world.at(601.0)
    assert look(measuring).verdict.decision is Decision.PROMOTE
    await measuring.close()


async def test_measurements_are_kept_for_the_metrics_that_they_measure():
    world = World()
    reference = {"templateName": "checks"}
    order = ordered(reference, templates=template("queue", "depth"))
    measuring = await world.begin(order)
    kept = {name: {"taken": 2, "samples": [[1.0, 0.5, None], [11.0, 0.25, None]]} for name in ("queue", "depth")}
    measuring._values._kept = kept
    await measuring.save(now=True)
    await measuring.close()
    same, changed = template("queue"), template("depth", limit={"max": 2})
    both = [*same["checks", False]["spec"]["metrics"], *changed["checks", False]["spec"]["metrics"]]
    again = await world.begin(ordered(reference, templates={("checks", False): {"spec": {"metrics": both}}}))
    assert list(again._values.dump()) == ["queue"]
    await again.close()
