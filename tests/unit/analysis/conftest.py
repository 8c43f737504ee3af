"""Simulated releases, a window a second, with fixed seeds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from analysis.judges import judge
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy
from analysis.model.verdict import Decision, Verdict

BOUNDS = (5.0, 10, 12.5, 15, 17.5, 20, 25, 30, 35, 40, 50, 60, 75, 100, 150, 200, 500, 1000)
DEMO = Policy(BOUNDS, errors=ErrorPolicy(1.5, 0.02, 2.0), latency=LatencyPolicy(1.5, 5.0))
EPOCH = 1_700_000_000.0


@dataclass(frozen=True)
class Release:
    """What happens; rates and medians are the canary's, one for each canary pod when there are several."""

    rps: float = 200.0
    share: float = 0.1
    seconds: int = 60
    stable: int = 2
    errors: float = 0.0
    canary_errors: tuple[float, ...] = (0.0,)
    slow: tuple[float, ...] = (1.0,)
    pods_sd: float = 0.0
    seed: int = 0
    policy: Policy = DEMO
    steps: tuple[float, ...] = (EPOCH,)
    starts: dict[str, float] = field(default_factory=lambda: {"canary-0": EPOCH})

    def windows(self) -> list[Window]:
        rng = np.random.default_rng(self.seed)
        canaries = len(self.canary_errors)
        effect = np.exp(rng.normal(0, self.pods_sd, self.stable + canaries))
        return [self._window(rng, EPOCH + second, effect) for second in range(self.seconds)]

    def _window(self, rng: np.random.Generator, start: float, effect: np.ndarray) -> Window:
        pods = []
        for index, factor in enumerate(effect):
            number = index - self.stable
            arm = Arm.CANARY if number >= 0 else Arm.BASELINE
            part = self.share / len(self.canary_errors) if number >= 0 else (1 - self.share) / self.stable
            rate = self.canary_errors[number] if number >= 0 else self.errors
            slow = self.slow[min(number, len(self.slow) - 1)] if number >= 0 else 1.0
            attempts = int(rng.poisson(self.rps * part))
            times = rng.lognormal(np.log(20 * factor * slow), 0.3, attempts)
            latency = np.bincount(np.searchsorted(BOUNDS, times), minlength=len(BOUNDS) + 1)
            name = f"canary-{number}" if number >= 0 else f"stable-{index}"
            pods.append(
                PodCounts(arm, name, attempts, int(rng.binomial(attempts, rate)), tuple(int(n) for n in latency))
            )
        return Window(start, start + 1, tuple(pods))

    def look(self, windows: list[Window] | None = None, **more: object) -> Verdict:
        windows = self.windows() if windows is None else windows
        arguments = {"pods_started": self.starts, "step_starts": self.steps, "now": EPOCH + self.seconds} | more
        return judge(windows, self.policy, **arguments)

    def decided(self, *wanted: Decision) -> int | None:
        """Seconds until the first look, one each second, that answers as wanted; None for never."""
        for seconds, verdict in self.looks():
            if verdict.decision in wanted:
                return seconds
        return None

    def looks(self) -> Iterator[tuple[int, Verdict]]:
        windows = self.windows()
        for seconds in range(1, len(windows) + 1):
            yield seconds, self.look(windows[:seconds], now=EPOCH + seconds)


@pytest.fixture
def release() -> Callable[..., Release]:
    """Make a release; by default two equal versions at the demo's rates, margins and pods."""

    def make(**changes: object) -> Release:
        return replace(Release(), **changes)

    return make


@pytest.fixture
def epoch() -> float:
    return EPOCH
