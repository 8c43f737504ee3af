"""Simulated releases: counts by second and pod, as arrays. Everything random comes from the case's seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.judges.table import Table
from benchmarks.judges.case import BOUNDS, PROFILES, Case

__all__ = ["World", "simulate"]

HISTORY, HISTORY_WINDOW = 600, 10
_EVER = -1e6
_DOWN_SECONDS, _DRAIN_SECONDS = 5.0, 10.0
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class World:
    """One simulated release.

    Attributes:
        table: All counts; a look at time t sees the windows that end by then.
        born: Start of each pod.
    """

    table: Table
    born: dict[str, float]


@dataclass(frozen=True)
class _Grid:
    """The windows and pods of one release; arrays are windows × pods."""

    start: np.ndarray
    length: np.ndarray
    canary: np.ndarray
    born: np.ndarray
    age: np.ndarray
    serving: np.ndarray
    draining: np.ndarray


def simulate(case: Case, run: int) -> World:
    """The counts of one release."""
    rng = np.random.default_rng([case.seed, zlib.crc32(case.name.encode()), run])
    grid = _grid(case, rng)
    mean = _traffic(case, rng, grid)
    wander = tuple(_wander(case, rng, grid.start, grid.canary.size, sd) for sd in (case.error_sd, case.latency_sd))
    nodes = _nodes(case, rng, grid.canary.size)
    worse = (wander[0] + nodes[0], wander[1] + nodes[1])
    parts = [_route(case, rng, grid, mean, worse, number=number) for number in range(case.routes)]
    if case.late:
        lost = rng.random(mean.shape) < case.late
        parts = [tuple(_delayed(values, lost) for values in part) for part in parts]
    if case.routes > 1 and not case.route_known:
        parts = [tuple(sum(arrays) for arrays in zip(*parts, strict=True))]
    attempts, errors, latency = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    pods, times = grid.canary.size, len(parts)
    names = tuple(f"{'canary' if c else 'stable'}-{i}" for i, c in enumerate(grid.canary))
    routes = tuple(f"r{i // pods}" for i in range(times * pods)) if times > 1 else ("",) * pods
    end = grid.start + grid.length
    table = Table(grid.start, end, names * times, np.tile(grid.canary, times), attempts, errors, latency, routes)
    return World(table, {name: float(b) for name, b in zip(names, grid.born, strict=True)})


def _grid(case: Case, rng: np.random.Generator) -> _Grid:
    start = np.concatenate([np.arange(-HISTORY, 0, HISTORY_WINDOW), np.arange(int(case.end))]).astype(float)
    pods = case.stable + max(case.canaries)
    canary = np.arange(pods) >= case.stable
    born = np.full(pods, _EVER)
    for number, count in enumerate(case.canaries):
        fresh = canary & (born == _EVER) & (np.arange(pods) < case.stable + count)
        born[fresh] = number * case.step_seconds
    serving = ((start[:, None] >= born) & (start[:, None] >= 0)) | ~canary
    age = np.where(canary, start[:, None] - born, -_EVER)
    draining = np.zeros_like(serving)
    if case.restarts:
        first = rng.exponential(case.restarts, pods)[None, :]  # one each at most: a crash loop would be a regression
        since = start[:, None] - np.where(canary, born, 0.0) - first
        serving &= (since < 0) | (since >= _DOWN_SECONDS)
        age = np.where(since >= _DOWN_SECONDS, np.minimum(age, since - _DOWN_SECONDS), age)
    if case.draining:
        for begun in case.steps:
            gone = ~canary & (np.arange(pods) < case.stable * case.draining * (begun / case.step_seconds + 1))
            draining |= gone & (start[:, None] >= begun) & (start[:, None] < begun + _DRAIN_SECONDS) & serving
            serving &= ~(gone & (start[:, None] >= begun + _DRAIN_SECONDS))
    return _Grid(start, np.where(start < 0, HISTORY_WINDOW, 1.0), canary, born, age, serving, draining)


def _traffic(case: Case, rng: np.random.Generator, grid: _Grid) -> np.ndarray:
    """Expected attempts, windows × pods."""
    step = np.clip(grid.start // case.step_seconds, 0, len(case.shares) - 1).astype(int)
    share = np.where(grid.start < 0, 0.0, np.asarray(case.shares)[step])[:, None]
    uneven = np.exp(rng.normal(0, case.uneven, grid.canary.size)) if case.uneven else np.ones(grid.canary.size)
    weights = grid.serving * uneven
    arms = [(weights * side).sum(axis=1, keepdims=True) for side in (grid.canary, ~grid.canary)]
    arm = np.where(grid.canary, share * weights / np.maximum(arms[0], 1e-9), (1 - share) * weights / arms[1])
    mean = case.rps * (grid.length * PROFILES[case.load](grid.start))[:, None] * arm
    if case.outage:
        mean[(grid.start >= case.outage[0]) & (grid.start < case.outage[1])] = 0.0
    return mean


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


def _nodes(case: Case, rng: np.random.Generator, pods: int) -> tuple[np.ndarray, np.ndarray]:
    """Log factors of errors and latency that come from the pods' nodes."""
    errors = np.log(np.where(rng.random(pods) < case.bad_nodes, 3.0, 1.0)) if case.bad_nodes else np.zeros(pods)
    share, factor = case.slow_nodes
    latency = np.log(np.where(rng.random(pods) < share, factor, 1.0)) if share else np.zeros(pods)
    return errors, latency


