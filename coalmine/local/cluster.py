"""The local cluster: what the command, the demo and the tests start and end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

from coalmine.local import pki, processes
from coalmine.local.binaries.obtain import obtain
from coalmine.local.bringup import BringUp, prepare
from coalmine.local.components import GRACE_SECONDS
from coalmine.local.errors import LocalError
from coalmine.local.kube import Api, Kubectl
from coalmine.local.layout import APISERVER, ETCD, KCM, NODE, START_ORDER, Layout, default_state_dir
from coalmine.local.node.runtime import kill_all
from coalmine.local.progress import Progress, SilentProgress
from coalmine.local.readiness import Readiness
from coalmine.local.settings import LOOPBACK, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = ["BARE", "ComponentStatus", "LocalCluster"]

BARE = (ETCD, APISERVER, KCM, NODE)
"""What ``--bare`` starts: a plain Kubernetes without the mesh and the controller."""
_POD_GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One line of ``coalmine local status``.

    Attributes:
        name: The component.
        state: ``running``; ``stopped`` (never started, or ended by us); ``died`` (it ended by itself).
        ready: Whether it serves.
        pid: Its process, if it runs.
        log: Its log file.
    """

    name: str
    state: Literal["running", "stopped", "died"]
    ready: bool
    pid: int | None
    log: Path


