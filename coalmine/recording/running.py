"""Runs a recording: from a cluster or from Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import aiohttp

from analysis.providers.base import Context, UnavailableError
from analysis.providers.registry import open_counts
from analysis.run.record import record_counts
from coalmine.recording.cluster import (
    KubeCluster,
    check_mesh,
    cluster_secrets,
    local_mesh_url,
    mesh_feed,
    prometheus_feed,
)
from coalmine.recording.follow import Follower, FollowError, Wish
from rollouts.core.naming import names_of
from rollouts.core.notes import Notes
from rollouts.engine.kube import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from analysis.api.prometheus import PrometheusCounts
    from analysis.model.counts import Arm
    from analysis.run.record import Recorder
    from coalmine.recording.release import Release
    from coalmine.recording.settings import GivenSecrets
    from rollouts.core.observed import Subject
    from rollouts.engine.feeds import Feed
    from rollouts.engine.kube import Kube

__all__ = ["ClusterOrder", "PrometheusOrder", "Tell", "record_prometheus", "record_rollout"]

_SETTLE_INTERVALS: Final = 5.0
"""After so many scrapes a window changes no more, whatever was late."""
_MESH_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Tell:
    """Where it is said how it goes.

    Attributes:
        say: Takes what has happened.
        update: Takes how it is going.
    """

    say: Callable[[str], None]
    update: Callable[[str], None]

    def reached(self, time: float) -> None:
        """See ``analysis.run.record.Progress``."""
        self.update(f"read up to {_clock_time(time)}")

    def failed(self, words: str, pause: float) -> None:
        """See ``analysis.run.record.Progress``."""
        self.say(f"{words}; asked again in {pause:.0f} s")


@dataclass(frozen=True, slots=True)
class ClusterOrder:
    """A Rollout that is to be recorded.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        kubeconfig: How to reach the API server; None within a pod.
        mesh_url: The mesh's HTTP address; None to find out.
        settings: Returns the settings of the Prometheus that counts come from, given the block that the Rollout has of one;
            None for the mesh.
        secrets: Values that were given.
        wish: Which release, how long, and what of it.
    """

    namespace: str
    name: str
    kubeconfig: Path | None
    mesh_url: str | None
    settings: Callable[[PrometheusCounts | None], PrometheusCounts | None]
    secrets: GivenSecrets
    wish: Wish


@dataclass(frozen=True, slots=True)
class PrometheusOrder:
    """A span of time in Prometheus that is to be recorded.

    Attributes:
        settings: Where and what.
        secrets: Values that were given.
        latency: Whether latencies are recorded.
        since: When the release began, Unix seconds.
        until: Until when, Unix seconds.
        history: Seconds before the release that are recorded too.
        steps: When the canary's share changed, Unix seconds.
    """

    settings: PrometheusCounts
    secrets: GivenSecrets
    latency: bool
    since: float
    until: float
    history: float
    steps: tuple[float, ...]


async def record_rollout(order: ClusterOrder, recorder: Recorder, tell: Tell) -> None:
    """Record a release of a Rollout.

    Raises:
        FollowError: There is nothing to record, or the mesh cannot be reached.
        KubeError: The API server refuses.
        SourceError: The source of the counts cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(_connected(order.kubeconfig))
        cluster = KubeCluster(kube, order.namespace, order.name)
        subject = await cluster.rollout()
        if subject is None:
            raise FollowError(
                f"there is no Rollout {order.name} in namespace {order.namespace}: check the name and -n "
                "(kubectl get rollouts -A)"
            )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        open_feed, patience = await _feed_of(order, subject, kube, session, tell)
        follower = Follower(
            cluster,
            open_feed,
            recorder,
            replace(order.wish, patience=patience),
            clock=time.time,
            sleep=asyncio.sleep,
            say=tell.say,
            update=tell.update,
        )
        await follower.run()
        if follower.release is not None and (pod := follower.release.replaced):
            tell.say(
                f"pod {pod} was replaced because it alone was worse: the controller left its counts out, they are recorded"
            )


