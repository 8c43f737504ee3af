"""When a container is probed and what the answers mean. Pure; the time is handed in, in seconds of any one clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ProbeKind", "ProbeMachine", "ProbeSpec"]

ProbeKind = Literal["startup", "readiness", "liveness"]

_EAGER_SECONDS: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class ProbeSpec:
    """One probe of a container, with Kubernetes' defaults filled in. Times in seconds."""

    kind: ProbeKind
    handler: Mapping[str, Any]
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    grace: float | None = None

    @classmethod
    def of(cls, container: Mapping[str, Any], kind: ProbeKind) -> ProbeSpec | None:
        """Read a container's probe of that kind; None where it has none."""
        probe = container.get(f"{kind}Probe")
        if not probe:
            return None
        return cls(
            kind=kind,
            handler=probe,
            initial_delay=probe.get("initialDelaySeconds") or 0.0,
            period=probe.get("periodSeconds") or 10.0,
            timeout=probe.get("timeoutSeconds") or 1.0,
            success_threshold=probe.get("successThreshold") or 1,
            failure_threshold=probe.get("failureThreshold") or 3,
            grace=probe.get("terminationGracePeriodSeconds"),
        )


class ProbeMachine:
    """Counts the answers of one probe of one running container.

    Until a startup or readiness probe first succeeds, it is asked more often than its period says: after 50 ms,
    100 ms, 200 ms and so on, so that a program which starts in a blink is seen to. The failures of those extra
    questions do not count: a program has ``periodSeconds`` times ``failureThreshold`` to start, as documented.

    Attributes:
        result: True or False once the probe has said so; readiness begins as False, liveness as True and startup
            as None (not known yet).
        next_at: When to ask next.
    """

    def __init__(self, spec: ProbeSpec, *, now: float, initial: bool | None = None) -> None:
        """Begin when the container (for readiness and liveness: its startup probe) has come up.

        Args:
            spec: The probe.
            now: The time.
            initial: What an agent before this one knew; None for a container that was just started.
        """
        self.spec = spec
        defaults: dict[ProbeKind, bool | None] = {"startup": None, "readiness": False, "liveness": True}
        self.result = defaults[spec.kind] if initial is None else initial
        self.next_at = now + (spec.initial_delay if initial is None else 0.0)
        self._eager = spec.kind != "liveness" and not self.result and spec.success_threshold == 1
        self._pause = _EAGER_SECONDS
        # What is asked eagerly is not expected to succeed within the first period.
        self._regular_at = self.next_at + (spec.period if self._eager else 0.0)
        self._successes = 0
        self._failures = 0

    @property
    def failures(self) -> int:
        """Failures in a row that count."""
        return self._failures

    def record(self, *, success: bool, now: float) -> bool | None:
        """Take an answer in.

        Args:
            success: Whether the probe succeeded.
            now: When its question was asked.

        Returns:
            The new result where this answer changed it, else None.
        """
        regular = now >= self._regular_at
        if regular:
            self._regular_at = now + self.spec.period
        if success:
            self._eager = False
            self._failures = 0
            self._successes += 1
        elif regular:
            self._successes = 0
            self._failures += 1
        self.next_at = self._following(now)
        return self._judge(success=success)

    def _following(self, now: float) -> float:
        if not self._eager:
            # A success that came early starts the regular rhythm anew.
            self._regular_at = now + self.spec.period
            return self._regular_at
        due = min(self._regular_at, now + self._pause)
        self._pause = min(self._pause * 2, self.spec.period)
        return due

    def _judge(self, *, success: bool) -> bool | None:
        if success and self._successes >= self.spec.success_threshold and self.result is not True:
            self.result = True
            return True
        if not success and self._failures >= self.spec.failure_threshold and self.result is not False:
            self.result = False
            return False
        return None
