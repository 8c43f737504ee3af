"""Puts together what tells people of releases, and what takes their decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollouts.engine.counted import Counted
from rollouts.engine.outbox import Outbox
from rollouts.gates.http import make_app as approvals_app
from rollouts.notify.signing import signature
from rollouts.wiring.sinks import open_sinks
from rollouts.wiring.slack import SlackParts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import aiohttp
    from aiohttp import web

    from rollouts.engine.cache import Cache
    from rollouts.engine.courier import Surroundings
    from rollouts.engine.kube import Kube
    from rollouts.engine.meters import Meters
    from rollouts.wiring.options import Options

__all__ = ["Telling"]


class Telling:
    """Whom transitions are told, and where people answer. Each term has an outbox of its own."""

    def __init__(
        self, options: Options, kube: Kube, cache: Cache, meters: Meters, session: aiohttp.ClientSession
    ) -> None:
        """Make the parts; nothing is connected yet.

        Args:
            options: How the controller is run.
            kube: The API server, on every replica, whether it leads or not.
            cache: What the watches tell.
            meters: Counts what is told.
            session: For requests; it keeps no cookies and no connections.

        Raises:
            InvalidConfigError: Two sinks are the same, or one names what there is not.
        """
        self._options = options
        self._kube = kube
        self._meters = meters
        self._slack = SlackParts(options.config, kube, cache, options.namespaces, self._messages)
        self._sinks = (*open_sinks(options.config, session), *self._slack.sinks)
        self._outbox: Outbox | None = None

    def begin(self, around: Surroundings) -> Outbox | None:
        """Return a new term's outbox; None where nobody is told anything."""
        self._outbox = Outbox([Counted(sink, self._meters) for sink in self._sinks], around) if self._sinks else None
        return self._outbox

    @property
    def pending(self) -> Mapping[str, int]:
        """How many transitions each sink is not told of yet."""
        return self._outbox.pending if self._outbox else {}

    def parts(self) -> dict[str, web.Application]:
        """Return what is served beside the pages, by the first part of its paths.

        Raises:
            ValueError: Somebody is expected to call, and nothing is served.
        """
        return {**self._slack.parts(self._options.http_address), **_approvals(self._kube, self._options)}

    async def lead(self) -> None:
        """Do what only the controller that leads does, until cancelled."""
        await self._slack.lead()

    async def close(self) -> None:
        """Let what came in be answered, and end."""
        await self._slack.close()

    def _messages(self) -> Iterable[tuple[str, str, str, Mapping[str, str]]]:
        return self._outbox.remembered("slack") if self._outbox else ()


def _approvals(kube: Kube, options: Options) -> dict[str, web.Application]:
    """Return what takes signed calls, where some program may call.

    Raises:
        ValueError: Some may, and nothing is served.
    """
    approvals = options.config.approvals
    if not approvals.callers:
        return {}
    if options.http_address is None:
        raise ValueError("approvals.callers: they would call /approvals, and nothing is served: add --http-address")
    return {"/approvals": approvals_app(kube, approvals, signature)}
