"""The official releases: Kubernetes from dl.k8s.io, etcd from its GitHub releases; their published sums are checked.

Mirrors with the same layout are named by ``COALMINE_KUBERNETES_MIRROR`` and ``COALMINE_ETCD_MIRROR``.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coalmine.local.binaries.cache import install
from coalmine.local.binaries.versions import ETCD_VERSION, KUBERNETES_VERSION, architecture
from coalmine.local.errors import BinaryUnavailableError, SourceUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coalmine.local.progress import Progress

__all__ = ["ETCD_MIRROR", "KUBERNETES_MIRROR", "fetch"]

KUBERNETES_MIRROR: Final = "COALMINE_KUBERNETES_MIRROR"
ETCD_MIRROR: Final = "COALMINE_ETCD_MIRROR"
_KUBERNETES_URL: Final = "https://dl.k8s.io"
_ETCD_URL: Final = "https://github.com/etcd-io/etcd/releases/download"
_TIMEOUT_SECONDS: Final = 15.0
"""For connecting, and for each piece of an answer."""
_CHUNK: Final = 1 << 18
_MEGABYTE: Final = 1_000_000


def fetch(name: str, folder: Path, progress: Progress, env: Mapping[str, str]) -> Path:
    """Download a program into ``folder``.

    Raises:
        BinaryUnavailableError: The server does not answer, does not have it, or what it sent is not what it published.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
        if name == "etcd":
            program = _etcd(Path(scratch), env.get(ETCD_MIRROR) or _ETCD_URL, progress)
        else:
            program = _kubernetes(name, Path(scratch), env.get(KUBERNETES_MIRROR) or _KUBERNETES_URL, progress)
        return install(program, folder, name)


def _kubernetes(name: str, scratch: Path, base: str, progress: Progress) -> Path:
    url = f"{base.rstrip('/')}/v{KUBERNETES_VERSION}/bin/linux/{architecture()}/{name}"
    published = _text(f"{url}.sha512").split()
    if not published:
        raise BinaryUnavailableError(f"{url}.sha512 is empty")
    return _checked(url, scratch / name, "sha512", published[0], progress)


def _etcd(scratch: Path, base: str, progress: Progress) -> Path:
    stem = f"etcd-v{ETCD_VERSION}-linux-{architecture()}"
    release = f"{base.rstrip('/')}/v{ETCD_VERSION}"
    lines = (line.split() for line in _text(f"{release}/SHA256SUMS").splitlines())
    published = {parts[1].lstrip("*"): parts[0] for parts in lines if len(parts) == 2}  # noqa: PLR2004 - sum and name
    archive = f"{stem}.tar.gz"
    if archive not in published:
        raise BinaryUnavailableError(f"{release}/SHA256SUMS does not name {archive}")
    packed = _checked(f"{release}/{archive}", scratch / archive, "sha256", published[archive], progress)
    try:
        with tarfile.open(packed) as tar:
            tar.extract(f"{stem}/etcd", scratch, filter="data")
    except (tarfile.TarError, KeyError) as error:
        raise BinaryUnavailableError(f"{release}/{archive} holds no {stem}/etcd: {error}") from error
    return scratch / stem / "etcd"


def _checked(url: str, target: Path, algorithm: str, published: str, progress: Progress) -> Path:
    """Download ``url`` to ``target`` and compare its sum with the published one."""
    digest = hashlib.new(algorithm)
    received = 0
    name = url.rpartition("/")[2]
    with progress.task(f"downloading {name}") as update, _opened(url) as answer, target.open("wb") as file:
        expected = int(answer.headers.get("Content-Length") or 0)
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            update(f"{received // _MEGABYTE} of {expected // _MEGABYTE or '?'} MB")
    if expected and received < expected:
        raise BinaryUnavailableError(f"{url} ended after {received} of {expected} bytes")
    if digest.hexdigest() != published.lower():
        raise BinaryUnavailableError(
            f"{url} has the {algorithm} sum {digest.hexdigest()[:16]}…, published is {published[:16]}…: not used"
        )
    progress.line(f"{name}: downloaded from {url}, {algorithm} sum as published")
    return target


def _text(url: str) -> str:
    with _opened(url) as answer:
        return answer.read().decode(errors="replace")


@contextlib.contextmanager
def _opened(url: str) -> Iterator[http.client.HTTPResponse]:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - a mirror may be a folder
            yield answer
    except urllib.error.HTTPError as error:
        raise BinaryUnavailableError(f"{url}: {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceUnusableError(f"{url}: {getattr(error, 'reason', '') or error}") from error