class LocalCluster:
    """A Kubernetes of one's own on this machine's loopback addresses.

    Every method may be called by any process: what runs is known from the state folder.
    """

    def __init__(
        self,
        name: str = "default",
        state_dir: Path | None = None,
        *,
        pod_cidr: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Describe a cluster; nothing is started or written.

        Args:
            name: Tells clusters apart; also the kubeconfig's context, as ``coalmine-NAME``.
            state_dir: Its folder; by default the user's state folder.
            pod_cidr: Addresses of the pods, a part of 127.0.0.0/8; by default a range that no other cluster has.
            progress: Where `up` tells what it does.
        """
        self.name = name
        self.layout = Layout((state_dir or default_state_dir(name)).absolute())
        self._pod_cidr = pod_cidr
        self._progress = progress or SilentProgress()

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.layout.kubeconfig()

    def kubeconfig_for(self, component: str) -> Path:
        """Return the kubeconfig of ``node``, ``mesh``, ``controller`` or ``kube-controller-manager``."""
        if component not in pki.CLIENTS:
            raise LocalError(f"{component} has no kubeconfig; those that have: {', '.join(pki.CLIENTS)}")
        return self.layout.kubeconfig(component)

    @property
    def settings(self) -> Settings:
        """Ports and pod range of a cluster that has been up."""
        if (settings := load_settings(self.layout)) is None:
            raise LocalError(f"no cluster in {self.layout.root}; start it with `coalmine local up`")
        return settings

    @property
    def server(self) -> str:
        """The apiserver's URL."""
        return f"https://{LOOPBACK}:{self.settings.ports.apiserver}"

    @property
    def mesh_url(self) -> str:
        """The URL of the mesh's HTTP API."""
        return f"http://{LOOPBACK}:{self.settings.ports.mesh_http}"

    @property
    def dashboard_url(self) -> str:
        """Where the controller's dashboard is."""
        return f"http://{LOOPBACK}:{self.settings.ports.controller_http}/"

    @property
    def pod_cidr(self) -> str:
        """Addresses of the pods."""
        return self.settings.pod_cidr

    def kubectl(self) -> Kubectl:
        """Return the kubectl for this cluster, with the admin's rights."""
        return Kubectl(obtain(self._progress).kubectl, self.kubeconfig, self.layout.kubectl_cache)

    def pid(self, component: str) -> int | None:
        """Return a component's process; None if it does not run."""
        record = self._living(component)
        return record.pid if record else None

    def up(self, *, bare: bool = False, skip: Collection[str] = ()) -> tuple[str, ...]:
        """Start what does not run yet, and wait until everything is ready.

        Args:
            bare: Without the mesh and the controller.
            skip: Components that are left out.

        Returns:
            The components that were started.

        Raises:
            LocalError: A program is missing or a component did not start; what did start keeps running.
        """
        wanted = [name for name in START_ORDER if (not bare or name in BARE) and name not in skip]
        if unknown := set(skip) - set(START_ORDER):
            raise LocalError(f"unknown component {', '.join(sorted(unknown))}; there are: {', '.join(START_ORDER)}")
        with self._locked():
            missing = [name for name in wanted if not self._living(name)]
            self._bring_up(missing, wanted)
        return tuple(missing)

    def start(self, component: str) -> None:
        """Start one component, unless it runs, and wait until it is ready."""
        self._known(component)
        with self._locked():
            missing = [] if self._living(component) else [component]
            self._bring_up(missing, [component])

    def stop(self, component: str, number: signal.Signals = signal.SIGTERM) -> bool:
        """End one component: by default SIGTERM and, after its grace period, SIGKILL.

        Returns:
            Whether it ended without SIGKILL, or did not run.
        """
        self._known(component)
        with self._locked():
            return self._end(component, number)

    def restart(self, component: str) -> None:
        """End a component and start it again."""
        self.stop(component)
        self.start(component)

    def down(self, *, delete: bool = False) -> tuple[str, ...]:
        """End every component, and every process of every pod.

        Args:
            delete: Delete the cluster's state as well: its objects, certificates, logs.

        Returns:
            The components that ran.
        """
        if not self.layout.root.exists():
            return ()
        with self._locked():
            running = [name for name in reversed(START_ORDER) if self._living(name)]
            for name in reversed(START_ORDER):
                with self._progress.task(f"ending {name}"):
                    self._end(name, signal.SIGTERM)
                    if name == NODE:
                        # The agent leaves its pods running for the next one, and may have been killed itself.
                        kill_all(self.layout.node_state, grace_seconds=_POD_GRACE_SECONDS)
            if delete:
                shutil.rmtree(self.layout.root)
        return tuple(running)

    def status(self) -> tuple[ComponentStatus, ...]:
        """Return how every component is."""
        settings = load_settings(self.layout)
        readiness = Readiness(settings.ports, self._api(settings)) if settings else None
        return tuple(self._status_of(name, readiness) for name in START_ORDER)

    def _status_of(self, name: str, readiness: Readiness | None) -> ComponentStatus:
        record = processes.read_record(self.layout.record(name))
        log = self.layout.log(name)
        if record is None or not record.alive():
            return ComponentStatus(name, "stopped" if record is None else "died", ready=False, pid=None, log=log)
        ready = readiness is not None and readiness.of(name)
        return ComponentStatus(name, "running", ready=ready, pid=record.pid, log=log)

    def _bring_up(self, missing: Collection[str], wanted: Collection[str]) -> None:
        idle = not any(self._living(name) for name in START_ORDER)
        settings = prepare(self.layout, self.name, self._pod_cidr, idle=idle)
        BringUp(self.layout, settings, self._progress).run(missing, wanted)

    def _api(self, settings: Settings) -> Api:
        return Api(f"https://{LOOPBACK}:{settings.ports.apiserver}", self.layout.pki)

    def _end(self, name: str, number: signal.Signals) -> bool:
        path = self.layout.record(name)
        record = processes.read_record(path)
        gently = record is None or processes.end(record, first=number, grace=GRACE_SECONDS[name])
        path.unlink(missing_ok=True)
        return gently

    def _living(self, name: str) -> processes.ProcessRecord | None:
        self._known(name)
        return processes.living(self.layout.record(name))

    def _known(self, name: str) -> None:
        if name not in START_ORDER:
            raise LocalError(f"unknown component {name}; there are: {', '.join(START_ORDER)}")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        while True:
            self.layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.layout.lock.open("w") as lock:
                self._lock(lock)
                # `down --delete` takes the file away from under those who wait for it.
                if self.layout.lock.exists() and self.layout.lock.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                    yield
                    return

    def _lock(self, lock: TextIO) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._progress.task(f"waiting for another command that changes cluster {self.name}"):
                fcntl.flock(lock, fcntl.LOCK_EX)
