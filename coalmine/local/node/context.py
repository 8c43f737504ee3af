"""What the containers of one pod share, and what they need of the node."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coalmine.local.node.environment import ConfigError, build_environment, command_line, references
from coalmine.local.node.kube import ApiError
from coalmine.local.node.volumes import MOUNT_POINT, Volumes, mounts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from coalmine.local.node.events import EventRecorder
    from coalmine.local.node.kube import KubeApi
    from coalmine.local.node.records import PodFolder

__all__ = ["NodeServices", "PodContext", "grace_seconds"]

_PATHS: Final = {"ConfigMap": "configmaps", "Secret": "secrets"}
_NOT_FOUND: Final = 404


@dataclass(frozen=True, kw_only=True)
class NodeServices:
    """What every pod of the node uses.

    Attributes:
        api: The apiserver.
        events: Where events go.
        session: HTTP client of probes and hooks.
        capacity: The node's resources.
    """

    api: KubeApi
    events: EventRecorder
    session: aiohttp.ClientSession
    capacity: Mapping[str, str]


class PodContext:
    """One pod, as its containers see it.

    Attributes:
        pod: The Pod as last seen.
        address: Its address.
        folder: Its folder.
        stopping: Whether it is being ended: none of its containers is ready from then on.
    """

    def __init__(
        self,
        pod: dict[str, Any],
        *,
        address: str,
        folder: PodFolder,
        services: NodeServices,
        changed: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            pod: The Pod.
            address: Its address.
            folder: Its folder.
            services: What the node offers.
            changed: Called whenever the status may have changed.
        """
        self.pod = pod
        self.address = address
        self.folder = folder
        self.stopping = False
        self.changed = changed
        self.session = services.session
        self._services = services
        self._volumes = Volumes(services.api)

    @property
    def has_inits(self) -> bool:
        """Whether ordinary containers wait for others first."""
        return bool(self.pod["spec"].get("initContainers"))

    @property
    def grace(self) -> float:
        """The pod's grace period in seconds."""
        return grace_seconds(self.pod)

    def new_id(self) -> str:
        """Return an id for a container that is about to start."""
        return secrets.token_hex(16)

    def emit(self, kind: str, reason: str, message: str) -> None:
        """Record an event about the pod."""
        self._services.events.emit(self.pod, kind, reason, message)

    def known_status(self, container: str) -> Mapping[str, Any] | None:
        """Return what the Pod's status says of a container that was started before."""
        status = self.pod.get("status") or {}
        every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        return next((item for item in every if item["name"] == container and item.get("containerID")), None)

    def was_ready(self, container: str) -> bool:
        """Say whether the Pod's status has a container as ready."""
        known = self.known_status(container)
        return bool(known and known.get("ready"))

    def work_folder(self, container: Mapping[str, Any]) -> Path:
        """Return a container's working folder: its workingDir, else one of its own."""
        if given := container.get("workingDir"):
            return Path(given)
        return self._own_folder(container)

    async def write_volumes(self, container: Mapping[str, Any]) -> None:
        """Bring what a container mounts up to date.

        Raises:
            ConfigError: A volume's source is missing or of an unknown kind.
        """
        await self._volumes.write(self.pod, container, self._own_folder(container))

    async def prepare(self, container: Mapping[str, Any]) -> tuple[list[str], dict[str, str], Path]:
        """Return command line, environment and working folder for a start.

        Raises:
            ConfigError: The container cannot be started as it is.
        """
        objects = {reference: await self._read(*reference) for reference in references(container)}
        environment = build_environment(
            self.pod,
            container,
            pod_ip=self.address,
            objects=objects,
            inherited=os.environ,
            capacity=self._services.capacity,
        )
        if mounts_of(self.pod, container):
            await self.write_volumes(container)
            environment[MOUNT_POINT] = str(self._own_folder(container))
        return command_line(container, environment), environment, self.work_folder(container)

    def forget_logs(self, container: str, *, before: int) -> None:
        """Remove the output of restarts that nobody can ask for any more."""
        for path in (self.folder.path / container).glob("*.log*"):
            number = path.name.partition(".")[0]
            if number.isdigit() and int(number) < before:
                path.unlink(missing_ok=True)

    def _own_folder(self, container: Mapping[str, Any]) -> Path:
        folder = self.folder.container(container["name"]) / "work"
        folder.mkdir(exist_ok=True)
        return folder

    async def _read(self, kind: str, name: str) -> dict[str, Any] | None:
        namespace = self.pod["metadata"]["namespace"]
        try:
            return await self._services.api.get(f"/api/v1/namespaces/{namespace}/{_PATHS[kind]}/{name}")
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise ConfigError(f"{kind} {name!r} cannot be read: {error}") from error


def grace_seconds(pod: Mapping[str, Any]) -> float:
    """Return how long a pod may take to end: what its deletion says, else what it asks for itself."""
    given = pod["metadata"].get("deletionGracePeriodSeconds")
    if given is None:
        given = pod["spec"].get("terminationGracePeriodSeconds")
    return 30.0 if given is None else float(given)
