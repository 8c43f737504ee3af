"""Where the recorded Rollout is: its API server, its mesh, and the source of its counts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp
from pydantic import ValidationError

from analysis.providers.base import ConfigurationError, Context
from analysis.providers.registry import open_counts
from coalmine.local.layout import Layout
from coalmine.local.settings import LOOPBACK, load_settings
from coalmine.recording.follow import FollowError
from rollouts.api.names import GROUP, VERSION
from rollouts.core.observed import Service
from rollouts.engine.cache import Cache
from rollouts.engine.feeds import MeshFeed, PolledFeed
from rollouts.engine.gather import known_pods, subject_of
from rollouts.engine.kube import object_path
from rollouts.engine.secrets import secret_reader
from rollouts.engine.telemetry import TelemetryStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from analysis.api.prometheus import PrometheusCounts
    from analysis.model.counts import Arm
    from coalmine.recording.release import Release
    from rollouts.core.naming import Names
    from rollouts.core.observed import Subject
    from rollouts.engine.feeds import Feed
    from rollouts.engine.kube import Kube
    from rollouts.engine.measure import Known

__all__ = ["KubeCluster", "check_mesh", "kubeconfig_of", "local_mesh_url", "mesh_feed", "prometheus_feed"]

_ASK_SECONDS: Final = 5.0


class KubeCluster:
    """A Rollout and its pods, read from the API server."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name

    async def rollout(self) -> Subject | None:
        """Return the Rollout; None when there is none.

        Raises:
            FollowError: Its status is of another version of the controller.
            KubeError: The API server refuses.
        """
        path = object_path(f"{GROUP}/{VERSION}", "Rollout", self._namespace, self._name)
        found = await self._kube.request("GET", path)
        try:
            return None if found is None else subject_of(found)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise FollowError(
                f"the Rollout's status.{place} is not as this version of coalmine writes it: use the controller's version"
            ) from None

    async def pods(self, names: Names) -> Known:
        """Return what is known of the pods behind both Services.

        Raises:
            KubeError: The API server refuses.
        """
        cache = Cache()
        services = [await self._service(name) for name in (names.host, names.canary_service)]
        for service in services:
            if service is not None and service.selector:
                for body in await self._selected(service.selector):
                    cache.put("pods", body)
        return known_pods(cache, self._namespace, *services)

    async def _service(self, name: str) -> Service | None:
        found = await self._kube.request("GET", object_path("v1", "Service", self._namespace, name))
        return None if found is None else Service(found)

    async def _selected(self, selector: Mapping[str, str]) -> list[dict[str, Any]]:
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in selector.items())}
        found = await self._kube.request("GET", object_path("v1", "Pod", self._namespace), query=query)
        return list((found or {}).get("items") or ())


def kubeconfig_of(chosen: Path | None, env: Mapping[str, str]) -> Path | None:
    """Return the kubeconfig to use, as kubectl finds it; None within a pod.

    Raises:
        FollowError: There is none.
    """
    if chosen is not None:
        return chosen
    if env.get("KUBECONFIG"):
        return Path(env["KUBECONFIG"])
    usual = Path(env.get("HOME", "~")).expanduser() / ".kube" / "config"
    if usual.is_file():
        return usual
    if "KUBERNETES_SERVICE_HOST" in env:
        return None
    raise FollowError("no cluster is named: write --kubeconfig FILE, or set KUBECONFIG")


def local_mesh_url(kubeconfig: Path | None) -> str | None:
    """Return where the mesh of a cluster of ``coalmine local`` serves HTTP; None for any other cluster."""
    if kubeconfig is None:
        return None
    for part in str(kubeconfig).split(os.pathsep):
        layout = Layout(Path(part).resolve().parent)
        settings = load_settings(layout) if Path(part).resolve() == layout.kubeconfig() else None
        if settings is not None:
            return f"http://{LOOPBACK}:{settings.ports.mesh_http}"
    return None


async def check_mesh(session: aiohttp.ClientSession, url: str, host: tuple[str, str]) -> str:
    """Find out now, not when the release begins, that the mesh cannot be reached.

    Returns:
        What is odd about it, in words; empty when all is well.

    Raises:
        FollowError: It does not answer as the mesh does.
    """
    try:
        timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
        async with session.get(f"{url}/v1/telemetry", timeout=timeout) as answer:
            answer.raise_for_status()
            hosts = {(entry["namespace"], entry["service"]) for entry in (await answer.json())["hosts"]}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
        raise FollowError(
            f"--mesh-url {url}: the mesh's control plane does not answer there ({str(error) or 'no answer in time'}): "
            "write the HTTP address of `coalmine mesh serve`, through kubectl port-forward where it is in a cluster"
        ) from None
    namespace, service = host
    return "" if host in hosts else f"no proxy has sent a request to {service}.{namespace} yet"


def mesh_feed(session: aiohttp.ClientSession, url: str, namespace: str, release: Release, since: float) -> Feed:
    """Return the mesh's counts of a release."""
    address = f"{url}/v1/telemetry/{quote(namespace)}/{quote(release.names.host)}"
    return MeshFeed(TelemetryStream(session, address, since, lambda: None), release.names)


def prometheus_feed(
    settings: PrometheusCounts,
    secret: Callable[[str, str], Awaitable[str]],
    clock: Callable[[], float],
    *,
    since: float,
    arms: Mapping[str, Arm],
    latency: bool,
) -> Feed:
    """Return the counts of a release in Prometheus.

    Args:
        settings: Where and what.
        secret: Reads secret values.
        clock: Unix seconds.
        since: From when on, Unix seconds.
        arms: The arm of each pod by name, filled in as pods are seen.
        latency: Whether latencies are recorded.
    """
    context = Context(namespace="", secret=secret, clock=clock)
    return PolledFeed(
        lambda bounds: open_counts(settings, context, bounds_ms=bounds, pods=lambda: arms),
        since=since,
        bounds=None if latency else (),
        every=min(max(settings.scrape_interval / 2, 1.0), 5.0),
        clock=clock,
        on_change=lambda: None,
    )


def cluster_secrets(
    kube: Kube, namespace: str, own: Callable[[str, str], str | None]
) -> Callable[[str, str], Awaitable[str]]:
    """Return a reader of secret values: from what was given on the command line, otherwise from the cluster."""
    from_cluster = secret_reader(kube, namespace)

    async def read(name: str, key: str) -> str:
        value = own(name, key)
        try:
            return await from_cluster(name, key) if value is None else value
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} (or give its value: --secret {name}/{key}=FILE)") from None

    return read
