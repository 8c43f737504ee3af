"""What a controller needs around it and that must cost next to nothing: Deployments, pods and a mesh that only say so.

The API server and the controller are the real ones. Here a Deployment is what its status says: pods are made and told
ready at once, a TrafficSplit is acknowledged as soon as it is written, and every host has a window of requests a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from mesh.api.telemetry import LATENCY_BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

PODS = 2
"""Of each version."""
REQUESTS = 50
"""A second, to each pod of stable; a canary's get a ninth of it."""
APPS = "/apis/apps/v1"
SPLITS = "/apis/mesh.coalmine.dev/v1alpha1"


class Api:
    """The API server, as the cluster's admin."""

    def __init__(self, server: str, pki: Path) -> None:
        self._server = server
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=64))

    async def close(self) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> dict[str, Any]:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind}
        while True:
            with contextlib.suppress(aiohttp.ServerDisconnectedError):
                async with self._session.request(method, f"{self._server}{path}", data=data, headers=headers) as answer:
                    text = await answer.text()
                    if answer.status < 400 or answer.status in {404, 409}:
                        return json.loads(text)
                    if answer.status != 429:  # it starts
                        raise RuntimeError(f"{method} {path}: {answer.status} {text}")
            await asyncio.sleep(1)

    async def merge(self, path: str, body: Any) -> dict[str, Any]:
        return await self.call("PATCH", path, body, "application/merge-patch+json")

    async def watch(self, path: str, seen: Any) -> None:
        """Call ``seen`` with each object that is there or changes, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=None)
        while True:
            listed = await self.call("GET", path)
            for item in listed["items"]:
                seen(item)
            query = f"{path}?watch=true&resourceVersion={listed['metadata']['resourceVersion']}"
            with contextlib.suppress(aiohttp.ClientError):
                async with self._session.get(f"{self._server}{query}", timeout=timeout) as answer:
                    await self._follow(answer, seen)

    @staticmethod
    async def _follow(answer: aiohttp.ClientResponse, seen: Any) -> None:
        rest = b""
        async for chunk in answer.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] in {"ADDED", "MODIFIED"}:
                    seen(event["object"])


def workload(namespace: str, name: str, image: str) -> dict[str, Any]:
    """Return a Deployment whose pods look as if they had a sidecar."""
    probe = {"httpGet": {"path": "/", "port": 8080}}
    containers = [{"name": "app", "image": image, "ports": [{"containerPort": 8080}], "readinessProbe": probe}]
    sidecar = {"name": "coalmine-proxy", "image": "envoy", "restartPolicy": "Always"}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"initContainers": [sidecar], "containers": containers}}
    spec = {"replicas": PODS, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


class Work:
    """What is done beside; a failure is told."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            print(f"{type(error).__name__}: {error}", file=sys.stderr)


