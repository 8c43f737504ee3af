"""Cases: what scenarios.toml says, one dataclass for each of its entries."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy

__all__ = ["BOUNDS", "GROUPS", "PROFILES", "Case", "cases"]

BOUNDS = (
    0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12.5, 15, 17.5, 20, 25, 30, 35, 40, 50, 60, 75, 100, 125, 150, 200, 250, 300,
    400, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10000, 15000, 30000, 60000,
)  # fmt: skip
GROUPS = ("null", "regression", "promotion")

PROFILES = {
    "steady": np.ones_like,
    "swing": lambda s: np.exp(0.7 * np.sin(s / 40)),
    "day": lambda s: 0.55 + 0.45 * np.cos(s / 1800 * np.pi),
    "outage": lambda s: np.where((s > 100) & (s < 160), 30.0, 1.0),
    "blips": lambda s: np.where((s >= 0) & (s % 60 < 1), 60.0, 1.0),
    "valley": lambda s: 0.1 + 0.9 * np.abs(np.cos(np.clip(s, 0, None) / 300 * np.pi)),
    "hair": lambda s: np.full(s.size, 1.01),
    "fifth": lambda s: np.full(s.size, 1.2),
    "quarter": lambda s: np.full(s.size, 1.25),
    "leak": lambda s: 1 + np.clip(s, 0, None) / 600,
}
"""Factors over time, by name; functions of the seconds since the release began."""


@dataclass(frozen=True)
class Case:
    """One world; the fields are explained in scenarios.toml."""

    group: str
    name: str
    seed: int
    rps: float
    errors: float
    canary_errors: float
    worse_from: float
    median_ms: float
    sd: float
    stable: int
    canaries: list[int]
    shares: list[float]
    step_seconds: int
    error_sd: float
    latency_sd: float
    drift: float
    clump: int
    bad_nodes: float
    slow_nodes: list[float]
    cold: float
    restarts: float
    draining: float
    uneven: float
    heavy: float
    bimodal: float
    load: str
    shared: str
    slow: str
    slow_share: list[float]
    tail: float
    outage: list[float]
    late: float
    routes: int
    mix: float
    route_errors: float
    route_known: bool
    warm_up: list[float]
    target: str = ""

    @property
    def policy(self) -> Policy:
        """The default policy, with this case's warm-up."""
        return Policy(BOUNDS, ErrorPolicy(warm_up=self.warm_up[0]), LatencyPolicy(warm_up=self.warm_up[1]))

    @property
    def steps(self) -> list[float]:
        """When the steps begin; the release begins at 0."""
        return [float(i * self.step_seconds) for i in range(len(self.shares))]

    @property
    def end(self) -> float:
        """When the last step ends."""
        return float(self.step_seconds * len(self.shares))

    @property
    def excess(self) -> float:
        """How many more of the canary's requests fail than of the baseline's, as a share."""
        return max(self.canary_errors - self.errors, 0.0) if self.canary_errors >= 0 else 0.0


def cases() -> list[Case]:
    """All cases of scenarios.toml.

    Raises:
        ValueError: An entry has a field that there is not, or a name twice.
    """
    found = tomllib.loads((Path(__file__).parent / "scenarios.toml").read_text())
    known = {f.name for f in fields(Case)}
    result = []
    for group in GROUPS:
        for entry in found[group]:
            if unknown := set(entry) - known:
                raise ValueError(f"scenarios.toml: {entry['name']}: unknown {', '.join(sorted(unknown))}")
            result.append(Case(group=group, **{**found["defaults"], **entry}))
    names = [case.name for case in result]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"scenarios.toml: more than one case is called {', '.join(sorted(twice))}")
    return result
