"""Opens the places where transitions are told, as the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

    from rollouts.api.controller import ControllerConfig
    from rollouts.notify.base import Sink

__all__ = ["open_sinks"]


def open_sinks(config: ControllerConfig, session: aiohttp.ClientSession) -> tuple[Sink, ...]:
    """Return the sinks; each kind adds its own here.

    Args:
        config: The controller's configuration.
        session: For requests; it keeps no cookies.
    """
    del config, session
    return ()
