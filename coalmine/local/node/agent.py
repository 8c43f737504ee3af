"""The node agent: follows the apiserver's pods and runs those of its node."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from coalmine.local.node.addresses import AddressesExhaustedError, AddressPool
from coalmine.local.node.context import NodeServices
from coalmine.local.node.environment import HOST_IP
from coalmine.local.node.events import EventRecorder
from coalmine.local.node.kube import ApiError, KubeApi
from coalmine.local.node.leftout import left_out
from coalmine.local.node.logs import note_times, rotate
from coalmine.local.node.pod import PodWorker
from coalmine.local.node.records import PodFolder, PodRecord, pod_folders
from coalmine.local.node.registration import Registration, node_capacity
from coalmine.local.node.runtime import end_strays
from coalmine.local.node.server import KubeletServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coalmine.local.node.config import NodeConfig

__all__ = ["Agent", "AgentRunningError", "run_agent"]

_LOG: Final = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 1.0
_SCHEDULER: Final = "default-scheduler"
_TERMINAL: Final = ("Succeeded", "Failed")


class AgentRunningError(Exception):
    """Another agent uses the state folder."""


async def run_agent(config: NodeConfig, *, on_ready: asyncio.Event | None = None) -> None:
    """Run a node agent until SIGTERM or SIGINT. Its pods go on without it; the next agent takes them over.

    Args:
        config: Its settings.
        on_ready: Set once the agent serves and follows pods.

    Raises:
        AgentRunningError: Another agent uses the state folder.
        OSError: The port or the state folder cannot be used.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with _locked(config.state_dir):
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(KubeApi(config.kubeconfig))
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            agent = Agent(config, api, session)
            server = KubeletServer(config, agent.find)
            stack.push_async_callback(server.close)
            registration = Registration(api, config, port=await server.start())
            stack.push_async_callback(agent.close)
            jobs = [registration.run(), agent.run(registration.labels, on_ready), agent.services.events.run()]
            jobs.append(agent.keep_logs())
            await _until(stop, [asyncio.create_task(job) for job in jobs])


