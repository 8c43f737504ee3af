"""Where the local cluster keeps its files, and the names of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

__all__ = ["APISERVER", "CONTROLLER", "ETCD", "KCM", "MESH", "NODE", "START_ORDER", "Layout", "default_state_dir"]

ETCD: Final = "etcd"
APISERVER: Final = "kube-apiserver"
KCM: Final = "kube-controller-manager"
NODE: Final = "node"
MESH: Final = "mesh"
CONTROLLER: Final = "controller"
START_ORDER: Final = (ETCD, APISERVER, KCM, MESH, NODE, CONTROLLER)
"""Every component. They are ended in the opposite order: pods go while the mesh still steers their proxies."""


def default_state_dir(name: str) -> Path:
    """Return the folder of the cluster called ``name``."""
    return Path(platformdirs.user_state_dir("coalmine")) / "local" / name


@dataclass(frozen=True, slots=True)
class Layout:
    """The files below one cluster's state folder."""

    root: Path

    @property
    def settings(self) -> Path:
        """Ports and pod range, chosen at the first ``up``."""
        return self.root / "cluster.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the cluster."""
        return self.root / "lock"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.root / "pki"

    @property
    def etcd_data(self) -> Path:
        """What Kubernetes remembers."""
        return self.root / "etcd"

    @property
    def kubectl_cache(self) -> Path:
        """The discovery cache of our own kubectl calls: ports are reused, so it must not be shared between clusters."""
        return self.root / "kubectl-cache"

    @property
    def node_state(self) -> Path:
        """The node agent's own state folder."""
        return self.root / "node"

    def log(self, component: str) -> Path:
        """Return the log file of a component."""
        return self.root / "logs" / f"{component}.log"

    def record(self, component: str) -> Path:
        """Return the file that says which process a component is."""
        return self.root / "processes" / f"{component}.json"

    def kubeconfig(self, user: str = "admin") -> Path:
        """Return the kubeconfig of ``admin``, or of a component."""
        return self.root / ("kubeconfig" if user == "admin" else f"{user}.kubeconfig")
