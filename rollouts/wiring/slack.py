"""Puts Slack together: what sends, what receives, and what only the controller that leads does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from rollouts.gates.slack import SocketReceiver, Tasks, make_app
from rollouts.gates.slack_clicks import Clicks
from rollouts.gates.slack_groups import Groups
from rollouts.notify.slack import SlackSink
from rollouts.notify.slack_client import SlackClient
from rollouts.notify.slack_refresh import SlackRefresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aiohttp import web

    from rollouts.api.controller import ControllerConfig
    from rollouts.engine.cache import Cache
    from rollouts.engine.kube import Kube
    from rollouts.notify.base import Sink

__all__ = ["SlackParts"]


class SlackParts:
    """Slack, where it is configured; nothing where it is not."""

    def __init__(
        self,
        config: ControllerConfig,
        kube: Kube,
        cache: Cache,
        namespaces: Sequence[str],
        remembered: Callable[[], Iterable[tuple[str, str, str, Mapping[str, str]]]],
    ) -> None:
        """Make the parts; nothing is connected yet.

        Args:
            config: The configuration.
            kube: The API server, on every replica.
            cache: What the watches tell.
            namespaces: Those that are watched; none: all.
            remembered: Returns which messages there are (``Outbox.remembered``).
        """
        self.sinks: tuple[Sink, ...] = ()
        self._settings = settings = config.slack
        self._tasks = Tasks()
        self._client: SlackClient | None = None
        if settings is None:
            return
        self._client = client = SlackClient(settings.token_file, settings.api_url)
        sink = SlackSink(client, settings, lambda namespace, name: _current(cache, namespace, name))
        self.sinks = (sink,)
        self._refresh = SlackRefresh(sink, remembered, settings.refresh)
        self._clicks = Clicks(
            client, Groups(client.members), kube, settings, people=config.approvals.people, namespaces=namespaces
        )

    def parts(self, http_address: str | None) -> dict[str, web.Application]:
        """Return what is served on every replica, by the first part of its paths.

        Args:
            http_address: Where that is.

        Raises:
            ValueError: Signed requests are expected, and nothing is served.
        """
        if self._settings is None or self._settings.signing_secret_file is None:
            return {}
        if http_address is None:
            msg = (
                "slack.signingSecretFile: Slack would call /slack/interactive, and nothing is served: add --http-address, "
                "or use slack.appTokenFile (Socket Mode) instead"
            )
            raise ValueError(msg)
        return {"/slack": make_app(self._settings.signing_secret_file, self._clicks.handle, self._tasks)}

    async def lead(self) -> None:
        """Receive clicks by Socket Mode and bring messages up to date, until cancelled."""
        if self._settings is None:
            return
        parts = [self._refresh.run()]
        if self._settings.app_token_file is not None:
            parts.append(
                SocketReceiver(
                    self._settings.app_token_file,
                    self._settings.api_url,
                    self._clicks.handle,
                    self._tasks,
                    clock=time.time,
                ).run()
            )
        await asyncio.gather(*parts)

    async def close(self) -> None:
        """Let clicks that came in be answered, and end."""
        await self._tasks.close()
        if self._client is not None:
            await self._client.close()


def _current(cache: Cache, namespace: str, name: str) -> dict[str, Any] | None:
    """Return a Rollout as it is now, with its Deployment's annotations besides its own."""
    rollout = cache.rollouts.get((namespace, name))
    if rollout is None:
        return None
    workload = ((rollout.get("spec") or {}).get("workloadRef") or {}).get("name") or name
    deployment = cache.deployments.get((namespace, workload)) or {}
    annotations: dict[str, str] = {}
    for body in (rollout, deployment):
        annotations |= (body.get("metadata") or {}).get("annotations") or {}
    return {**rollout, "metadata": {**rollout["metadata"], "annotations": annotations}}
