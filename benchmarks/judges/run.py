"""How often judges are wrong, and how fast they are right, on simulated releases with known truth.

    make bench-judges ARGS="[--quick] [--runs N] [--look SECONDS] [--only TEXT] [--judges TEXT] [--plot FILE] [--markdown FILE]"

Results are kept in the cache folder by case, run and version of what made them, so that an interrupted run goes on, and
a change of our judge does not run the rivals again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import platformdirs
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analysis.model.verdict import Decision
from benchmarks.judges import plot, report
from benchmarks.judges.case import Case, cases
from benchmarks.judges.lineup import FAMILIES, family, version
from benchmarks.judges.simulate import World, simulate

__all__ = ["Outcome", "release", "watch"]

CHUNK = 5


@dataclass(frozen=True)
class Outcome:
    """One release under one judge; times are seconds since it began, None for never.

    Attributes:
        rolled_back: When it was rolled back.
        outlier: When one pod, or a few, were first held to carry the difference.
        promoted: When it would first have been promoted.
        requests: Canary requests until it was rolled back, or all of them.
        excess: How many more of these failed than would have with the old version.
    """

    rolled_back: float | None
    outlier: float | None
    promoted: float | None
    requests: float
    excess: float


def watch(case: Case, world: World, judge: object, every: float) -> Outcome:
    """Let a judge look at a release until it rolls back; a promotion ends only cases about promotion."""
    table, times = world.table, dict.fromkeys((Decision.ROLL_BACK, Decision.OUTLIER, Decision.PROMOTE))
    for now in np.arange(every, case.end + 1e-9, every):
        seen = table.rows(slice(0, int(np.searchsorted(table.end, now + 1e-9, side="right"))))
        decision = judge.look(seen, float(now)).decision
        if decision is not None and times[decision] is None:
            times[decision] = float(now)
        if decision is Decision.ROLL_BACK or (case.group == "promotion" and decision is Decision.PROMOTE):
            break
    until = times[Decision.ROLL_BACK] or case.end
    served = table.attempts[:, table.canary].sum(axis=1) * ((table.end <= until + 1e-9) & (table.start >= 0))
    excess = float(served[table.start >= case.worse_from].sum()) * case.excess
    return Outcome(
        times[Decision.ROLL_BACK], times[Decision.OUTLIER], times[Decision.PROMOTE], float(served.sum()), excess
    )


def release(case: Case, run: int, every: float, name: str) -> dict[str, Outcome]:
    """One release under each judge of a family."""
    world = simulate(case, run)
    return {judge.name: watch(case, world, judge, every) for judge in family(name, case, world)}


def chunk(case: Case, first: int, every: float, name: str, made_by: str) -> list[dict[str, Outcome]]:
    """A few releases, from the cache where they were run before."""
    key = hashlib.sha256(repr((case, first, every, name, made_by, CHUNK)).encode()).hexdigest()[:24]
    path = Path(platformdirs.user_cache_dir("coalmine")) / "judges" / f"{key}.json"
    if path.exists():
        return [{judge: Outcome(**one) for judge, one in run.items()} for run in json.loads(path.read_text())]
    found = [release(case, run, every, name) for run in range(first, first + CHUNK)]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps([{judge: asdict(one) for judge, one in run.items()} for run in found]))
    partial.replace(path)
    return found


def gather(chosen: list[Case], runs: int, every: float, names: list[str]) -> dict[str, list[dict[str, Outcome]]]:
    """All releases of all cases under all families, on all cores, without being in anybody's way."""
    made_by = {name: version(name) for name in names}
    results: dict[str, list[dict[str, Outcome]]] = {}
    columns = (TextColumn("{task.description:52}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        ProcessPoolExecutor(initializer=os.nice, initargs=(10,)) as pool,
        Progress(*columns, disable=not sys.stderr.isatty()) as bar,
    ):
        task = bar.add_task("releases", total=len(chosen) * len(names) * runs)
        waiting = [
            (case, [[pool.submit(chunk, case, first, every, name, made_by[name]) for name in names]
                    for first in range(0, runs, CHUNK)])
            for case in chosen
        ]  # fmt: skip
        for case, chunks in waiting:
            bar.update(task, description=case.name)
            results[case.name] = []
            for futures in chunks:
                parts = [future.result() for future in futures]
                results[case.name] += [
                    {k: v for part in run for k, v in part.items()} for run in zip(*parts, strict=True)
                ]
                bar.advance(task, CHUNK * len(names))
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 runs of the cases of ten minutes, a look every 20 s")
    parser.add_argument("--runs", type=int, default=100, help="releases of each case")
    parser.add_argument("--look", type=float, default=10.0, help="seconds between looks")
    parser.add_argument("--only", default="", help="cases whose group or name contains this")
    parser.add_argument("--judges", default="", help="families of judges: " + ", ".join(FAMILIES) + "; all by default")
    parser.add_argument("--plot", type=Path, help="write the picture to this file (svg, png)")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    args = parser.parse_args()
    args.cases = [case for case in cases() if args.only.lower() in f"{case.group}: {case.name}".lower()]
    if args.quick:
        args.runs, args.look = CHUNK, 20.0
        args.cases = [case for case in args.cases if case.end <= 600.0]
    args.families = [name for name in FAMILIES if name in (args.judges or ",".join(FAMILIES)).split(",")]
    if not args.cases or not args.families:
        parser.error(f"no case for --only {args.only!r}, or no family for --judges {args.judges!r}")
    args.runs = max(args.runs // CHUNK, 1) * CHUNK
    return args


def main() -> None:
    """Run, print the tables, draw the picture."""
    args, began = _arguments(), time.monotonic()
    results = gather(args.cases, args.runs, args.look, args.families)
    print(report.text(args.cases, results, args.look))
    print(f"{time.monotonic() - began:.0f} s")
    if args.markdown:
        args.markdown.write_text(report.markdown(args.cases, results, args.look))
        print(f"wrote {args.markdown}")
    if args.plot:
        plot.draw(args.cases, results, args.plot)
        print(f"wrote {args.plot}")


if __name__ == "__main__":
    main()
