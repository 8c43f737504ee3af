"""kubeconfig files that hold everything they need."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import yaml

from coalmine.local.pki import CLIENTS, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from coalmine.local.layout import Layout

__all__ = ["write_kubeconfigs"]


def write_kubeconfigs(layout: Layout, *, cluster: str, server: str) -> None:
    """Write one kubeconfig for each client of the cluster (see `coalmine.local.pki.CLIENTS`).

    Args:
        layout: Where the certificates are and the files go.
        cluster: Name of the cluster, the context and the user in the file.
        server: The apiserver's URL.
    """
    for client, identity in CLIENTS.items():
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": cluster,
            "preferences": {},
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {"server": server, "certificate-authority-data": _encoded(layout.pki / "ca.crt")},
                }
            ],
            "users": [
                {
                    "name": f"{cluster}-{client}",
                    "user": {
                        "client-certificate-data": _encoded(layout.pki / f"{identity.file}.crt"),
                        "client-key-data": _encoded(layout.pki / f"{identity.file}.key"),
                    },
                }
            ],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": f"{cluster}-{client}"}}],
        }
        write_private(layout.kubeconfig(client), yaml.safe_dump(document, sort_keys=False).encode())


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
