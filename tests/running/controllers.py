"""Controllers of a test's own on a local cluster: with arguments that the cluster's has not, killed, started again."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coalmine.local import processes
from coalmine.local.environment import component_environment, python_command
from coalmine.local.kube import http_ok
from coalmine.local.layout import CONTROLLER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coalmine.local.cluster import LocalCluster

__all__ = ["Controller", "free_port", "instead"]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has taken yet."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Controller:
    """One process of ``coalmine controller run``; it is not started yet.

    Attributes:
        http: Host and port of its dashboard and of the calls that it takes.
        log: What it writes.
    """

    def __init__(self, cluster: LocalCluster, name: str, *args: str, kubeconfig: Path | None = None) -> None:
        layout = cluster.layout
        self.name = name
        self.http = f"127.0.0.1:{free_port()}"
        self.log = layout.log(name)
        self._health = f"127.0.0.1:{free_port()}"
        self._record = layout.record(name)
        self._command = (
            *python_command(), "coalmine", "controller", "run",
            f"--kubeconfig={kubeconfig or layout.kubeconfig(CONTROLLER)}", f"--mesh-url={cluster.mesh_url}",
            f"--health-address={self._health}", f"--http-address={self.http}", *args,
        )  # fmt: skip

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        living = processes.living(self._record)
        return living.pid if living else None

    @property
    def ready(self) -> bool:
        """Whether it says so."""
        return http_ok(f"http://{self._health}/readyz")

    def becomes_ready(self) -> bool:
        """``ready``, of one that has to be alive."""
        assert self.pid, self.log.read_text()
        return self.ready

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.pid is None:
            processes.start(self._command, log=self.log, record=self._record, env=component_environment(os.environ))

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal, if there is one."""
        if (pid := self.pid) is not None:
            os.kill(pid, number)

    def kill(self) -> None:
        """kill -9, also of a stopped one."""
        if record := processes.living(self._record):
            processes.end(record, first=signal.SIGKILL, grace=10)

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        """SIGTERM, after which it has to end by itself."""
        if record := processes.living(self._record):
            assert processes.end(record, grace=30), f"{self.name} did not end by itself"

    def lines(self, since: int = 0) -> list[str]:
        """Return what it has logged from a character of its log on."""
        return self.log.read_text(errors="replace")[since:].splitlines() if self.log.exists() else []


@contextmanager
def instead(cluster: LocalCluster, controller: Controller) -> Iterator[Controller]:
    """Run a controller in place of the cluster's own, which comes back afterwards."""
    cluster.stop(CONTROLLER)
    controller.start()
    try:
        yield controller
    finally:
        controller.stop()
        cluster.start(CONTROLLER)
