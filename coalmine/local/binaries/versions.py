"""Which programs the local control plane consists of, and in which versions."""

from __future__ import annotations

import platform
from typing import Final

from coalmine.local.errors import BinaryUnavailableError

__all__ = ["CONTROL_PLANE", "ETCD_VERSION", "KUBECTL", "KUBERNETES_VERSION", "architecture", "label"]

KUBERNETES_VERSION: Final = "1.36.3"
ETCD_VERSION: Final = "3.6.8"
"""Both also stand in ``coalmine/local/kubernetes/go.mod``; a test compares them."""
CONTROL_PLANE: Final = ("kube-apiserver", "kube-controller-manager", "etcd")
"""In the order in which they are built: later ones share packages with earlier ones."""
KUBECTL: Final = "kubectl"

_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def architecture() -> str:
    """Return this machine's architecture as Go and the releases call it."""
    machine = platform.machine().lower()
    if platform.system() != "Linux" or machine not in _ARCHITECTURES:
        raise BinaryUnavailableError(
            f"the local Kubernetes runs on Linux (x86_64, arm64); this is {platform.system()} {machine}. "
            "Use a cluster of your own instead."
        )
    return _ARCHITECTURES[machine]


def label() -> str:
    """Return what tells one set of programs from another, used as a folder name."""
    return f"v{KUBERNETES_VERSION}-etcd{ETCD_VERSION}-linux-{architecture()}"
