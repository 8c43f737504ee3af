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
from coalmine.local.inotify import shortage
from coalmine.local.kube import Api
from coalmine.local.kubeconfigs import write_kubeconfigs
from coalmine.local.layout import APISERVER, CONTROLLER, ETCD, KCM, MESH, NODE, Layout
from coalmine.local.readiness import Readiness, await_ready
from coalmine.local.settings import LOOPBACK, Settings, choose_ports, load_settings, port_is_free, save_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from coalmine.local.progress import Progress

__all__ = ["BringUp", "prepare"]

_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?limit=1"
_SECONDS: Final = 180.0
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
        self._api = Api(f"https://{LOOPBACK}:{settings.ports.apiserver}", layout.pki)
        self._readiness = Readiness(settings.ports, self._api)

    def run(self, missing: Collection[str], wanted: Collection[str]) -> None:
        """Start the components of ``missing``, and wait until those of ``wanted`` are ready.

        Raises:
            StartFailedError: One ended, or was not ready in time.
        """
        if MESH in missing and (warning := shortage()):
            self._progress.line(f"warning: {warning}")
        self._launch(missing, ETCD, APISERVER)
        base = [name for name in wanted if name in (ETCD, APISERVER)]
        if applies := bool({APISERVER, MESH, CONTROLLER} & {*wanted}):
            # It takes custom resources some time before it is ready itself.
            self._await(base or [APISERVER], lambda _: self._api.get(_DEFINITIONS) is not None, tell=False)
            self._api.apply(manifests.companions())
        definitions = self._api.apply(manifests.custom_resources()) if applies else ()
        self._await(base, self._readiness.of)
        # Not earlier: the controller-manager gives up on an apiserver that is not healthy within 10 s.
        self._launch(missing, KCM, NODE)
        if applies:
            self._await([APISERVER], lambda _: all(map(self._api.established, definitions)), tell=False)
        self._launch(missing, MESH, CONTROLLER)
        self._await([name for name in wanted if name not in base], self._readiness.of)

    def _launch(self, missing: Collection[str], *names: str) -> None:
        environment = component_environment(os.environ)
        for name in names:
            if name in missing:
                log, record = self._layout.log(name), self._layout.record(name)
                processes.start(self._commands[name], log=log, record=record, env=environment)

    def _await(self, names: Collection[str], check: Callable[[str], bool], *, tell: bool = True) -> None:
        waiting = list(names)

        def on_ready(name: str) -> None:
            waiting.remove(name)
            update(", ".join(waiting))
            if tell:
                self._progress.line(f"{name} is ready")

        with self._progress.task("waiting until ready") as update:
            update(", ".join(waiting))
            await_ready(
                names,
                check=check,
                process=lambda name: processes.living(self._layout.record(name)),
                log=self._layout.log,
                seconds=_SECONDS,
                on_ready=on_ready,
            )
