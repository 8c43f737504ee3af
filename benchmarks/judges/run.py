"""How often judges are wrong, and how fast they are right, on simulated releases with known truth.

    python -m benchmarks.judges.run [--quick] [--runs N] [--look SECONDS] [--only TEXT] [--judges TEXT] [--plot FILE]

Results are kept by case, run and version of the judge in the cache folder, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analysis.model.verdict import Decision
from benchmarks.judges import plot, report
from benchmarks.judges.judges import lineup
from benchmarks.judges.simulate import Case, cases, simulate

ROOT = Path(__file__).parents[2]
CHUNK = 5


def release(case: Case, run: int, every: float, wanted: str) -> dict[str, dict[str, float | None]]:
    """One release under each judge: when it rolled back, first saw an outlier, would first have promoted; the harm."""
    world = simulate(case, run)
    table, found = world.table, {}
    judges = [judge for judge in lineup(case, world) if wanted.lower() in judge.name.lower()]
    for judge in judges:
        times: dict[str, float | None] = {"RollBack": None, "OutlierPod": None, "Promote": None}
        for now in np.arange(every, case.end + 1e-9, every):
            rows = slice(0, int(np.searchsorted(table.end, now + 1e-9, side="right")))
            decision = judge.look(table.rows(rows), float(now)).decision
            if decision is not None and times[decision.value] is None:
                times[decision.value] = float(now)
            at_limit = case.group == "promotion" and decision is Decision.PROMOTE
            if decision is Decision.ROLL_BACK or at_limit:
                break
        until = times["RollBack"] or case.end
        hit = (table.end <= until + 1e-9) & (table.start >= 0)
        requests = float(table.attempts[hit][:, table.canary].sum())
        worse = max(case.canary_errors - case.errors, 0.0) if case.canary_errors >= 0 else 0.0
        found[judge.name] = {**times, "requests": requests, "excess": requests * worse}
    return found


def chunk(case: Case, first: int, every: float, wanted: str) -> list[dict]:
    """A few releases, from the cache where they were run before."""
    path = _cache() / f"{_key(case, first, every, wanted)}.json"
    if path.exists():
        return json.loads(path.read_text())
    found = [release(case, run, every, wanted) for run in range(first, first + CHUNK)]
    path.write_text(json.dumps(found))
    return found


def _cache() -> Path:
    folder = Path(platformdirs.user_cache_dir("coalmine")) / "judges"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _key(case: Case, first: int, every: float, wanted: str) -> str:
    text = repr((case, first, every, wanted, CHUNK)) + os.environ["COALMINE_JUDGES_VERSION"]
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def version() -> str:
    """A hash of everything that a result depends on."""
    files = sorted([*(ROOT / "analysis").rglob("*.py"), *(ROOT / "benchmarks" / "judges").glob("*.py")])
    own = [
        f
        for f in files
        if f.parent.name in {"stats", "judges", "rivals", "model"} and f.stem not in {"run", "report", "plot"}
    ]
    return hashlib.sha256(b"".join(f.read_bytes() for f in own)).hexdigest()


def gather(chosen: list[Case], runs: int, every: float, wanted: str) -> dict[str, list[dict]]:
    """All releases of all cases, two processes at a time."""
    os.environ["COALMINE_JUDGES_VERSION"] = version()
    results: dict[str, list[dict]] = {case.name: [] for case in chosen}
    columns = (TextColumn("{task.description:42}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        ProcessPoolExecutor(initializer=os.nice, initargs=(10,)) as pool,
        Progress(*columns, disable=not sys.stderr.isatty()) as bar,
    ):
        task = bar.add_task("releases", total=len(chosen) * runs)
        waiting = [
            (case, [pool.submit(chunk, case, first, every, wanted) for first in range(0, runs, CHUNK)])
            for case in chosen
        ]
        for case, futures in waiting:
            bar.update(task, description=case.name)
            for future in futures:
                results[case.name] += future.result()
                bar.advance(task, CHUNK)
    return results


def main() -> None:
    """Run, print the table, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 runs of each case: a couple of minutes")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--look", type=float, default=10.0, help="seconds between looks")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--judges", default="", help="judges whose name contains this")
    parser.add_argument("--plot", type=Path, help="write the picture to this file (svg, png)")
    args = parser.parse_args()
    chosen = [case for case in cases() if args.only.lower() in case.name.lower()]
    if not chosen:
        parser.error(f"--only: no case's name contains {args.only!r}")
    runs = 10 if args.quick else max(args.runs // CHUNK, 1) * CHUNK
    results = gather(chosen, runs, args.look, args.judges)
    print(report.table(chosen, results, args.look))
    if args.plot:
        plot.draw(chosen, results, args.plot)
        print(f"wrote {args.plot}")


if __name__ == "__main__":
    main()
