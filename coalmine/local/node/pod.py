"""One pod of the node, from its binding to the end of its last process and of its object."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from coalmine.local.node.container import Container
from coalmine.local.node.context import NodeServices, PodContext, grace_seconds
from coalmine.local.node.deadlines import Deadline, first
from coalmine.local.node.environment import HOST_IP
from coalmine.local.node.kube import ApiError
from coalmine.local.node.status import differs, pod_status
from coalmine.local.node.volumes import refresh_forever

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from coalmine.local.node.containers import ContainerRole
    from coalmine.local.node.records import PodFolder, PodRecord

__all__ = ["PodWorker"]

_LOG: Final = logging.getLogger(__name__)
_GATHER_SECONDS: Final = 0.01
_RETRY_SECONDS: Final = 1.0
_TERMINAL: Final = ("Succeeded", "Failed")
_GONE: Final = (404, 409)


class PodWorker:
    """Runs one pod.

    Attributes:
        uid: The Pod's uid.
        context: What its containers share.
        containers: All of them by name, init containers first.
    """

    def __init__(self, record: PodRecord, pod: dict[str, Any], folder: PodFolder, services: NodeServices) -> None:
        """Take a pod up.

        Args:
            record: Its address, and when the node took it.
            pod: The Pod.
            folder: Its folder.
            services: What the node offers.
        """
        self.uid: str = pod["metadata"]["uid"]
        self._dirty = asyncio.Event()
        self._end = asyncio.Event()
        self._gone = asyncio.Event()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._finished = (pod.get("status") or {}).get("phase") in _TERMINAL
        # What a finished pod's status says stays as it is: the processes that it tells of are history.
        self._frozen = self._finished
        self._failure: tuple[str, str] | None = None
        self._deadline: Deadline | None = None
        self._started_at = record.started_at
        self._services = services
        self._folder = folder
        self.context = PodContext(
            pod, address=record.address, folder=folder, services=services, changed=self._dirty.set
        )
        spec = pod["spec"]
        inits = [Container(self.context, item, _role(item)) for item in spec.get("initContainers") or ()]
        mains = [Container(self.context, item, "main") for item in spec["containers"]]
        self.containers = {one.name: one for one in [*inits, *mains]}
        self._lives: dict[str, asyncio.Task[None]] = {}
        if pod["metadata"].get("deletionTimestamp"):
            self._begin_end()

    @property
    def name(self) -> str:
        """Namespace and name, for messages."""
        metadata = self.context.pod["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"

    def update(self, pod: dict[str, Any]) -> None:
        """Take in a newer state of the Pod."""
        if _version(pod) >= _version(self.context.pod):
            self.context.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._begin_end()
        self._dirty.set()

    def vanish(self) -> None:
        """The Pod is gone from the apiserver: end the processes, there is no status to write any more."""
        self._gone.set()
        self._begin_end()

    def detach(self) -> None:
        """Let all processes go on without this agent."""
        for container in self.containers.values():
            container.detach()

    async def run(self) -> None:
        """Run the pod until its processes have ended after deletion, and its object and folder are gone."""
        writer = self._task(self._write_statuses(), "status")
        warn = partial(self.context.emit, "Warning", "FailedMount")
        volumes = self._task(refresh_forever(self._refresh_volumes, warn), "volumes")
        try:
            await first(self._pass(), asyncio.shield(self._broken))
        finally:
            await _cancel([*self._lives.values(), writer, volumes])
        self._folder.remove()

    async def _refresh_volumes(self) -> None:
        for container in self.containers.values():
            if container.process is not None:
                await self.context.write_volumes(container.manifest)

    async def _pass(self) -> None:
        for container in self.containers.values():
            if container.process is not None:
                # It ran before this agent did; its turn has been.
                self._begin(container)
        if not self._finished and not self._end.is_set():
            await first(self._live(), self._end.wait())
        self._dirty.set()
        await self._end.wait()
        await self._terminate()
        await self._remove()

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start work in the background; its failure is the worker's."""
        task = asyncio.create_task(work, name=f"{self.name}/{name}")
        task.add_done_callback(self._note_failure)
        return task

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._broken.done():
            self._broken.set_exception(error)

    def _begin_end(self) -> None:
        seconds = grace_seconds(self.context.pod)
        if self._deadline is None:
            self._deadline = Deadline(seconds)
        else:
            self._deadline.shorten(seconds)
        self.context.stopping = True
        self._end.set()
        self._dirty.set()

    def _of(self, *roles: ContainerRole) -> list[Container]:
        return [one for one in self.containers.values() if one.role in roles]

    def _begin(self, container: Container) -> asyncio.Task[None]:
        if container.name not in self._lives:
            self._lives[container.name] = self._task(container.run(), container.name)
        return self._lives[container.name]

    async def _live(self) -> None:
        """Start everything in its order and wait until the pod is finished."""
        self._dirty.set()
        limit = self.context.pod["spec"].get("activeDeadlineSeconds")
        try:
            left = None if limit is None else limit - (datetime.now(UTC) - self._started_at).total_seconds()
            async with asyncio.timeout(left):
                await self._in_order()
        except TimeoutError:
            self._failure = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            self.context.emit("Normal", "DeadlineExceeded", self._failure[1])
            await self._stop_all(Deadline(self.context.grace))
        self._finished = True

    async def _in_order(self) -> None:
        for container in self._of("init", "sidecar"):
            life = self._begin(container)
            if container.role == "sidecar":
                await first(container.started.wait(), asyncio.shield(life))
            else:
                await asyncio.shield(life)
                if container.exit_code != 0:
                    break
        else:
            self._dirty.set()
            mains = [self._begin(container) for container in self._of("main")]
            for life in mains:
                await asyncio.shield(life)
        await self._stop_sidecars(Deadline(self.context.grace))

    async def _stop_sidecars(self, deadline: Deadline) -> None:
        for container in reversed(self._of("sidecar")):
            await container.stop(deadline)
            await self._ended(container)

    async def _terminate(self) -> None:
        if self._deadline is None:
            raise RuntimeError(f"pod {self.name}: ended without a deadline")
        await self._stop_all(self._deadline)
        self._finished = True
        self._dirty.set()

    async def _stop_all(self, deadline: Deadline) -> None:
        """End every container: ordinary ones at once, then each sidecar after those that started later.

        The preStop hooks of all run at once, as a kubelet does it: a proxy learns early that its pod ends.
        """
        others = self._of("init", "main")
        stops = [container.stop(deadline) for container in others]
        before = list(others)
        for sidecar in reversed(self._of("sidecar")):
            stops.append(sidecar.stop(deadline, partial(self._all_ended, list(before))))
            before.append(sidecar)
        await asyncio.gather(*stops)
        await self._all_ended(list(self.containers.values()))

    async def _ended(self, container: Container) -> None:
        life = self._lives.get(container.name)
        if life is not None:
            await asyncio.shield(life)

    async def _all_ended(self, containers: list[Container]) -> None:
        for container in containers:
            await self._ended(container)

    async def _write_statuses(self) -> None:
        while True:
            await self._dirty.wait()
            # Changes come in bursts: gather them.
            await asyncio.sleep(_GATHER_SECONDS)
            self._dirty.clear()
            if self._frozen or self._gone.is_set():
                continue
            try:
                await self._write_status()
            except ApiError as error:
                if error.status in _GONE:
                    self.vanish()
                else:
                    _LOG.warning("status of pod %s not written: %s; trying again", self.name, error)
                    await asyncio.sleep(_RETRY_SECONDS)
                    self._dirty.set()

    async def _write_status(self) -> None:
        pod = self.context.pod
        status = pod_status(
            pod,
            [container.view for container in self.containers.values()],
            pod_ip=self.context.address,
            host_ip=HOST_IP,
            started_at=self._started_at,
            now=datetime.now(UTC),
            finished=self._finished,
            failure=self._failure,
        )
        if not differs(status, pod.get("status") or {}):
            return
        written = await self._services.api.patch(
            f"{_path(pod)}/status", {"metadata": {"uid": self.uid}, "status": status}
        )
        if _version(written) >= _version(self.context.pod):
            self.context.pod = written

    async def _remove(self) -> None:
        """Write the last status and delete the object."""
        while not self._gone.is_set():
            try:
                if not self._frozen:
                    await self._write_status()
                await self._services.api.delete_now(_path(self.context.pod), self.uid)
            except ApiError as error:
                if error.status in _GONE:
                    return
                _LOG.warning("pod %s not deleted: %s; trying again", self.name, error)
                await first(asyncio.sleep(_RETRY_SECONDS), self._gone.wait())
            else:
                return


def _role(container: dict[str, Any]) -> ContainerRole:
    return "sidecar" if container.get("restartPolicy") == "Always" else "init"


def _path(pod: dict[str, Any]) -> str:
    metadata = pod["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def _version(pod: dict[str, Any]) -> int:
    return int(pod["metadata"].get("resourceVersion") or 0)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
