"""Transitions of a release, doubles of the services that are told of them, and files with secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from rollouts.api.commitstatus import REPOSITORY_ANNOTATION
from rollouts.api.writeback import COMMIT_ANNOTATION
from rollouts.notify.base import Transition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

AT = 1_763_765_000.0
SHA = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
STATUS: dict[str, Any] = {
    "phase": "Progressing",
    "message": "judges 10 %",
    "step": "1/3",
    "canary": {"revision": "7c4f9d", "images": ["shop/payment:v2"]},
    "stable": {"revision": "5b8e21", "images": ["shop/payment:v1"]},
    "weight": {"configured": 10, "acknowledged": 10, "actual": 9.8},
    "evidence": [{"metric": "errors", "words": "errors: 5 % of 412 against 0.1 % of 3,702"}],
}


def _transition(reason: str = "ReleaseStarted", number: int = 1, **more: Any) -> Transition:
    annotations = {COMMIT_ANNOTATION: SHA, REPOSITORY_ANNOTATION: "git@git.shop:acme/shop.git"}
    warns = reason in {"RollbackStarted", "Aborted", "Inconclusive", "RevisionRefused", "RolledBack"}
    said = {
        "at": AT + number,
        "type": "Warning" if warns else "Normal",
        "note": f"about {reason}",
        "status": STATUS,
        "annotations": annotations,
        "labels": {"team": "pay"},
    }
    return Transition(
        namespace="shop", name="payment", uid="8f1c2d3e-0000", number=number, reason=reason, **{**said, **more}
    )


@pytest.fixture
def transition() -> Callable[..., Transition]:
    return _transition


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector) as session:
        yield session


@pytest.fixture
async def started() -> AsyncIterator[Callable[[Any], Any]]:
    """Starts a double, and ends it after the test."""
    doubles = []

    async def start(double: Any) -> Any:
        await double.start()
        doubles.append(double)
        return double

    yield start
    for double in doubles:
        await double.stop()


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[str], str]:
    """Writes a secret into a file, and returns its path."""

    def write(value: str) -> str:
        path = tmp_path / f"secret-{len(list(tmp_path.iterdir()))}"
        path.write_text(f"{value}\n")
        return str(path)

    return write
