"""``coalmine demo``: good and bad releases of a small shop, on a real Kubernetes API and real Envoys."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

from coalmine.demo.gitops import GitError
from coalmine.demo.kubectl import Kubectl
from coalmine.demo.releases import RELEASES, Release
from coalmine.demo.running import DemoError, Run
from coalmine.demo.shop import NAMESPACE, shop_folder
from coalmine.demo.showing import LiveDisplay, PlainDisplay
from coalmine.demo.summaries import summary
from coalmine.local.cluster import LocalCluster
from coalmine.local.errors import LocalError
from coalmine.local.progress import ConsoleProgress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coalmine.demo.report import DemoReport

__all__ = ["demo", "run_demo"]

_INTERRUPTED: Final = 130


@click.command()
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write what came of it to this file.",
)
@click.option("--keep", is_flag=True, help="Leave everything running, and say what to try.")
@click.option("--plain", is_flag=True, help="A line for each change instead of the live view.")
@click.option("--name", default="demo", show_default=True, help="Name of the local cluster.")
@click.option(
    "--rate", type=click.FloatRange(min=1, max=2000), default=200.0, show_default=True, help="Requests a second."
)
def demo(json_file: Path | None, name: str, rate: float, *, keep: bool, plain: bool) -> None:
    """Watch four releases: two good ones are promoted, two bad ones are taken back.

    Starts a Kubernetes of its own on this machine, a shop in its mesh, and a steady load; commits the releases to a
    local git repository; and removes everything at the end. Exits 0 only if all four end as they must and no request
    fails because of Coalmine.
    """
    console = Console()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        report = run_demo(console, name=name, rate=rate, releases=RELEASES, keep=keep, plain=plain)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        sys.exit(_INTERRUPTED)
    except (LocalError, DemoError, GitError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
    console.print(summary(report))
    if json_file:
        json_file.write_text(report.model_dump_json(indent=2) + "\n")
    sys.exit(0 if report.ok else 1)


def run_demo(
    console: Console, *, name: str, rate: float, releases: Sequence[Release], keep: bool = False, plain: bool = False
) -> DemoReport:
    """Start a cluster of its own, run the releases on it, and remove it.

    Args:
        console: Where it is shown.
        name: The cluster's name; an earlier one of this name is removed.
        rate: Requests a second.
        releases: What is committed, in order.
        keep: Leave everything running.
        plain: Lines instead of the live view, as always when the console is no terminal.

    Raises:
        LocalError: The cluster did not start.
        DemoError: The shop did not start.
    """
    cluster = LocalCluster(name, progress=ConsoleProgress(console))
    with _alone(cluster), _running(cluster, keep=keep):
        kubectl = Kubectl(cluster.kubectl().program, cluster.kubeconfig, cluster.layout.kubectl_cache, NAMESPACE)
        folder = cluster.layout.root / "demo"
        console.print(f"The dashboard: {cluster.dashboard_url}", highlight=False, markup=False, soft_wrap=True)
        display = LiveDisplay(console) if console.is_terminal and not plain else PlainDisplay(console)
        run = Run(kubectl, folder, shop_folder(), releases, rate, display)
        report = asyncio.run(_first_error(run))
        died = [f"{c.name} died; see {c.log}" for c in cluster.status() if c.state == "died"]
        if keep:
            _say_what_to_try(console, cluster, folder)
    return report.model_copy(update={"trouble": (*report.trouble, *died)})


async def _first_error(run: Run) -> DemoReport:
    """Run, and raise the first error alone rather than in a group."""
    try:
        return await run()
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group


@contextlib.contextmanager
def _alone(cluster: LocalCluster) -> Iterator[None]:
    """Refuse to run while another demo of this name does."""
    root = cluster.layout.root
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f".{root.name}.demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(
                f"a demo called {cluster.name} is running already; end it, or choose another --name"
            ) from error
        yield


@contextlib.contextmanager
def _running(cluster: LocalCluster, *, keep: bool) -> Iterator[None]:
    """Start the cluster afresh, and remove it whatever happens, unless it is to be kept."""
    cluster.down(delete=True)
    try:
        cluster.up()
        yield
    finally:
        if not keep:
            cluster.down(delete=True)


def _say_what_to_try(console: Console, cluster: LocalCluster, folder: Path) -> None:
    repository = shlex.quote(str(folder / "shop.git"))
    for line in (
        "",
        "Everything keeps running, except for the applier: you are the GitOps tool now. Try:",
        f"  export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}",
        f"  kubectl config set-context --current --namespace={NAMESPACE}",
        "  kubectl get rollouts,pods",
        "  kubectl describe rollout payment",
        f"  open {cluster.dashboard_url}",
        f"  cd {repository}",
        '  sed -i \'s/payment:v[0-9]*/payment:v9/; /ERROR_RATE/{n;s/".*"/"0.05"/}; /VERSION/{n;s/".*"/"v9"/}\' payment.yaml && git diff',
        "  kubectl apply --server-side --field-manager=gitops -f payment.yaml && kubectl rollout status deployment/payment",
        f"End it with: coalmine local down --delete --name {shlex.quote(cluster.name)}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _interrupt(_number: int, _frame: object) -> None:
    """End as by Ctrl-C: that is the one signal on which asyncio ends its tasks in order."""
    signal.raise_signal(signal.SIGINT)
