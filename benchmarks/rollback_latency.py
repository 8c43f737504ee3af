"""How long a release with 5 % errors harms people: seconds from its first bad response to weight 0 at every proxy.

    python benchmarks/rollback_latency.py [--repeat 5] [--rate 100] [--json FILE]

Runs the demo's shop and commits the same bad release again and again, under a new version each time. The target is a
median under 15 s at 100 requests a second. Evidence is random: single runs differ by a factor of three and more.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from pathlib import Path

from rich.console import Console

from coalmine.demo.cli import run_demo
from coalmine.demo.releases import BAD_ERRORS
from coalmine.demo.summaries import summary

TARGET_SECONDS = 15.0


def main() -> int:
    """Measure, print and compare with the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--name", default="rollback-latency", help="name of the local cluster")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    arguments = parser.parse_args()
    console = Console()
    releases = [
        dataclasses.replace(
            BAD_ERRORS, name=f"bad-errors-{n}", version=f"v{n + 2}", title=f"payment v{n + 2}: new card terminal"
        )
        for n in range(arguments.repeat)
    ]
    report = run_demo(console, name=arguments.name, rate=arguments.rate, releases=releases, plain=True)
    console.print(summary(report))
    if arguments.json:
        arguments.json.write_text(report.model_dump_json(indent=2) + "\n")
    seconds = [r.rollback_seconds for r in report.releases if r.rollback_seconds is not None]
    if len(seconds) != arguments.repeat or report.failed_by_us:
        print(f"{len(seconds)} of {arguments.repeat} rolled back, {report.failed_by_us} requests failed by us")
        return 1
    median = statistics.median(seconds)
    print(
        f"first bad response to weight 0 at every proxy: {', '.join(f'{s:.1f}' for s in seconds)} s, median {median:.1f} s"
    )
    return 0 if median < TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