@contextlib.asynccontextmanager
async def _connected(kubeconfig: Path | None) -> AsyncIterator[Kube]:
    async with contextlib.AsyncExitStack() as stack:
        try:
            kube = await stack.enter_async_context(connect(kubeconfig))
        except Exception as error:  # noqa: BLE001 - the client raises whatever a broken file makes it stumble over
            where = "the pod's service account" if kubeconfig is None else f"the kubeconfig {kubeconfig}"
            raise FollowError(f"{where} cannot be used ({error}): write --kubeconfig FILE, or set KUBECONFIG") from None
        yield kube


async def _feed_of(
    order: ClusterOrder, subject: Subject, kube: Kube, session: aiohttp.ClientSession, tell: Tell
) -> tuple[Callable[[Release, float, Mapping[str, Arm]], Feed], float]:
    """Return what opens the counts of a release, and how long its last moments are waited for."""
    written = subject.spec.analysis.source if subject.spec else None
    settings = order.settings(written.prometheus if written else None)
    if settings is None and written is not None and written.settings is not None:
        raise FollowError(
            "this Rollout's counts are sent to the controller and cannot be asked for: write --prometheus, if a Prometheus "
            "has them too"
        )
    if settings is not None:
        if order.wish.last and settings.canary is None:
            tell.say("pods that are gone are not known by name: write --canary and --baseline to count them too")
        secret = cluster_secrets(kube, order.namespace, order.secrets.own)
        patience = _SETTLE_INTERVALS * settings.scrape_interval + settings.lateness + _MESH_PATIENCE

        def open_prometheus(_: Release, since: float, arms: Mapping[str, Arm]) -> Feed:
            return prometheus_feed(settings, secret, time.time, since=since, arms=arms, latency=order.wish.latency)

        return open_prometheus, patience
    url = order.mesh_url or local_mesh_url(order.kubeconfig)
    if url is None:
        raise FollowError(
            "where the mesh's control plane serves HTTP is not known: write --mesh-url (kubectl port-forward to it, then "
            "--mesh-url http://127.0.0.1:15080), or --prometheus for counts from there"
        )
    url = url.rstrip("/")
    names = names_of(subject.spec, Notes.read(subject.status.internal))
    if names is not None and (odd := await check_mesh(session, url, (order.namespace, names.host))):
        tell.say(odd)
    return lambda release, since, _: mesh_feed(session, url, order.namespace, release, since), _MESH_PATIENCE


async def record_prometheus(order: PrometheusOrder, recorder: Recorder, tell: Tell) -> None:
    """Record a span of time from Prometheus.

    Raises:
        SourceError: It cannot be asked.
    """
    settings, since = order.settings, order.since - order.history
    context = Context(namespace="", secret=order.secrets.read, clock=time.time)
    recorder.began, recorder.step_starts = order.since, order.steps
    tell.update("asking for the histogram's bounds")
    recorder.bounds_ms = await _bounds(settings, context, (order.until, order.since)) if order.latency else ()
    source = open_counts(settings, context, bounds_ms=recorder.bounds_ms, pods=dict)
    try:
        await record_counts(
            source,
            recorder,
            since=since,
            until=order.until,
            settle=_SETTLE_INTERVALS * settings.scrape_interval,
            every=min(max(settings.scrape_interval / 2, 1.0), 5.0),
            clock=time.time,
            sleep=asyncio.sleep,
            progress=tell,
        )
    finally:
        await source.close()


async def _bounds(settings: PrometheusCounts, context: Context, times: tuple[float, ...]) -> tuple[float, ...]:
    """Return the latency bounds that the pods' histograms had at the first of some times at which there were any."""
    for number, time_ in enumerate(times, start=1):
        source = open_counts(
            settings, replace(context, clock=_stopped(min(time_, context.clock()))), bounds_ms=(), pods=dict
        )
        try:
            return await source.bounds()
        except UnavailableError as error:
            if number == len(times):
                raise UnavailableError(f"{error} (--no-latency records without latency)") from None
        finally:
            await source.close()
    raise AssertionError(times)


def _stopped(at: float) -> Callable[[], float]:
    return lambda: at


def _clock_time(time: float) -> str:
    return dt.datetime.fromtimestamp(time, dt.UTC).strftime("%H:%M:%SZ")