def _route(
    case: Case,
    rng: np.random.Generator,
    grid: _Grid,
    mean: np.ndarray,
    worse: tuple[np.ndarray, np.ndarray],
    *,
    number: int,
) -> Arrays:
    """Attempts, errors and latencies on one route; the second is ten times as slow and gets a tenth (and the mix)."""
    second = 0.1 + case.mix * grid.canary if case.routes > 1 else np.zeros(grid.canary.size)
    attempts = rng.poisson(mean * (second if number else 1.0 - second)).astype(float)
    errors = _errors(case, rng, grid, attempts, worse[0] + number * np.log(case.route_errors))
    latency = _latency(case, rng, grid, attempts, worse[1] + number * np.log(10.0))
    return attempts, np.minimum(errors, attempts), latency


def _errors(case: Case, rng: np.random.Generator, grid: _Grid, attempts: np.ndarray, effect: np.ndarray) -> np.ndarray:
    own = np.full(grid.start.size, case.errors)
    if case.canary_errors >= 0:
        own = np.where(grid.start >= case.worse_from, case.canary_errors, case.errors)
    rate = np.where(grid.canary, own[:, None], case.errors) * np.exp(effect) * np.where(grid.draining, 5.0, 1.0)
    rate = np.clip(rate * PROFILES[case.shared](grid.start)[:, None], 0, 1)
    if case.clump > 1:
        return case.clump * rng.poisson(attempts * rate / case.clump).astype(float)
    return rng.binomial(attempts.astype(int), rate).astype(float)


def _latency(case: Case, rng: np.random.Generator, grid: _Grid, attempts: np.ndarray, effect: np.ndarray) -> np.ndarray:
    shift = effect + np.where(grid.draining, np.log(3.0), 0.0)
    if case.slow != "none":
        shift = shift + np.log(PROFILES[case.slow](grid.start))[:, None] * grid.canary
    if case.cold:
        shift = shift + np.log(1 + 3 * np.clip(1 - np.maximum(grid.age, 0) / case.cold, 0, 1))
    shift = np.broadcast_to(shift, attempts.shape)
    edges = np.log(np.asarray(BOUNDS) / case.median_ms)
    below = _cdf(case, edges[None, None, :] - shift[:, :, None])
    canary = grid.canary[None, :, None]
    if case.bimodal:
        below = (1 - case.bimodal) * below + case.bimodal * _cdf(case, edges - np.log(10.0) - shift[:, :, None])
    if case.tail:
        stretched = np.maximum(0.95, _cdf(case, edges - np.log(case.tail)))
        below = np.where(canary & (below >= 0.95), stretched, below)
    if case.slow_share[0]:
        part, extra = case.slow_share
        late = _cdf(case, np.log(np.maximum(np.asarray(BOUNDS) - extra, 1e-9) / case.median_ms))
        below = np.where(canary, (1 - part) * below + part * late, below)
    ends = np.concatenate([np.zeros((*below.shape[:2], 1)), below, np.ones((*below.shape[:2], 1))], axis=2)
    shares = np.clip(np.diff(ends, axis=2), 0, 1)
    return rng.multinomial(attempts.astype(int), shares / shares.sum(axis=2, keepdims=True)).astype(float)


def _cdf(case: Case, log_time: np.ndarray) -> np.ndarray:
    z = log_time / case.sd
    return special.stdtr(case.heavy, z) if case.heavy else special.ndtr(z)


def _delayed(values: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Counts whose scrape was missed come with the pod's next one, as a counter's difference over the gap tells them."""
    rows = np.arange(values.shape[0])[:, None]
    lost = lost & (rows < values.shape[0] - 1)
    to = np.minimum.accumulate(np.where(lost, values.shape[0] - 1, rows)[::-1], axis=0)[::-1]
    found = np.zeros_like(values)
    np.add.at(found, (to, np.broadcast_to(np.arange(values.shape[1]), to.shape)), values)
    return found
