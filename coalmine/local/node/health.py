"""The probes of one running container, asked when they are due."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coalmine.local.node.actions import ActionFailedError, perform
from coalmine.local.node.probes import ProbeKind, ProbeMachine, ProbeSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from coalmine.local.node.actions import ActionContext

__all__ = ["Failing", "Health", "HealthListener"]


@dataclass(frozen=True)
class Failing:
    """Why a container must be ended, and with how much grace (None: the pod's)."""

    message: str
    grace: float | None = None


@dataclass(frozen=True, kw_only=True)
class HealthListener:
    """Who is told.

    Attributes:
        started: The container counts as started.
        changed: Readiness changed.
        unhealthy: A probe failed: event reason and message.
    """

    started: Callable[[], None]
    changed: Callable[[], None]
    unhealthy: Callable[[str, str], None]


class Health:
    """Asks a container's probes from its start to its end."""

    def __init__(
        self,
        container: Mapping[str, Any],
        context: ActionContext,
        listener: HealthListener,
        *,
        resumed: bool = False,
        resumed_ready: bool = False,
    ) -> None:
        """Prepare.

        Args:
            container: Its manifest.
            context: What actions need.
            listener: Who is told.
            resumed: It had started before this agent did: no postStart hook, no startup probe.
            resumed_ready: It then was ready.
        """
        self._container = container
        self._name: str = container["name"]
        self._context = context
        self._listener = listener
        self._resumed = resumed
        self._resumed_ready = resumed_ready
        self._specs = {
            kind: spec
            for kind in ("startup", "readiness", "liveness")
            if (spec := ProbeSpec.of(container, kind)) is not None
        }
        self.ready = resumed_ready if "readiness" in self._specs else True

    async def run(self) -> Failing | None:
        """Ask until the container must be ended; None at once where nothing can tell that."""
        if not self._resumed:
            failing = await self._begin()
            if failing is not None:
                return failing
        self._listener.started()
        async with asyncio.TaskGroup() as tasks:
            readiness = tasks.create_task(self._readiness())
            failing = await self._until("liveness")
            if failing is not None:
                readiness.cancel()
        return failing

    async def _begin(self) -> Failing | None:
        hook = (self._container.get("lifecycle") or {}).get("postStart")
        if hook:
            try:
                await perform(hook, self._context, seconds=None)
            except ActionFailedError as error:
                self._listener.unhealthy("FailedPostStartHook", f"PostStartHook failed: {error}")
                return Failing(f"Container {self._name} failed its postStart hook")
        return await self._until("startup")

    async def _until(self, kind: ProbeKind) -> Failing | None:
        """Ask a startup or liveness probe until it has decided: startup either way, liveness on failure."""
        spec = self._specs.get(kind)
        if spec is None:
            return None
        machine = ProbeMachine(spec, now=_now())
        while True:
            result = await self._ask(machine)
            if result is False:
                return Failing(f"Container {self._name} failed {kind} probe, will be restarted", spec.grace)
            if result is True and kind == "startup":
                return None

    async def _readiness(self) -> None:
        spec = self._specs.get("readiness")
        if spec is None:
            return
        machine = ProbeMachine(spec, now=_now(), initial=self._resumed_ready if self._resumed else None)
        while True:
            result = await self._ask(machine)
            if result is not None:
                self.ready = result
                self._listener.changed()

    async def _ask(self, machine: ProbeMachine) -> bool | None:
        await asyncio.sleep(max(0.0, machine.next_at - _now()))
        asked, counted = _now(), machine.failures
        try:
            await perform(machine.spec.handler, self._context, seconds=machine.spec.timeout)
        except ActionFailedError as error:
            result = machine.record(success=False, now=asked)
            if machine.failures > counted:
                self._listener.unhealthy("Unhealthy", f"{machine.spec.kind.capitalize()} probe failed: {error}")
            return result
        return machine.record(success=True, now=asked)


def _now() -> float:
    return asyncio.get_running_loop().time()
