"""How long the command line takes to start, and to look at all Rollouts of a cluster.

    python -m benchmarks.cli.run [--rollouts 500] [--repeat 15]

Everything is a process of its own, the fastest and the median of several runs on a warm machine; beside it stand the ways
that were not taken. Targets: 150 ms for the import, 300 ms for `coalmine status -A` with 500 Rollouts, one list request.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.cli.fleet import cluster, fill
from benchmarks.mesh.processes import machine

IMPORT_MS, LOOK_MS = 150.0, 300.0
PATH = "/apis/coalmine.dev/v1alpha1/rollouts"
CLIENT = """
import asyncio
from kubernetes.aio import client, config
async def main():
    await config.load_kube_config()
    async with client.ApiClient() as api:
        answer = await client.CustomObjectsApi(api).list_cluster_custom_object("coalmine.dev", "v1alpha1", "rollouts")
        print(len(answer["items"]))
asyncio.run(main())
"""


def measured(command: list[str], env: dict[str, str], repeat: int) -> tuple[float, float, float]:
    """Return fastest and median wall time and the fastest processor time, in milliseconds."""
    walls, works = [], []
    for number in range(repeat + 1):
        before, began = os.times(), time.perf_counter()
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - began, os.times()
        if number:  # the first warms caches
            walls.append(wall * 1000)
            works.append(
                (after.children_user - before.children_user + after.children_system - before.children_system) * 1000
            )
    return min(walls), statistics.median(walls), min(works)


def show(title: str, times: tuple[float, float, float], base: float) -> None:
    print(f"{title:<44}{times[0]:8.0f}{times[1]:8.0f}{times[2]:8.0f}{times[0] / base:8.1f}")


def lists(kubectl: list[str], env: dict[str, str]) -> int:
    """Return how many list requests for Rollouts the API server has answered."""
    text = subprocess.run(
        [*kubectl, "get", "--raw", "/metrics"], env=env, check=True, capture_output=True, text=True
    ).stdout
    rows = re.findall(r"^apiserver_request_total\{([^}]*)\} (\d+)", text, re.MULTILINE)
    return sum(int(n) for labels, n in rows if 'resource="rollouts"' in labels and 'verb="LIST"' in labels)


def main() -> int:
    """Measure, print and compare with the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    python, repeat = sys.executable, options.repeat
    print(machine())
    print(f"{'milliseconds':<44}{'fastest':>8}{'median':>8}{'CPU':>8}{'ratio':>8}")
    env = dict(os.environ)
    bare = measured([python, "-c", "pass"], env, repeat)
    show("python, which does nothing", bare, bare[0])
    started = measured([python, "-c", "import coalmine.cli"], env, repeat)
    show("import coalmine.cli", started, bare[0])
    show("import pydantic", measured([python, "-c", "import pydantic.main"], env, repeat), bare[0])
    show("import kubernetes.aio", measured([python, "-c", "import kubernetes.aio"], env, repeat), bare[0])
    with cluster() as made:
        fill(made, options.rollouts)
        program = made.kubectl().program
        env |= {"KUBECONFIG": str(made.kubeconfig), "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
        kubectl = [str(program)]
        raw = subprocess.run([*kubectl, "get", "--raw", PATH], env=env, check=True, capture_output=True).stdout
        print(f"{options.rollouts} Rollouts, {len(raw) / 1e6:.1f} MB as JSON")
        coalmine = [str(Path(python).with_name("coalmine"))]
        before = lists(kubectl, env)
        look = measured([*coalmine, "status", "-A"], env, repeat)
        asked = (lists(kubectl, env) - before) / (repeat + 1)
        show("coalmine status -A", look, look[0])
        show("coalmine get -A", measured([*coalmine, "get", "-A"], env, repeat), look[0])
        show("kubectl get --raw", measured([*kubectl, "get", "--raw", PATH], env, repeat), look[0])
        show("kubectl get rollouts -A", measured([*kubectl, "get", "rollouts", "-A"], env, repeat), look[0])
        show(
            "kubectl get rollouts -A -o json",
            measured([*kubectl, "get", "rollouts", "-A", "-o", "json"], env, repeat),
            look[0],
        )
        show("Python's kubernetes client", measured([python, "-c", CLIENT], env, repeat), look[0])
    imports = started[0] - bare[0]
    print(
        f"import: {imports:.0f} ms beyond Python itself (target {IMPORT_MS:.0f}); look: {look[0]:.0f} ms (target {LOOK_MS:.0f}); {asked:g} list request(s) for each look"
    )
    return 0 if imports < IMPORT_MS and look[0] < LOOK_MS and asked == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
