"""Rollouts as the API server has them, and the dashboard on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import datetime as dt
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from rollouts.api.dashboard import Dashboard
from rollouts.dashboard.acting import Actions
from rollouts.dashboard.app import make_app
from rollouts.dashboard.board import Board
from rollouts.dashboard.live import Live
from rollouts.dashboard.pages import Pages
from rollouts.dashboard.people import People

if TYPE_CHECKING:
    from pathlib import Path

    from rollouts.engine.kube import KubeError

NOW = 1_780_000_000.0


@pytest.fixture
def clock():
    """A clock that tests set."""
    now = SimpleNamespace(time=NOW)
    now.read = lambda: now.time
    return now


def _stamp(seconds):
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _merged(base, changes):
    for key, value in changes.items():
        base[key] = _merged(base.get(key) or {}, value) if isinstance(value, dict) else value
    return base


@pytest.fixture
def stamp():
    """Unix seconds as the API server writes them."""
    return _stamp


@pytest.fixture
def rollout():
    """Make a Rollout: healthy as it is, whatever is given changed (dictionaries are merged)."""
    versions = iter(range(1000, 10_000_000))

    def make(name="payment", namespace="shop", **changes: Any):
        body = {
            "apiVersion": "coalmine.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"uid-{namespace}-{name}",
                "resourceVersion": str(next(versions)),
                "generation": 1,
                "creationTimestamp": _stamp(NOW - 864_000),
            },
            "spec": {"workloadRef": {"name": name}, "steps": [{"setWeight": w} for w in (10, 50, 100)]},
            "status": {
                "observedGeneration": 1,
                "phase": "Healthy",
                "message": "revision 6d4cf8 is stable and has all requests",
                "stable": {"revision": "6d4cf8", "images": [f"registry.example/{namespace}/{name}:v1"]},
                "weight": {"configured": 0, "acknowledged": 0, "proxies": "5/5"},
                "internal": {"open": False, "host": name, "announcements": []},
            },
        }
        return _merged(body, copy.deepcopy(changes))

    return make


def _evidence(metric, **changes):
    base = {
        "errors": {
            "words": "canary 0.12 % errors of 2,210 requests, baseline 0.1 % of 4,380",
            "canary": 0.0012,
            "baseline": 0.001,
            "difference": 0.0002,
            "interval": [-0.0041, 0.0028],
        },
        "latency": {
            "words": "canary p99 25 ms of 2,110 requests, baseline 24 ms of 4,200",
            "canary": 24.6,
            "baseline": 23.9,
            "difference": 1.03,
            "interval": [0.93, 1.27],
        },
    }[metric]
    numbers = {"rollbackE": 0.41, "rollbackAt": 400.0, "promoteE": 6.1, "promoteAt": 20.0}
    return {"metric": metric, "canaryCount": 2210, "baselineCount": 4380, **base, **numbers, **changes}


@pytest.fixture
def evidence():
    """Make an entry of ``status.evidence``."""
    return _evidence


@pytest.fixture
def releasing(rollout):
    """Make a Rollout in its second step; keywords change the status."""

    def make(name="payment", namespace="shop", *, began=NOW - 95, step=1, **status: Any):
        internal = {"open": True, "target": "9b7e10", "began": began, "host": name, **status.pop("internal", {})}
        return rollout(
            name,
            namespace,
            status={
                "phase": "Progressing",
                "message": "step 2/3: 50 % of the requests, judging: about 40 s more",
                "canary": {"revision": "9b7e10", "images": [f"registry.example/{namespace}/{name}:v2"]},
                "startedAt": _stamp(began),
                "stepIndex": step,
                "step": f"{step + 1}/3",
                "stepStartedAt": _stamp(NOW - 50),
                "weight": {"configured": 50, "acknowledged": 50, "actual": 49.6, "proxies": "5/5"},
                "verdict": "Continue",
                "summary": "errors are fine, latency is still open",
                "evidence": [_evidence("errors", promoteE=31.2), _evidence("latency")],
                **status,
                "internal": internal,
            },
        )

    return make


@dataclass
class FakeKube:
    """The few answers of an API server that the dashboard asks for."""

    users: dict[str, str] = field(default_factory=dict)
    """User by token."""
    rules: set[tuple[str, str, str]] = field(default_factory=set)
    """User, verb, namespace."""
    rollouts: dict[tuple[str, str], dict] = field(default_factory=dict)
    refusal: KubeError | None = None
    """What a patch gets."""
    down: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)
    patched: list[tuple[str, str, dict]] = field(default_factory=list)
    """Token, path, patch."""
    token: str = ""

    @contextlib.asynccontextmanager
    async def acting(self, token):
        yield _Theirs(self, token)

    async def request(self, method, path, *, query=None, body=None, content_type="application/json"):
        if self.down:
            raise OSError("connection refused")
        self.asked.append((method, path))
        if path.endswith("tokenreviews"):
            user = self.users.get(body["spec"]["token"])
            return {"status": {"authenticated": bool(user), "user": {"username": user, "groups": ["developers"]}}}
        if path.endswith("subjectaccessreviews"):
            what = body["spec"]["resourceAttributes"]
            rule = (body["spec"]["user"], what["verb"], what.get("namespace", ""))
            return {"status": {"allowed": rule in self.rules}}
        if path.endswith("/events"):
            self.events.append(body)
            return body
        namespace, name = path.split("/")[5], path.split("/")[7]
        return self.rollouts.get((namespace, name))


class _Theirs:
    def __init__(self, kube, token):
        self._kube, self._token = kube, token

    async def request(self, method, path, *, query=None, body=None, content_type="application/json"):
        assert (method, content_type, query) == (
            "PATCH",
            "application/merge-patch+json",
            {"fieldManager": "coalmine-dashboard"},
        )
        if self._kube.refusal:
            raise self._kube.refusal
        self._kube.patched.append((self._token, path, body))
        return {}


class Served:
    """A dashboard that runs."""

    def __init__(self, url, session, board, kube, live):
        self.url, self.session, self.board, self.kube, self.live = url, session, board, kube, live

    def put(self, body):
        key = body["metadata"]["namespace"], body["metadata"]["name"]
        self.kube.rollouts[key] = body
        self.board.seen(key, body)

    def drop(self, namespace, name):
        self.kube.rollouts.pop((namespace, name), None)
        self.board.seen((namespace, name), None)

    async def get(self, path, **headers):
        async with self.session.get(self.url + path, headers=headers) as answer:
            text = await answer.text()
            return answer, json.loads(text) if answer.content_type == "application/json" and text else text

    async def post(self, path, token="", body=None, **kwargs):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        kwargs.setdefault("json", {} if body is None else body)
        async with self.session.post(self.url + path, headers={**headers, **kwargs.pop("headers", {})}, **kwargs) as a:
            return a.status, await a.json()

    @contextlib.asynccontextmanager
    async def stream(self, topics, **headers):
        async with self.session.get(f"{self.url}/api/v1/stream?topics={topics}", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "text/event-stream"
            yield Events(answer)


class Events:
    """Server-sent events as a page reads them."""

    def __init__(self, answer):
        self._answer = answer

    async def next(self, topic=None):
        """Return the next event's topic and data."""
        async with asyncio.timeout(20):
            name, data = "", ""
            while True:
                line = (await self._answer.content.readuntil(b"\n")).decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data = line[6:]
                elif not line and data:
                    if topic is None or name == topic:
                        return name, json.loads(data)
                    name, data = "", ""

    async def until(self, condition, topic=None):
        """Return the first event of which the condition holds."""
        while True:
            _, data = await self.next(topic)
            if condition(data):
                return data


@pytest_asyncio.fixture
async def serve(clock, tmp_path):
    """Serve a dashboard on loopback; keywords are of its configuration."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            *, polls=None, open_windows=None, pages: Path = tmp_path / "static", every=0.01, namespaces=(), **config
        ):
            board, kube = Board(clock.read), FakeKube()
            people = People(kube, clock=clock.read)
            polls = polls or {}
            live = Live(board, polls=polls, open_windows=open_windows, clock=clock.read, every=every)
            app = make_app(
                Dashboard(**config),
                board=board,
                live=live,
                polls=polls,
                people=people,
                actions=Actions(kube, people, instance="controller-1", clock=clock.read),
                pages=Pages(pages),
                clock=clock.read,
                instance="controller-1",
                leads=lambda: True,
                namespaces=namespaces,
            )
            runner = web.AppRunner(app, shutdown_timeout=0.1, max_field_size=32_768)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            session = await stack.enter_async_context(aiohttp.ClientSession(read_bufsize=2**22))
            return Served(f"http://127.0.0.1:{runner.addresses[0][1]}", session, board, kube, live)

        yield start