class Deployments:
    """Makes of each Deployment what its spec says, at once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._done: dict[str, int] = {}
        self._sets: dict[str, str] = {}
        self._pods: dict[str, int] = {}
        self._work = Work()
        self._gate = asyncio.Semaphore(16)

    def seen(self, deployment: dict[str, Any]) -> None:
        meta = deployment["metadata"]
        if self._done.get(meta["uid"]) != meta["generation"]:
            self._done[meta["uid"]] = meta["generation"]
            self._work.do(self._settle(deployment))

    async def _settle(self, deployment: dict[str, Any]) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        status: dict[str, Any] = {"observedGeneration": meta["generation"]}
        async with self._gate:
            if not spec.get("paused"):  # a held one stays as it is
                wanted, known = spec["replicas"], self._pods.get(meta["uid"], 0)
                await self._set(deployment, wanted)
                for number in range(known, wanted):
                    await self._pod(deployment, number)
                self._pods[meta["uid"]] = max(wanted, known)
                counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
                status |= dict.fromkeys(counts, wanted)
                status["conditions"] = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
            await self._api.merge(_path("deployments", meta, "status"), {"status": status})

    async def _set(self, deployment: dict[str, Any], wanted: int) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        key = meta["uid"] + json.dumps(spec["template"], sort_keys=True)
        if key not in self._sets:
            name = f"{meta['name'][:40]}-{uuid.uuid4().hex[:8]}"
            owner = _owner("Deployment", deployment)
            body = {
                "metadata": {"name": name, "namespace": meta["namespace"], "ownerReferences": [owner]},
                "spec": {"replicas": wanted, "selector": spec["selector"], "template": spec["template"]},
            }
            made = await self._api.call("POST", f"{APPS}/namespaces/{meta['namespace']}/replicasets", body)
            self._sets[key] = made["metadata"]["uid"]
            self._sets[f"{key} name"] = name
        named = {"namespace": meta["namespace"], "name": self._sets[f"{key} name"]}
        await self._api.merge(_path("replicasets", named, "status"), {"status": {"replicas": wanted}})
        self._sets[meta["uid"]] = self._sets[key]
        self._sets[f"{meta['uid']} name"] = named["name"]

    async def _pod(self, deployment: dict[str, Any], number: int) -> None:
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": self._sets[f"{meta['uid']} name"],
            "uid": self._sets[meta["uid"]],
            "controller": True,
        }
        name = f"{meta['name']}-{number}"
        labels = template["metadata"]["labels"]
        metadata = {"name": name, "namespace": meta["namespace"], "labels": labels, "ownerReferences": [owner]}
        pods = f"/api/v1/namespaces/{meta['namespace']}/pods"
        await self._api.call("POST", pods, {"metadata": metadata, "spec": {**template["spec"], "nodeName": "hollow"}})
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status = {"phase": "Running", "podIP": "127.0.0.9", "startTime": now}
        status["conditions"] = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")]
        await self._api.merge(f"{pods}/{name}/status", {"status": status})


class Splits:
    """Acknowledges each TrafficSplit, and remembers when a weight was seen.

    Attributes:
        weights: The canary's weight and when it was written, by namespace and name.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._told: dict[str, int] = {}
        self._work = Work()
        self.weights: dict[tuple[str, str], tuple[int, float]] = {}

    def seen(self, split: dict[str, Any]) -> None:
        meta = split["metadata"]
        weights = {b["service"]: b["weight"] for b in split["spec"]["backends"]}
        canary = next((w for name, w in weights.items() if name.endswith("-canary")), 0)
        key = (meta["namespace"], meta["name"])
        if self.weights.get(key, (-1, 0.0))[0] != canary:
            self.weights[key] = (canary, time.monotonic())
        if self._told.get(meta["uid"]) == meta["generation"]:
            return
        self._told[meta["uid"]] = meta["generation"]
        held = {"generation": meta["generation"], "weights": weights, "time": "2026-01-01T00:00:00Z"}
        proxies = {"affected": 5, "acknowledged": 5, "missing": []}
        status = {"observedGeneration": meta["generation"], "acknowledged": held, "proxies": proxies}
        self._work.do(self._api.merge(_path("trafficsplits", meta, "status", SPLITS), {"status": status}))


class Telemetry:
    """The mesh's HTTP address: a window a second for every host that is asked for, without an error in it."""

    def __init__(self) -> None:
        latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        latency[7] = 1
        self._latency = latency
        self._recent: deque[tuple[float, float]] = deque(maxlen=60)
        self._news = asyncio.Event()

    async def serve(self) -> tuple[int, web.AppRunner]:
        app = web.Application()
        app.router.add_get("/v1/telemetry/{namespace}/{service}", self._stream)
        app.router.add_get("/v1/telemetry", self._hosts)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner.addresses[0][1], runner

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            now = time.time()
            self._recent.append((now - 1, now))
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def _hosts(self, _: web.Request) -> web.Response:
        return web.json_response({"epoch": "e", "hosts": [], "proxies": {}})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        service = request.match_info["service"]
        since = float(request.query.get("since", "0"))
        pods = [self._pod(service, f"{service}-{n}", REQUESTS) for n in range(PODS)]
        pods += [self._pod(f"{service}-canary", f"{service}-canary-{n}", REQUESTS // 9) for n in range(PODS)]
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            while True:
                news = self._news
                for start, end in [w for w in self._recent if w[1] > since]:
                    window = {"epoch": "e", "start": start, "end": end, "reporting": 5, "pods": pods}
                    await response.write(json.dumps(window).encode() + b"\n")
                    since = end
                await news.wait()
        return response

    def _pod(self, backend: str, pod: str, count: int) -> dict[str, Any]:
        latency = [n * count for n in self._latency]
        counts = {"requests": count, "requestErrors": 0, "attempts": count, "attemptErrors": 0}
        return {"backend": backend, "pod": pod, **counts, "latency": latency}


def _path(plural: str, meta: dict[str, Any], sub: str, root: str = APPS) -> str:
    return f"{root}/namespaces/{meta['namespace']}/{plural}/{meta['name']}/{sub}"


def _owner(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    meta = body["metadata"]
    return {"apiVersion": "apps/v1", "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True}
