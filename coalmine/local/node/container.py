"""One container of a pod over its life: started, probed, restarted with back-off, ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from coalmine.local.node.actions import ActionContext, ActionFailedError, perform
from coalmine.local.node.backoff import CrashBackoff, should_restart
from coalmine.local.node.containers import (
    ContainerRole,
    ContainerState,
    ContainerView,
    Running,
    Terminated,
    Waiting,
)
from coalmine.local.node.deadlines import Deadline, first
from coalmine.local.node.environment import ConfigError
from coalmine.local.node.health import Health, HealthListener
from coalmine.local.node.processes import Process, adopt, environment_of, launch
from coalmine.local.node.records import ContainerRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from coalmine.local.node.context import PodContext

__all__ = ["Container"]

_CONFIG_RETRY_SECONDS: Final = 2.0
_CANNOT_START: Final = 128
_MIN_STOP_SECONDS: Final = 2.0
_LOST_REASON: Final = "ContainerStatusUnknown"


class Container:
    """Runs one container. ``run`` is its life; ``stop`` ends it from another task.

    Attributes:
        manifest: The container as the pod writes it.
        name: Its name.
        role: Init container, native sidecar or ordinary container.
        started: Set once the current process counts as started.
        process: The current process, where one runs.
    """

    def __init__(self, pod: PodContext, manifest: Mapping[str, Any], role: ContainerRole) -> None:
        """Take the container up where the pod's folder or, without it, the Pod's status left it."""
        self.manifest = manifest
        self.name: str = manifest["name"]
        self.role: ContainerRole = role
        self.started = asyncio.Event()
        self.process: Process | None = None
        self._pod = pod
        self._stopping = asyncio.Event()
        self._environment: dict[str, str] = {}
        self._health: Health | None = None
        self._state: ContainerState = Waiting("PodInitializing" if pod.has_inits else "ContainerCreating")
        self._last: Terminated | None = None
        self._runs = 0
        self._record = pod.folder.load(self.name)
        if self._record is not None:
            self._resume(self._record)
        elif role != "init" and (known := pod.known_status(self.name)):
            # The pod's folder was lost, and with it the process.
            self._runs = known.get("restartCount", 0) + 1
            now = datetime.now(UTC)
            self._state = Terminated.lost(now, now, known["containerID"])
        self._backoff = CrashBackoff.after_restarts(self._runs - 1)

    @property
    def view(self) -> ContainerView:
        """The container as the Pod's status shows it."""
        started = isinstance(self._state, Running) and self.started.is_set()
        ready = started and not self._pod.stopping and (self._health is None or self._health.ready)
        if self.role == "init":
            ready = self.exit_code == 0
        return ContainerView(
            name=self.name,
            role=self.role,
            image=self.manifest.get("image") or "",
            state=self._state,
            last=self._last,
            restart_count=max(0, self._runs - 1),
            ready=ready,
            started=started and self.role != "init",
            container_id=f"local://{self._record.container_id}" if self._record else "",
        )

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it has not."""
        return self._state.exit_code if isinstance(self._state, Terminated) else None

    @property
    def over(self) -> bool:
        """Whether it ended and its restart policy does not start it again."""
        return self.exit_code is not None and not should_restart(self._policy, self.exit_code)

    @property
    def log(self) -> Path:
        """Where the current process's output is."""
        return self._pod.folder.log(self.name, max(0, self._runs - 1))

    @property
    def previous_log(self) -> Path:
        """Where the output of the process before it is; it need not exist."""
        return self._pod.folder.log(self.name, self._runs - 2)

    async def run(self) -> None:
        """Start the container and keep it as its restart policy says; return when it will not run again."""
        while not self._stopping.is_set() and not self.over:
            if isinstance(self._state, Terminated):
                await self._back_off(self._state)
            elif self.process is None:
                await self._start()
            else:
                await self._supervise(self.process)

    async def stop(self, deadline: Deadline, turn: Callable[[], Awaitable[object]] | None = None) -> None:
        """End the container for good: preStop, its turn, SIGTERM, and SIGKILL when the time is over.

        Args:
            deadline: The end of the pod's grace period. Even after it a process has two seconds, as with a kubelet.
            turn: Called and awaited between preStop and SIGTERM, at most until the deadline.
        """
        self._stopping.set()
        if self.process is not None:
            self._pod.emit("Normal", "Killing", f"Stopping container {self.name}")
            await self._end(self.process, deadline, turn)

    def detach(self) -> None:
        """Let go of the process, which goes on."""
        if self.process is not None:
            self.process.abandon()

    @property
    def _policy(self) -> str:
        if self.role == "sidecar":
            return "Always"
        policy: str = self._pod.pod["spec"].get("restartPolicy") or "Always"
        return "OnFailure" if self.role == "init" and policy == "Always" else policy

    def _resume(self, record: ContainerRecord) -> None:
        self._runs, self._last = record.restart_count + 1, record.last
        if record.ended is not None:
            self._state = record.ended
            return
        self.process = adopt(record.pid, record.identity)
        if self.process is not None:
            self._state = Running(record.started_at)
            # For commands of probes and hooks. It is not in the record: secrets do not belong there.
            self._environment = environment_of(record.pid)
            if record.started:
                self.started.set()
            return
        self._state = Terminated.lost(record.started_at, datetime.now(UTC), f"local://{record.container_id}")
        self._save(replace(record, ended=self._state))

    def _set(self, state: ContainerState) -> None:
        self._state = state
        self._pod.changed()

    def _save(self, record: ContainerRecord) -> None:
        self._record = record
        self._pod.folder.save(self.name, record)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _back_off(self, ended: Terminated) -> None:
        ran = (ended.finished_at - ended.started_at).total_seconds()
        # The end of the machine, or of all that ran on it, is not the container's fault.
        first_end = self._runs <= 1 or ended.reason == _LOST_REASON
        self._backoff = self._backoff.after_exit(ran_seconds=ran, first=first_end)
        self._last = ended
        seconds = self._backoff.seconds
        if seconds <= 0:
            self._state = Waiting("ContainerCreating")
            return
        metadata = self._pod.pod["metadata"]
        where = f"container={self.name} pod={metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        message = f"back-off {seconds:.0f}s restarting failed {where}"
        self._set(Waiting("CrashLoopBackOff", message))
        self._pod.emit("Warning", "BackOff", message)
        await self._pause(seconds)

    async def _start(self) -> None:
        """Start a process, or let the state tell why there is none."""
        try:
            argv, self._environment, folder = await self._pod.prepare(self.manifest)
        except ConfigError as error:
            self._set(Waiting(error.reason, str(error)))
            self._pod.emit("Warning", error.event, f"Error: {error}")
            await self._pause(_CONFIG_RETRY_SECONDS)
            return
        if self._stopping.is_set():
            return
        record = ContainerRecord(
            container_id=self._pod.new_id(),
            pid=0,
            identity="",
            started_at=datetime.now(UTC),
            restart_count=self._runs,
            last=self._last,
        )
        self._runs += 1
        self.started.clear()
        try:
            self.process = launch(argv, environment=self._environment, folder=folder, output=self.log)
        except (OSError, ValueError) as error:
            message = f"cannot start {argv[0]!r}: {error}"
            self._finish(record, _CANNOT_START, "StartError", message)
            self._pod.emit("Warning", "Failed", f"Error: {message}")
            return
        self._save(replace(record, pid=self.process.pid, identity=self.process.identity))
        self._set(Running(record.started_at))
        self._pod.emit("Normal", "Started", f"Started container {self.name}")
        self._pod.forget_logs(self.name, before=self._runs - 2)

    async def _supervise(self, process: Process) -> None:
        """Probe a process until it has ended."""
        self._health = Health(
            self.manifest,
            self._actions(),
            HealthListener(started=self._on_started, changed=self._pod.changed, unhealthy=self._on_unhealthy),
            resumed=self.started.is_set(),
            resumed_ready=self._pod.was_ready(self.name),
        )
        health = asyncio.create_task(self._health.run())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({health, ended}, return_when=asyncio.FIRST_COMPLETED)
            if health.done() and (failing := health.result()) and not ended.done() and not self._stopping.is_set():
                self._pod.emit("Normal", "Killing", failing.message)
                await self._end(process, Deadline(self._pod.grace if failing.grace is None else failing.grace))
            await ended
        finally:
            health.cancel()
            ended.cancel()
            await asyncio.gather(health, ended, return_exceptions=True)
        self.process = None
        if self._record is None:
            raise RuntimeError(f"container {self.name}: a process without a record")
        if process.exit_code is None:
            self._finish(self._record, None, _LOST_REASON, "")
        else:
            self._finish(self._record, process.exit_code, "Error" if process.exit_code else "Completed", "")

    def _finish(self, record: ContainerRecord, code: int | None, reason: str, message: str) -> None:
        now, container_id = datetime.now(UTC), f"local://{record.container_id}"
        if code is None:
            ended = Terminated.lost(record.started_at, now, container_id)
        else:
            ended = Terminated(code, reason, record.started_at, now, container_id, message)
        self._save(replace(record, ended=ended))
        self._set(ended)

    def _actions(self) -> ActionContext:
        return ActionContext(
            container=self.manifest,
            address=self._pod.address,
            environment=self._environment,
            folder=self._pod.work_folder(self.manifest),
            output=self._pod.folder.container(self.name) / "action.out",
            session=self._pod.session,
        )

    def _on_started(self) -> None:
        if not self.started.is_set() and self._record is not None:
            self._save(replace(self._record, started=True))
            self.started.set()
        self._pod.changed()

    def _on_unhealthy(self, reason: str, message: str) -> None:
        self._pod.emit("Warning", reason, message)

    async def _end(
        self, process: Process, deadline: Deadline, turn: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        hook = (self.manifest.get("lifecycle") or {}).get("preStop")
        if hook and deadline.remaining > 0:
            await first(self._pre_stop(hook), process.wait(), deadline.reached())
        if turn is not None:
            await first(turn(), process.wait(), deadline.reached())
        process.send(signal.SIGTERM)
        least = Deadline(_MIN_STOP_SECONDS)
        await first(process.wait(), asyncio.gather(deadline.reached(), least.reached()))
        process.send(signal.SIGKILL)
        await process.wait()

    async def _pre_stop(self, hook: Mapping[str, Any]) -> None:
        try:
            await perform(hook, self._actions(), seconds=None)
        except ActionFailedError as error:
            self._pod.emit("Warning", "FailedPreStopHook", f"PreStopHook failed: {error}")
