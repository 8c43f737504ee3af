"""The parts of a release's view: versions, the three weights, evidence, what people are asked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rollouts.views.looks import Tone
from rollouts.views.words import images_words, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Approval",
    "EvidenceView",
    "VersionView",
    "Weights",
    "evidence_of",
    "version_of",
    "weight_words",
    "weights_of",
]


@dataclass(frozen=True)
class VersionView:
    """One version: its revision, its images, and their tags in words."""

    revision: str = ""
    images: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The tags; the revision where it has no images."""
        return images_words(self.images) or self.revision


@dataclass(frozen=True)
class Weights:
    """The canary's three shares in percent, and what the proxies say.

    Attributes:
        configured: Asked for.
        acknowledged: In force at every affected proxy; None where there is no split.
        actual: Measured in this step; None while nothing was counted.
        held_back: What stable keeps of a step of 100 %.
        proxies: Acknowledged of affected, e.g. 5/5.
        message: A proxy's own words.
    """

    configured: int = 0
    acknowledged: int | None = None
    actual: float | None = None
    held_back: int = 0
    proxies: str = ""
    message: str = ""

    @property
    def in_force(self) -> bool:
        """Whether every proxy holds what is asked for."""
        return self.acknowledged == self.configured


@dataclass(frozen=True)
class EvidenceView:
    """One metric's evidence.

    Attributes:
        metric: Its name.
        words: In one sentence.
        tone: Bad when it takes the release back, good when it is within the margin, idle while neither is shown.
        for_promotion: How far the evidence is on its way to promotion, 0 to 1; None where it never speaks for it.
        for_rollback: On its way to rollback, 0 to 1; None where it never speaks against it.
        raw: ``status.evidence`` itself, for its numbers.
    """

    metric: str
    words: str
    tone: Tone
    for_promotion: float | None
    for_rollback: float | None
    raw: Mapping[str, Any]

    @property
    def guard(self) -> bool:
        """Whether it is a gross guard, which only ever speaks against a release."""
        return self.metric.startswith("gross-")


@dataclass(frozen=True)
class Approval:
    """What people are asked.

    Attributes:
        gate: The question's unique name.
        message: What is asked, in words.
        required: How many must approve.
        until: Until when, Unix seconds; None without a limit.
        decisions: Those so far, as ``status.approval.decisions`` has them.
        raw: ``status.approval``, as it is.
    """

    gate: str = ""
    message: str = ""
    required: int = 1
    until: float | None = None
    decisions: tuple[Mapping[str, Any], ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


def weight_words(weights: Weights) -> str:
    """Return the three numbers in words: ``50 % set, 50 % acknowledged by 5/5 proxies, 49.8 % measured``."""
    words = [f"{percent(weights.configured)} set"]
    if weights.acknowledged is not None:
        by = f" by {weights.proxies} proxies" if weights.proxies else ""
        words.append(f"{percent(weights.acknowledged)} acknowledged{by}")
    if weights.actual is not None:
        words.append(f"{percent(weights.actual)} measured")
    if weights.held_back:
        words.append(f"{percent(weights.held_back)} held back on stable to compare with")
    return ", ".join(words)


def version_of(raw: Mapping[str, Any] | None) -> VersionView:
    """Read ``status.stable`` or ``status.canary``."""
    return VersionView(raw.get("revision", ""), tuple(raw.get("images") or ())) if raw else VersionView()


def weights_of(raw: Mapping[str, Any]) -> Weights:
    """Read ``status.weight``."""
    return Weights(
        configured=raw.get("configured", 0),
        acknowledged=raw.get("acknowledged"),
        actual=raw.get("actual"),
        held_back=raw.get("heldBack", 0),
        proxies=raw.get("proxies", ""),
        message=raw.get("message", ""),
    )


def evidence_of(raw: Mapping[str, Any]) -> EvidenceView:
    """Read an entry of ``status.evidence``."""
    back, on = _way(raw, "rollback"), _way(raw, "promote")
    tone = Tone.BAD if back == 1.0 else Tone.GOOD if on == 1.0 else Tone.IDLE
    return EvidenceView(raw.get("metric", ""), raw.get("words", ""), tone, on, back, raw)


def _way(raw: Mapping[str, Any], side: str) -> float | None:
    """Return how far an e-value is on its (logarithmic) way to its threshold."""
    at, e = raw.get(f"{side}At", 0.0), raw.get(f"{side}E", 1.0)
    if not isinstance(at, int | float) or at <= 1.0:
        return None
    if e >= at:
        return 1.0
    return 0.0 if e <= 1.0 else math.log(e) / math.log(at)
