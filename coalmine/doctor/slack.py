"""Slack, asked with the controller's own configuration: token, scopes, channels, and the way that clicks come in."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coalmine.doctor.results import failed, passed, unseen, warned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coalmine.doctor.look import Look
    from coalmine.doctor.results import Result
    from rollouts.api.slack import Slack

__all__ = ["slack"]

_SCOPES_PAGE: Final = "add it (https://api.slack.com/apps, OAuth & Permissions) and install the app again"


def slack(look: Look) -> list[Result]:
    """Does Slack take what the controller would send, and would the controller hear its clicks?"""
    from rollouts.api.controller import InvalidConfigError, read_config  # noqa: PLC0415 - where it is asked for

    if look.config is None:
        words = "it can be asked with the controller's configuration and tokens only: where those are, e.g. in its pod"
        return [unseen("slack", words, "coalmine doctor --config controller.yaml")]
    try:
        settings = read_config(look.config).slack
    except InvalidConfigError as error:
        return [failed("slack", str(error))]
    if settings is None:
        return [passed("slack", f"{look.config} has no slack: nobody is told there")]

    async def ask() -> list[Result]:
        return [result async for result in _sends(settings)] + [result async for result in _hears(settings)]

    return asyncio.run(ask())


async def _sends(settings: Slack) -> AsyncIterator[Result]:
    """Yield whether the bot's token is taken, may do what it has to, and sees its channels. Nothing is posted."""
    from rollouts.api.slack import SCOPES  # noqa: PLC0415
    from rollouts.notify.base import LaterError, RefusedError, UnclearError  # noqa: PLC0415
    from rollouts.notify.slack_client import SlackClient  # noqa: PLC0415
    from rollouts.notify.slack_transitions import metadata_of  # noqa: PLC0415

    client = SlackClient(settings.token_file, settings.api_url)
    try:
        app = await client.app()
        yield passed("slack", f"it knows the token: {app.user or 'the app'} in {app.team or 'its workspace'}")
        for scope, without in SCOPES.items():
            if scope not in app.scopes:
                words = f"the app lacks the scope {scope}: {without}; {_SCOPES_PAGE}"
                yield failed("slack", words) if scope == "chat:write" else warned("slack", words)
        for channel in settings.channels:
            try:
                await client.find(channel, time.time(), metadata_of("", 0))
            except RefusedError as error:
                yield failed("slack", f"channel {channel}: {error}")
            except LaterError as error:
                yield warned("slack", f"channel {channel}: {error}")
            else:
                yield passed("slack", f"the app is in channel {channel}")
    except (LaterError, RefusedError, UnclearError) as error:
        yield failed("slack", str(error))
    finally:
        await client.close()


async def _hears(settings: Slack) -> AsyncIterator[Result]:
    """Yield whether clicks would come in."""
    from rollouts.gates.slack import socket_problem  # noqa: PLC0415

    if settings.app_token_file is not None:
        token, why = _secret("slack.appTokenFile", settings.app_token_file)
        if why := why or await socket_problem(token, settings.api_url):
            yield failed("slack", f"no click comes in by Socket Mode: {why}")
        else:
            yield passed("slack", "clicks come in by Socket Mode")
    if settings.signing_secret_file is not None:
        _, why = _secret("slack.signingSecretFile", settings.signing_secret_file)
        yield failed("slack", why) if why else passed("slack", "signed clicks are taken at /slack/interactive")
    if not settings.hears:
        words = "messages have no buttons: set slack.appTokenFile (Socket Mode, no public address) or slack.signingSecretFile"
        yield warned("slack", words)


def _secret(field: str, file: str) -> tuple[str, str]:
    """Return what a file holds, and why that is nothing."""
    try:
        held = Path(file).read_text().strip()
    except (OSError, ValueError) as error:
        return "", f"{field} cannot be read: {error}"
    return held, "" if held else f"{field}: {file} is empty"
