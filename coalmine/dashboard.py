"""``coalmine dashboard``: says where the pages are, and brings a cluster's to this machine."""

from __future__ import annotations

import os
import re
import subprocess
import webbrowser
from pathlib import Path
from typing import Final

import click

from coalmine.local.layout import Layout
from coalmine.local.settings import LOOPBACK, load_settings

__all__ = ["dashboard"]

_FORWARDED: Final = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")


@click.command(
    epilog="""\b
    Examples:
      coalmine dashboard                    of the current context
      coalmine dashboard --open             in a browser
      coalmine dashboard --context prod -n platform --target deployment/releases
    """
)
@click.option("-n", "--namespace", default="coalmine-system", show_default=True, help="Where the controller runs.")
@click.option("--context", metavar="NAME", help="The kubeconfig's context.")
@click.option("--kubeconfig", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="The kubeconfig.")
@click.option("--target", default="deployment/coalmine-controller", show_default=True, help="The controller.")
@click.option("--port", default=15091, show_default=True, help="The port of its --http-address.")
@click.option("--open/--no-open", "opens", default=False, show_default=True, help="Open a browser.")
def dashboard(
    namespace: str, context: str | None, kubeconfig: str | None, target: str, port: int, *, opens: bool
) -> None:
    """Say where the dashboard is; in a cluster, forward it to this machine until Ctrl-C."""
    if context is None and (url := _local(kubeconfig)) is not None:
        _show(url, opens=opens)
        return
    command = ["kubectl"]
    command += [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    command += [f"--context={context}"] if context else []
    command += ["-n", namespace, "port-forward", "--address", LOOPBACK, target, f":{port}"]
    try:
        code = _forward(command, opens=opens)
    except FileNotFoundError:
        raise click.ClickException("kubectl is not on your PATH: install it, or use the dashboard's ingress") from None
    if code:
        raise click.ClickException(
            f"{target} in namespace {namespace} cannot be reached at port {port}: is it the controller, does it run "
            "with --http-address on all addresses of its pod, and may you create pods/portforward there?"
        )


def _forward(command: list[str], *, opens: bool) -> int:
    """Run kubectl until it ends or Ctrl-C, and return its exit code."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if found := _FORWARDED.search(line):
                    _show(f"http://{found[1]}/", opens=opens)
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            process.terminate()


def _local(kubeconfig: str | None) -> str | None:
    """Return the address where the kubeconfig is that of a cluster of `coalmine local up`."""
    first = kubeconfig or os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0]
    settings = load_settings(Layout(Path(first).resolve().parent)) if first else None
    return f"http://{LOOPBACK}:{settings.ports.controller_http}/" if settings else None


def _show(url: str, *, opens: bool) -> None:
    click.echo(f"The dashboard: {url}")
    if opens:
        webbrowser.open(url)
