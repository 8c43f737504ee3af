"""Container images made on the spot from programs of this machine: OCI archives, since there is no registry to pull from."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["image_archive", "libraries"]

_PLATFORM: Final = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine], "os": "linux"}


def libraries(program: Path) -> set[Path]:
    """Return the shared libraries that a program loads, and its loader."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return {Path(found) for found in re.findall(r"(/\S+) \(0x", said)}


def image_archive(
    archive: Path,
    name: str,
    files: Mapping[str, Path],
    *,
    links: Mapping[str, str] | None = None,
    command: Iterable[str] = (),
) -> None:
    """Write an image of one layer, in which the programs' libraries are too.

    Args:
        archive: Where to.
        name: The image's name with its tag.
        files: Path in the image → file of this machine.
        links: Path in the image → what it points to.
        command: What a container runs unless told otherwise.
    """
    contents = dict(files)
    for program in files.values():
        contents |= {str(path): path for path in libraries(program)}
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for folder in ("tmp", "proc", "sys", "dev", "etc", "run", "var"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for path, source in sorted(contents.items()):
            _add(tar, path, source.resolve().read_bytes())
        for path, target in (links or {}).items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
    blobs: dict[str, bytes] = {}
    diff = layer.getvalue()
    config = {
        **_PLATFORM,
        "config": {"Cmd": list(command), "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(diff).hexdigest()}"]},
    }
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": _blob(blobs, f"{kind}.config.v1+json", json.dumps(config).encode()),
        "layers": [_blob(blobs, f"{kind}.layer.v1.tar", diff)],
    }
    described = _blob(blobs, f"{kind}.manifest.v1+json", json.dumps(manifest).encode())
    described |= {"platform": _PLATFORM, "annotations": {"io.containerd.image.name": name}}
    index = {"schemaVersion": 2, "mediaType": f"{kind}.index.v1+json", "manifests": [described]}
    with tarfile.open(archive, mode="w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", json.dumps(index).encode())
        for digest, content in blobs.items():
            _add(tar, f"blobs/sha256/{digest}", content)


def program(name: str) -> Path:
    """Return a program of this machine."""
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert found, f"{name} is not installed"
    return Path(found)


def _blob(blobs: dict[str, bytes], media_type: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    blobs[digest] = content
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size, entry.mode = len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))
