"""Bringing a cluster up: what is chosen and issued first, and what is started when."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from coalmine.local import manifests, pki, podranges, processes
from coalmine.local.binaries.obtain import obtain
from coalmine.local.components import Programs, commands, service_address
from coalmine.local.environment import component_environment, envoy_program, python_command
from coalmine.local.kube import Api, Kubectl
from coalmine.local.kubeconfigs import write_kubeconfigs
from coalmine.local.layout import APISERVER, CONTROLLER, ETCD, KCM, MESH, NODE, Layout
from coalmine.local.readiness import Readiness, await_ready
from coalmine.local.settings import LOOPBACK, Settings, choose_ports, load_settings, port_is_free, save_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from coalmine.local.progress import Progress

__all__ = ["BringUp", "prepare"]

_SECONDS: Final = 120.0
"""How long a component may take to become ready; on an idle machine each takes one to four seconds."""


def prepare(layout: Layout, name: str, pod_cidr: str | None, *, idle: bool) -> Settings:
    """Choose what is not chosen yet, and issue the certificates that are missing.

    Args:
        layout: The cluster's files.
        name: Its name.
        pod_cidr: The pods' addresses that were asked for.
        idle: Nothing of the cluster runs, so that ports and addresses that others have taken can be exchanged.
    """
    settings = load_settings(layout)
    if settings is None:
        settings = Settings(name, podranges.claim(layout, preferred=pod_cidr), choose_ports())
    elif idle:
        settings = replace(settings, pod_cidr=podranges.claim(layout, preferred=pod_cidr or settings.pod_cidr))
        if not all(port_is_free(port) for port in asdict(settings.ports).values()):
            settings = replace(settings, ports=choose_ports())
    pki.ensure(layout.pki, service_address=service_address(), now=datetime.now(UTC))
    server = f"https://{LOOPBACK}:{settings.ports.apiserver}"
    write_kubeconfigs(layout, cluster=f"coalmine-{settings.name}", server=server)
    save_settings(layout, settings)
    return settings


class BringUp:
    """Starts components in the order in which they can use one another, and as many at once as can be."""

    def __init__(self, layout: Layout, settings: Settings, progress: Progress) -> None:
        self._layout = layout
        self._progress = progress
        binaries = obtain(progress)
        self._commands = commands(
            layout,
            settings,
            Programs(binaries.etcd, binaries.apiserver, binaries.controller_manager, envoy_program(), python_command()),
        )
        self._kubectl = Kubectl(binaries.kubectl, layout.kubeconfig(), layout.kubectl_cache)
        self._readiness = Readiness(settings.ports, Api(f"https://{LOOPBACK}:{settings.ports.apiserver}", layout.pki))

    def run(self, missing: Collection[str], wanted: Collection[str]) -> None:
        """Start the components of ``missing``, and wait until those of ``wanted`` are ready.

        Raises:
            StartFailedError: One ended, or was not ready in time.
        """
        self._launch(missing, ETCD, APISERVER)
        if KCM in missing:
            # It waits 10 s for a healthy apiserver and then gives up: not before something listens there.
            self._await([APISERVER], self._readiness.listens, tell=False)
            self._launch(missing, KCM)
        self._await([name for name in wanted if name in (ETCD, APISERVER)], self._readiness.of)
        self._launch(missing, NODE)
        if {APISERVER, MESH, CONTROLLER} & {*wanted}:
            self._apply_manifests()
        self._launch(missing, MESH, CONTROLLER)
        self._await([name for name in wanted if name not in (ETCD, APISERVER)], self._readiness.of)

    def _launch(self, missing: Collection[str], *names: str) -> None:
        environment = component_environment(os.environ)
        for name in names:
            if name in missing:
                log, record = self._layout.log(name), self._layout.record(name)
                processes.start(self._commands[name], log=log, record=record, env=environment)

    def _await(self, names: Collection[str], check: Callable[[str], bool], *, tell: bool = True) -> None:
        with self._progress.task(f"waiting for {', '.join(names)}"):
            await_ready(
                names,
                check=check,
                process=lambda name: processes.living(self._layout.record(name)),
                log=self._layout.log,
                seconds=_SECONDS,
                on_ready=lambda name: self._progress.line(f"{name} is ready") if tell else None,
            )

    def _apply_manifests(self) -> None:
        resources = manifests.custom_resources()
        self._kubectl.apply((*resources, *manifests.companions()))
        self._kubectl.await_custom_resources(resources)
