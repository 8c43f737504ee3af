"""The local cluster: what the command, the demo and the tests start and end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from coalmine.local import manifests, pki, podranges, processes
from coalmine.local.binaries.obtain import obtain
from coalmine.local.components import GRACE_SECONDS, Programs, commands, service_address
from coalmine.local.environment import component_environment, envoy_program, python_command
from coalmine.local.errors import LocalError
from coalmine.local.kube import Api, Kubectl
from coalmine.local.kubeconfigs import write_kubeconfigs
from coalmine.local.layout import APISERVER, CONTROLLER, ETCD, KCM, MESH, NODE, START_ORDER, Layout, default_state_dir
from coalmine.local.progress import Progress, SilentProgress
from coalmine.local.readiness import Readiness, await_ready
from coalmine.local.settings import LOOPBACK, Settings, choose_ports, load_settings, port_is_free, save_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = ["BARE", "ComponentStatus", "LocalCluster"]

BARE = (ETCD, APISERVER, KCM, NODE)
"""What ``--bare`` starts: a plain Kubernetes without the mesh and the controller."""
_START_SECONDS = 120.0
_API_USERS = (MESH, NODE, CONTROLLER)


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
        """End every component.

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
                if name in running:
                    with self._progress.task(f"ending {name}"):
                        self._end(name, signal.SIGTERM)
                else:
                    self.layout.record(name).unlink(missing_ok=True)
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
        settings = self._prepare(missing)
        binaries = obtain(self._progress)
        programs = Programs(
            binaries.etcd, binaries.apiserver, binaries.controller_manager, envoy_program(), python_command()
        )
        lines = commands(self.layout, settings, programs)
        readiness = Readiness(settings.ports, self._api(settings))
        kubectl = Kubectl(binaries.kubectl, self.kubeconfig, self.layout.kubectl_cache)

        def launch(*names: str) -> None:
            for name in names:
                if name in missing:
                    self._spawn(name, lines[name])

        launch(ETCD, APISERVER)
        if KCM in missing:
            # It waits 10 s for a healthy apiserver and then gives up: not before something listens there.
            self._await([APISERVER], readiness, check=readiness.listening)
            launch(KCM)
        self._await([name for name in (ETCD, APISERVER) if name in wanted], readiness)
        launch(NODE)
        if any(name in wanted for name in (APISERVER, MESH, CONTROLLER)):
            self._apply_manifests(kubectl)
        launch(MESH, CONTROLLER)
        self._await([n for n in wanted if n not in (ETCD, APISERVER)], readiness)

    def _prepare(self, missing: Collection[str]) -> Settings:
        """Choose what is not chosen yet, and issue the certificates."""
        settings = load_settings(self.layout)
        idle = not any(self._living(name) for name in START_ORDER)
        if settings is None:
            settings = Settings(self.name, self._claim(self._pod_cidr), choose_ports())
        elif idle:
            settings = replace(settings, pod_cidr=self._claim(self._pod_cidr or settings.pod_cidr))
            if not all(port_is_free(port) for port in asdict(settings.ports).values()):
                settings = replace(settings, ports=choose_ports())
        save_settings(self.layout, settings)
        if missing:
            pki.ensure(self.layout.pki, service_address=service_address(), now=datetime.now(UTC))
            server = f"https://{LOOPBACK}:{settings.ports.apiserver}"
            write_kubeconfigs(self.layout, cluster=f"coalmine-{settings.name}", server=server)
        return settings

    def _claim(self, preferred: str | None) -> str:
        return podranges.claim(self.layout, preferred=preferred)

    def _spawn(self, name: str, command: tuple[str, ...]) -> None:
        log, record = self.layout.log(name), self.layout.record(name)
        processes.start(command, log=log, record=record, env=component_environment(os.environ))

    def _await(self, names: Collection[str], readiness: Readiness) -> None:
        with self._progress.task(f"waiting for {', '.join(names)}"):
            await_ready(
                names,
                check=readiness.of,
                process=self._living,
                log=self.layout.log,
                seconds=_START_SECONDS,
                on_ready=lambda name: self._progress.line(f"{name} is ready"),
            )

    def _apply_manifests(self, kubectl: Kubectl) -> None:
        resources = manifests.custom_resources()
        kubectl.apply((*resources, *manifests.roles()))
        kubectl.await_custom_resources(resources)

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
        record = processes.read_record(self.layout.record(name))
        return record if record is not None and record.alive() else None

    def _known(self, name: str) -> None:
        if name not in START_ORDER:
            raise LocalError(f"unknown component {name}; there are: {', '.join(START_ORDER)}")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.layout.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with self._progress.task(f"waiting for another command that changes cluster {self.name}"):
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield
