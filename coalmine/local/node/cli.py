"""``coalmine local node``: run the node agent in the foreground."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import click

from coalmine.local.node.agent import AgentRunningError, run_agent
from coalmine.local.node.config import NodeConfig

__all__ = ["node"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--kubeconfig", type=_FILE, required=True, help="Credentials for the apiserver.")
@click.option("--node-name", default="local", show_default=True, help="Name of the Node object.")
@click.option("--pod-cidr", default="127.0.0.0/16", show_default=True, help="Loopback network of pod addresses.")
@click.option(
    "--state-dir", type=click.Path(file_okay=False, path_type=Path), required=True, help="Records and logs of pods."
)
@click.option("--tls-cert", type=_FILE, required=True, help="Certificate of the kubelet API, for 127.0.0.1.")
@click.option("--tls-key", type=_FILE, required=True, help="Its key.")
@click.option("--client-ca", type=_FILE, help="CA that the apiserver's client certificate is checked against.")
@click.option("--port", type=int, default=0, help="Port of the kubelet API on 127.0.0.1; 0 takes a free one.")
@click.option("--verbose", is_flag=True, help="Log more.")
def node(  # noqa: PLR0917 - click passes options by name
    kubeconfig: Path,
    node_name: str,
    pod_cidr: str,
    state_dir: Path,
    tls_cert: Path,
    tls_key: Path,
    client_ca: Path | None,
    port: int,
    *,
    verbose: bool,
) -> None:
    """Run pods of an apiserver as processes of this machine, until SIGTERM. The pods go on after it."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if client_ca is None:
        logging.getLogger(__name__).warning("--client-ca is not given: every local program can read pods' logs")
    config = NodeConfig(
        kubeconfig=kubeconfig.absolute(),
        state_dir=state_dir.absolute(),
        tls_cert=tls_cert,
        tls_key=tls_key,
        node_name=node_name,
        pod_cidr=pod_cidr,
        port=port,
        client_ca=client_ca,
    )
    try:
        asyncio.run(run_agent(config))
    except (AgentRunningError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
