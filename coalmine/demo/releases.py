"""The releases of the demo as data, and how each is written into the shop's manifests. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "BAD_ERRORS",
    "FIRST_VERSION",
    "GOOD",
    "GOOD_AGAIN",
    "RELEASES",
    "SLOW",
    "Outcome",
    "Release",
    "image_version",
    "set_env",
    "write_release",
]

FIRST_VERSION: Final = "v1"


class Outcome(StrEnum):
    """How a release can end."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    UNDECIDED = "Undecided"
    """The demo stopped waiting, or something else than the two above came of it."""


@dataclass(frozen=True, slots=True)
class Release:
    """One commit to the payment service.

    Attributes:
        name: Short name, e.g. ``bad-errors``.
        version: Image tag.
        title: The commit's subject: what its author believes.
        truth: What is really in it.
        expected: How it must end.
        error_rate: Share of the charges that fail.
        latency_ms: Median time of a charge in milliseconds.
    """

    name: str
    version: str
    title: str
    truth: str
    expected: Outcome
    error_rate: float = 0.0
    latency_ms: float = 20.0

    @property
    def all_bad(self) -> bool:
        """Whether each of its responses is a bad one (slow), rather than some of them (failed)."""
        return self.expected is Outcome.ROLLED_BACK and self.error_rate == 0


GOOD: Final = Release("good", "v2", "payment v2: faster receipts", "a good release", Outcome.PROMOTED)
BAD_ERRORS: Final = Release(
    "bad-errors", "v3", "payment v3: new card terminal", "5 % of the charges fail", Outcome.ROLLED_BACK, error_rate=0.05
)
SLOW: Final = Release(
    "slow", "v4", "payment v4: fraud check", "charges take twice as long", Outcome.ROLLED_BACK, latency_ms=40
)
GOOD_AGAIN: Final = Release(
    "good-again", "v5", "payment v5: fraud check, cached", "a good release again", Outcome.PROMOTED
)
RELEASES: Final = (GOOD, BAD_ERRORS, SLOW, GOOD_AGAIN)

_IMAGE = re.compile(r"(image: \S+/payment:)\S+")


def image_version(images: tuple[str, ...]) -> str:
    """Return the tag of the first image (``v2``), or an empty string where there is none."""
    return images[0].rpartition(":")[2] if images else ""


def set_env(manifest: str, name: str, value: str) -> str:
    """Return the manifest with the value of one environment variable replaced; comments and order stay.

    Raises:
        ValueError: The manifest does not set that variable exactly once.
    """
    pattern = re.compile(rf'(- name: {re.escape(name)}\b[^\n]*\n\s+value: )"[^"\n]*"')
    text, count = pattern.subn(lambda found: f'{found.group(1)}"{value}"', manifest)
    if count != 1:
        msg = f"the manifest sets the variable {name} {count} times; it must set it once, with its value in quotes on the next line"
        raise ValueError(msg)
    return text


def write_release(manifest: str, release: Release) -> str:
    """Return payment's manifest as the release's commit leaves it.

    Raises:
        ValueError: The manifest has no payment image, or lacks one of the variables.
    """
    text, count = _IMAGE.subn(lambda found: found.group(1) + release.version, manifest)
    if count != 1:
        msg = f"the manifest names payment's image {count} times; it must name it once, as image: …/payment:TAG"
        raise ValueError(msg)
    text = set_env(text, "VERSION", release.version)
    text = set_env(text, "ERROR_RATE", f"{release.error_rate:g}")
    return set_env(text, "LATENCY_MS", f"{release.latency_ms:g}")
