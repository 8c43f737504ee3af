"""Simulated releases: counts by second and pod, as arrays. Everything random comes from the case's seed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy import special, stats

from analysis.judges.table import Table
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy

BOUNDS = (
    0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12.5, 15, 17.5, 20, 25, 30, 35, 40, 50, 60, 75, 100, 125, 150, 200, 250, 300,
    400, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10000, 15000, 30000, 60000,
)  # fmt: skip
HISTORY, HISTORY_WINDOW = 600, 10

PROFILES = {
    "steady": np.ones_like,
    "swing": lambda s: np.exp(0.7 * np.sin(s / 40)),
    "outage": lambda s: np.where((s > 100) & (s < 160), 30.0, 1.0),
    "blips": lambda s: np.where((s >= 0) & (s % 60 < 1), 60.0, 1.0),
    "valley": lambda s: 0.1 + 0.9 * np.abs(np.cos(np.clip(s, 0, None) / 300 * np.pi)),
    "fifth": lambda s: np.full(s.size, 1.2),
    "quarter": lambda s: np.full(s.size, 1.25),
    "leak": lambda s: 1 + np.clip(s, 0, None) / 600,
}


@dataclass(frozen=True)
class Case:
    """One world; the fields are explained in scenarios.toml."""

    group: str
    name: str
    seed: int
    rps: float
    errors: float
    canary_errors: float
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
    cold: float
    uneven: float
    heavy: float
    bimodal: float
    load: str
    shared: str
    slow: str
    slow_share: list[float]
    tail: float
    outage: list[float]
    routes: int
    mix: float
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


def cases() -> list[Case]:
    """All cases of scenarios.toml."""
    found = tomllib.loads((Path(__file__).parent / "scenarios.toml").read_text())
    known = {f.name for f in fields(Case)}
    result = []
    for group in ("null", "regression", "promotion"):
        for entry in found[group]:
            if unknown := set(entry) - known:
                raise ValueError(f"scenarios.toml: {entry['name']}: unknown {', '.join(sorted(unknown))}")
            result.append(Case(group=group, **{**found["defaults"], **entry}))
    return result


@dataclass(frozen=True)
class World:
    """One simulated release.

    Attributes:
        table: All counts; a look at time t sees the windows that end by then.
        born: Start of each pod.
    """

    table: Table
    born: dict[str, float]


def simulate(case: Case, run: int) -> World:
    """The counts of one release."""
    rng = np.random.default_rng(case.seed + run)
    seconds = int(case.end)
    start = np.concatenate([np.arange(-HISTORY, 0, HISTORY_WINDOW), np.arange(seconds)]).astype(float)
    length = np.where(start < 0, HISTORY_WINDOW, 1.0)
    pods = case.stable + max(case.canaries)
    canary = np.arange(pods) >= case.stable
    step = np.clip(start // case.step_seconds, 0, len(case.shares) - 1).astype(int)
    born = np.full(pods, -1e6)
    for number, count in enumerate(case.canaries):
        fresh = canary & (born < -1e5) & (np.arange(pods) < case.stable + count)
        born[fresh] = number * case.step_seconds
    alive = ((start[:, None] >= born) & (start[:, None] >= 0)) | ~canary
    share = np.where(start < 0, 0.0, np.asarray(case.shares)[step])
    weights = alive * np.exp(rng.normal(0, case.uneven, pods) if case.uneven else np.zeros(pods))
    arm = np.where(canary, share[:, None], 1 - share[:, None]) * weights
    arm /= np.maximum(np.where(canary, (weights * canary).sum(1)[:, None], (weights * ~canary).sum(1)[:, None]), 1e-9)
    mean = case.rps * (length * PROFILES[case.load](start))[:, None] * arm
    if case.outage:
        mean[(start >= case.outage[0]) & (start < case.outage[1])] = 0.0
    names = tuple(f"{'canary' if c else 'stable'}-{i}" for i, c in enumerate(canary))
    wander = (_wander(case, rng, start, pods, case.error_sd), _wander(case, rng, start, pods, case.latency_sd))
    parts = [_route(case, rng, start, canary, mean, born, wander, number) for number in range(case.routes)]
    if case.routes > 1 and not case.route_known:
        parts = [tuple(sum(arrays) for arrays in zip(*parts, strict=True))]
    attempts, errors, latency = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    times = len(parts)
    routes = tuple(f"r{i // pods}" for i in range(times * pods)) if times > 1 else ("",) * pods
    table = Table(start, start + length, names * times, np.tile(canary, times), attempts, errors, latency, routes)
    return World(table, {name: float(b) for name, b in zip(names, born, strict=True)})


def _route(case, rng, start, canary, mean, born, wander, number):  # noqa: ANN001, ANN202, PLR0917
    """Attempts, errors and latencies on one route; the second is ten times as slow and gets a tenth (and the mix)."""
    second = 0.1 + case.mix * canary if case.routes > 1 else np.zeros(canary.size)
    attempts = rng.poisson(mean * (second if number else 1.0 - second)).astype(float)
    errors = _errors(case, rng, start, canary, attempts, wander[0])
    latency = _latency(case, rng, start, canary, attempts, born, wander[1] + number * np.log(10.0))
    return attempts, np.minimum(errors, attempts), latency


def _wander(case: Case, rng: np.random.Generator, start: np.ndarray, pods: int, sd: float) -> np.ndarray:
    """Log factors of pods: constant, or an autoregressive walk with the given time constant (seconds)."""
    level = rng.normal(0, sd, pods)
    if not case.drift:
        return np.broadcast_to(level, (start.size, pods))
    path = np.empty((start.size, pods))
    for row, gap in enumerate(np.diff(start, prepend=start[0])):
        keep = np.exp(-gap / case.drift)
        level = keep * level + np.sqrt(1 - keep**2) * rng.normal(0, sd, pods)
        path[row] = level
    return path


def _errors(case, rng, start, canary, attempts, wander):  # noqa: ANN001, ANN202, PLR0917
    worse = case.errors if case.canary_errors < 0 else case.canary_errors
    rate = np.where(canary, worse, case.errors)[None, :] * np.exp(wander)
    if case.bad_nodes:
        rate = rate * np.where(rng.random(canary.size) < case.bad_nodes, 3.0, 1.0)
    rate = np.clip(rate * PROFILES[case.shared](start)[:, None], 0, 1)
    if case.clump > 1:
        return case.clump * rng.poisson(attempts * rate / case.clump).astype(float)
    return rng.binomial(attempts.astype(int), rate).astype(float)


def _latency(case, rng, start, canary, attempts, born, wander):  # noqa: ANN001, ANN202, PLR0917
    shift = np.array(wander)
    if case.slow != "none":
        shift = shift + np.log(PROFILES[case.slow](start))[:, None] * canary
    if case.cold:
        age = np.clip(start[:, None] - born[None, :], 0, None)
        shift = shift + np.log(1 + 3 * np.clip(1 - age / case.cold, 0, 1)) * canary
    edges = np.log(np.asarray(BOUNDS) / case.median_ms)
    below = _cdf(case, edges[None, None, :] - shift[:, :, None])
    if case.bimodal:
        below = (1 - case.bimodal) * below + case.bimodal * _cdf(case, edges - np.log(10.0) - shift[:, :, None])
    if case.tail:
        stretched = np.maximum(0.95, _cdf(case, edges - np.log(case.tail)))
        below = np.where(canary[None, :, None] & (below >= 0.95), stretched, below)
    if case.slow_share[0]:
        part, extra = case.slow_share
        late = stats.norm.cdf(np.log(np.maximum(np.asarray(BOUNDS) - extra, 1e-9) / case.median_ms) / case.sd)
        below = np.where(canary[None, :, None], (1 - part) * below + part * late, below)
    ends = np.concatenate([np.zeros((*below.shape[:2], 1)), below, np.ones((*below.shape[:2], 1))], axis=2)
    shares = np.clip(np.diff(ends, axis=2), 0, 1)
    return rng.multinomial(attempts.astype(int), shares / shares.sum(axis=2, keepdims=True)).astype(float)


def _cdf(case: Case, log_time: np.ndarray) -> np.ndarray:
    z = log_time / case.sd
    return special.stdtr(case.heavy, z) if case.heavy else special.ndtr(z)
