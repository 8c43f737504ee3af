"""The files by which a sidecar knows the control plane and proves who it is, before it has any certificate.

The kubelet puts them there: the token of the pod's service account, for our audience only, renewed in place, and the
roots from a ConfigMap that the control plane keeps in every namespace. Envoy reads both by file-based SDS, which takes
in what changes: neither a renewed token nor a new root needs a restart.
"""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = [
    "AUDIENCE",
    "CONFIG_MAP",
    "INOTIFY_INSTANCES",
    "MOUNT",
    "ROOTS_SECRET",
    "TOKEN_SECRET",
    "VOLUME",
    "config_map_data",
    "file_secret",
    "volume",
    "volume_mount",
]

AUDIENCE: Final = "coalmine"
CONFIG_MAP: Final = "coalmine-ca-root"
VOLUME: Final = "coalmine-identity"
MOUNT: Final = "/var/run/secrets/coalmine"
ROOTS_SECRET: Final = "coalmine-roots"  # noqa: S105 - a name
TOKEN_SECRET: Final = "coalmine-token"  # noqa: S105 - a name
INOTIFY_INSTANCES: Final = 3
"""What an Envoy that watches the files takes of ``fs.inotify.max_user_instances``; one that gets none aborts."""
_TOKEN_FILE: Final = "token"  # noqa: S105 - a name
_TOKEN_SECONDS: Final = 3600
_FILES: Final = {ROOTS_SECRET: "roots.json", TOKEN_SECRET: "token.json"}
_TYPE: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def config_map_data(roots: str, folder: str = MOUNT) -> dict[str, str]:
    """Return what the ConfigMap holds.

    Args:
        roots: The trusted roots, PEM.
        folder: Where a sidecar finds the files.
    """
    contents: dict[str, dict[str, Any]] = {
        ROOTS_SECRET: {"validation_context": {"trusted_ca": {"inline_string": roots}}},
        TOKEN_SECRET: {"generic_secret": {"secret": {"filename": f"{folder}/{_TOKEN_FILE}"}}},
    }
    files = {
        _FILES[name]: json.dumps({"resources": [{"@type": _TYPE, "name": name, **content}]}, separators=(",", ":"))
        for name, content in contents.items()
    }
    return {"root-cert.pem": roots, **files}


def file_secret(name: str, folder: str = MOUNT) -> dict[str, Any]:
    """Return the SdsSecretConfig of one of the two secrets."""
    source = {"path": f"{folder}/{_FILES[name]}", "watched_directory": {"path": folder}}
    return {"name": name, "sds_config": {"resource_api_version": "V3", "path_config_source": source}}


def volume() -> dict[str, Any]:
    """Return the pod's volume."""
    token = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": _TOKEN_FILE}
    sources = [{"serviceAccountToken": token}, {"configMap": {"name": CONFIG_MAP}}]
    return {"name": VOLUME, "projected": {"sources": sources}}


def volume_mount() -> dict[str, Any]:
    """Return the sidecar's mount of it."""
    return {"name": VOLUME, "mountPath": MOUNT, "readOnly": True}