class Agent:
    """Has a worker for each pod of the node."""

    def __init__(self, config: NodeConfig, api: KubeApi, session: aiohttp.ClientSession) -> None:
        """Prepare; ``run`` begins."""
        self._config = config
        self._api = api
        self._pool = AddressPool(config.pod_cidr)
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._binding: set[str] = set()
        self._background: set[asyncio.Task[None]] = set()
        self.services = NodeServices(
            api=api, events=EventRecorder(api, config.node_name), session=session, capacity=node_capacity()
        )

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """Return the newest pod with that name."""
        for worker in reversed(self._workers.values()):
            metadata = worker.context.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return worker
        return None

    async def run(self, labels: dict[str, str], on_ready: asyncio.Event | None) -> None:
        """Take over what an agent before this one left, and follow the apiserver's pods for ever."""
        left = self._recover()
        async for kind, item in self._api.watch("/api/v1/pods"):
            if kind == "LISTED":
                self._listed(item, left, labels)
                left = {}
                if on_ready is not None:
                    on_ready.set()
            elif kind == "DELETED":
                if worker := self._workers.get(item["metadata"]["uid"]):
                    worker.update(item)
                    worker.vanish()
            else:
                self._seen(item, labels)

    async def keep_logs(self) -> None:
        """Note the times of logs and rotate them, for ever."""
        while True:
            await asyncio.sleep(_LOG_SECONDS)
            for worker in list(self._workers.values()):
                for container in worker.containers.values():
                    note_times(container.log)
                    rotate(container.log, self._config.max_log_bytes)

    async def close(self) -> None:
        """Let all pods go on without this agent."""
        tasks = [*self._tasks.values(), *self._background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in self._workers.values():
            worker.detach()

    def _recover(self) -> dict[str, PodRecord]:
        end_strays(self._config.state_dir)
        found: dict[str, PodRecord] = {}
        for folder in pod_folders(self._config.state_dir):
            record = folder.load_pod()
            if record is None:
                # The agent was killed before it had written it; nothing was started.
                folder.remove()
                continue
            found[folder.path.name] = record
            if record.address != HOST_IP:
                self._pool.claim(record.address)
        return found

    def _listed(self, pods: list[dict[str, Any]], left: dict[str, PodRecord], labels: dict[str, str]) -> None:
        present = {pod["metadata"]["uid"] for pod in pods}
        for uid, record in left.items():
            if uid not in present:
                # Deleted while no agent was there.
                self._begin(record.pod, record).vanish()
        for uid, worker in list(self._workers.items()):
            if uid not in present:
                worker.vanish()
        for pod in pods:
            record_left = left.get(pod["metadata"]["uid"])
            if record_left is not None:
                self._begin(pod, record_left)
            else:
                self._seen(pod, labels)

    def _seen(self, pod: dict[str, Any], labels: dict[str, str]) -> None:
        uid = pod["metadata"]["uid"]
        if worker := self._workers.get(uid):
            worker.update(pod)
        elif not pod["spec"].get("nodeName"):
            self._bind(pod, labels)
        elif pod["spec"]["nodeName"] == self._config.node_name:
            try:
                self._begin(pod, None)
            except AddressesExhaustedError as error:
                self.services.events.emit(pod, "Warning", "FailedCreatePodSandBox", str(error))

    def _begin(self, pod: dict[str, Any], record: PodRecord | None) -> PodWorker:
        uid = pod["metadata"]["uid"]
        folder = PodFolder(self._config.state_dir / "pods" / uid)
        if record is None:
            record = PodRecord(pod=pod, address=self._address(pod), started_at=datetime.now(UTC))
            folder.save_pod(record)
            if fields := left_out(pod):
                self.services.events.emit(pod, "Normal", "NotApplied", f"the local node ignores {', '.join(fields)}")
        worker = self._workers[uid] = PodWorker(record, pod, folder, self.services)
        self._tasks[uid] = asyncio.create_task(self._work(worker, record), name=worker.name)
        return worker

    def _address(self, pod: dict[str, Any]) -> str:
        if pod["spec"].get("hostNetwork"):
            return HOST_IP
        if (pod.get("status") or {}).get("phase") in _TERMINAL:
            # It will not run again.
            return HOST_IP
        return self._pool.allocate()

    async def _work(self, worker: PodWorker, record: PodRecord) -> None:
        try:
            await worker.run()
        except Exception:  # noqa: BLE001
            # One pod's trouble is not the others'. What it ran goes on, and is taken up again.
            _LOG.exception("pod %s: the agent failed; trying again", worker.name)
            worker.detach()
            await asyncio.sleep(_RETRY_SECONDS)
            self._begin(worker.context.pod, record)
            return
        del self._workers[worker.uid], self._tasks[worker.uid]
        self._pool.release(record.address)

    def _bind(self, pod: dict[str, Any], labels: dict[str, str]) -> None:
        spec, uid = pod["spec"], pod["metadata"]["uid"]
        if uid in self._binding or spec.get("schedulingGates") or pod["metadata"].get("deletionTimestamp"):
            return
        if spec.get("schedulerName", _SCHEDULER) != _SCHEDULER:
            # Somebody else's to bind.
            return
        wanted = spec.get("nodeSelector") or {}
        if any(labels.get(key) != value for key, value in wanted.items()):
            message = f"node {self._config.node_name} does not have the labels of nodeSelector {wanted}"
            self.services.events.emit(pod, "Warning", "FailedScheduling", message)
            return
        self._binding.add(uid)
        task = asyncio.create_task(self._send_binding(pod))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _send_binding(self, pod: dict[str, Any]) -> None:
        metadata, node = pod["metadata"], self._config.node_name
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._api.create(path, body)
            message = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
            self.services.events.emit(pod, "Normal", "Scheduled", message)
        except ApiError as error:
            if error.status not in (404, 409):
                _LOG.warning("pod %s not bound: %s", metadata["name"], error)
        finally:
            self._binding.discard(metadata["uid"])


async def _until(stop: asyncio.Event, jobs: list[asyncio.Task[None]]) -> None:
    """Run jobs until told to stop; the failure of one is the failure of all."""
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopped, *jobs], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stopped, *jobs):
            task.cancel()
        await asyncio.gather(stopped, *jobs, return_exceptions=True)
    for task in done - {stopped}:
        task.result()


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    # Manifests and logs may hold what others of this machine should not read.
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(state_dir / "agent.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AgentRunningError(f"state-dir {state_dir}: another node agent is using it") from None
        yield
    finally:
        os.close(descriptor)
