"""How things look, never by colour alone: phases, steps, and whom a Rollout waits for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOVING", "PHASES", "STEP_SYMBOLS", "UNKNOWN", "PhaseLook", "StepState", "Tone", "Waits"]


class Tone(StrEnum):
    """What a colour means. `Tone.colour` names one of the terminal's sixteen that is legible on light and dark."""

    GOOD = "good"
    BUSY = "busy"
    WAITING = "waiting"
    BAD = "bad"
    IDLE = "idle"

    @property
    def colour(self) -> str:
        """The terminal's colour; empty for its own."""
        return {"good": "green", "busy": "cyan", "waiting": "yellow", "bad": "red"}.get(self.value, "")


@dataclass(frozen=True)
class PhaseLook:
    """How a phase is shown: never by colour alone.

    Attributes:
        symbol: One character.
        tone: What its colour says.
        title: In words.
    """

    symbol: str
    tone: Tone
    title: str


PHASES: Final[Mapping[str, PhaseLook]] = MappingProxyType(
    {
        "Initializing": PhaseLook("◌", Tone.BUSY, "Initializing"),
        "Healthy": PhaseLook("✔", Tone.GOOD, "Healthy"),
        "Starting": PhaseLook("◐", Tone.BUSY, "Starting"),
        "Progressing": PhaseLook("◑", Tone.BUSY, "Progressing"),
        "Paused": PhaseLook("‖", Tone.WAITING, "Paused"),
        "AwaitingApproval": PhaseLook("?", Tone.WAITING, "Awaiting approval"),
        "Inconclusive": PhaseLook("≈", Tone.WAITING, "Inconclusive"),
        "Promoting": PhaseLook("▲", Tone.BUSY, "Promoting"),
        "Watching": PhaseLook("◉", Tone.BUSY, "Watching"),
        "RollingBack": PhaseLook("▼", Tone.BAD, "Rolling back"),
        "RolledBack": PhaseLook("✖", Tone.BAD, "Rolled back"),
        "Stalled": PhaseLook("!", Tone.BAD, "Stalled"),
    }
)
"""By ``status.phase``."""

UNKNOWN: Final = PhaseLook("·", Tone.IDLE, "Unknown")
MOVING: Final = frozenset(
    {"Starting", "Progressing", "Paused", "AwaitingApproval", "Inconclusive", "Promoting", "Watching", "RollingBack"}
)


class Waits(StrEnum):
    """Who or what a Rollout waits for."""

    NOBODY = ""
    PODS = "pods"
    PROXIES = "proxies"
    JUDGE = "the judge"
    TIME = "time"
    PEOPLE = "people"
    GIT = "git"
    FIX = "a fix"


class StepState(StrEnum):
    """How far a step is."""

    DONE = "done"
    NOW = "now"
    FAILED = "failed"
    TO_COME = "to come"


STEP_SYMBOLS: Final[Mapping[StepState, str]] = MappingProxyType(
    {StepState.DONE: "✔", StepState.NOW: "▶", StepState.FAILED: "✖", StepState.TO_COME: "·"}
)
