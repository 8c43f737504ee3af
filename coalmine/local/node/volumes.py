"""Volumes of a pod as files: what a container mounts lies under its working folder, at the mount's path.

Processes share the machine's file system, so nothing can be at ``/etc/app`` itself. As with Windows' host processes in
Kubernetes, the variable ``CONTAINER_SANDBOX_MOUNT_POINT`` says what precedes the path; it is the working folder where
the container names none itself. Volumes are ``projected`` (service-account tokens, ConfigMaps, Secrets), ``configMap``
and ``secret``; they are kept up to date, all files of a volume at once, as a kubelet does it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from coalmine.local.node.environment import TOKEN_MOUNT, ConfigError
from coalmine.local.node.kube import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from coalmine.local.node.kube import KubeApi

__all__ = ["MOUNT_POINT", "Volumes", "mounts_of", "refresh_forever"]

MOUNT_POINT: Final = "CONTAINER_SANDBOX_MOUNT_POINT"
REFRESH_SECONDS: Final = 5.0
_DATA: Final = "..data"
_NOT_FOUND: Final = 404
_DEFAULT_SECONDS: Final = 3600
_RENEW: Final = 0.8
"""A token is asked for anew after this part of its life, as a kubelet does."""
_PATHS: Final = {"configMap": "configmaps", "secret": "secrets"}


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume at a path.

    Attributes:
        name: The volume's name.
        path: Where the container wants it.
        sources: What it is made of, as a projected volume writes it.
    """

    name: str
    path: str
    sources: tuple[dict[str, Any], ...]


@dataclass(slots=True)
class _Token:
    text: str
    renew: datetime


def mounts_of(pod: Mapping[str, Any], container: Mapping[str, Any]) -> list[Mount]:
    """Return what a container mounts, without the token that admission mounts into every pod.

    Raises:
        ConfigError: A volume is of a kind that the local node does not know.
    """
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    found = []
    for mount in container.get("volumeMounts") or ():
        if mount["mountPath"] == TOKEN_MOUNT:
            continue
        where = f"volume {mount['name']!r} at {mount['mountPath']} of container {container['name']!r}"
        volume = volumes.get(mount["name"], {})
        if mount.get("subPath") or mount.get("subPathExpr"):
            raise ConfigError(f"{where}: subPath is not supported by the local node", event="FailedMount")
        found.append(Mount(mount["name"], mount["mountPath"], tuple(_sources(volume, where))))
    return found


def _sources(volume: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    if source := volume.get("configMap"):
        yield {"configMap": source}
    elif source := volume.get("secret"):
        yield {"secret": {**source, "name": source.get("secretName", "")}}
    elif source := volume.get("projected"):
        for part in source.get("sources") or ():
            if not {"serviceAccountToken", "configMap", "secret"} & part.keys():
                raise ConfigError(
                    f"{where}: projected source {', '.join(part)} is not supported by the local node, which knows "
                    "serviceAccountToken, configMap and secret",
                    event="FailedMount",
                )
            yield part
    else:
        raise ConfigError(
            f"{where}: the local node mounts projected, configMap and secret volumes only (its processes share the "
            "machine's file system): remove the mount",
            event="FailedMount",
        )


class Volumes:
    """The files of one pod's mounts."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._tokens: dict[tuple[str, int], _Token] = {}

    async def write(self, pod: Mapping[str, Any], container: Mapping[str, Any], folder: Path) -> None:
        """Bring the files of a container's mounts up to date.

        Args:
            pod: The pod.
            container: One of its containers.
            folder: What precedes the mounts' paths.

        Raises:
            ConfigError: A source is missing or cannot be read.
        """
        for mount in mounts_of(pod, container):
            files: dict[str, bytes] = {}
            for source in mount.sources:
                files |= await self._read(pod, source)
            _replace(folder / mount.path.lstrip("/"), files)

    async def _read(self, pod: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, bytes]:
        if token := source.get("serviceAccountToken"):
            return {token["path"]: (await self._token(pod, token)).encode()}
        (field,) = _PATHS.keys() & source.keys()
        return await self._object(pod["metadata"]["namespace"], field, source[field])

    async def _object(self, namespace: str, field: str, source: Mapping[str, Any]) -> dict[str, bytes]:
        try:
            found = await self._api.get(f"/api/v1/namespaces/{namespace}/{_PATHS[field]}/{source['name']}")
        except ApiError as error:
            if error.status == _NOT_FOUND and source.get("optional"):
                return {}
            raise ConfigError(f"{field} {source['name']!r}: {error}", event="FailedMount") from error
        if field == "secret":
            data = {key: b64decode(value) for key, value in (found.get("data") or {}).items()}
        else:
            data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
            data |= {key: b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
        if not (items := source.get("items")):
            return data
        missing = sorted(item["key"] for item in items if item["key"] not in data)
        if missing and not source.get("optional"):
            raise ConfigError(f"{field} {source['name']!r} has no key {', '.join(missing)}", event="FailedMount")
        return {item["path"]: data[item["key"]] for item in items if item["key"] in data}

    async def _token(self, pod: Mapping[str, Any], source: Mapping[str, Any]) -> str:
        seconds = source.get("expirationSeconds") or _DEFAULT_SECONDS
        key = (source.get("audience") or "", seconds)
        known, now = self._tokens.get(key), datetime.now(UTC)
        if known is not None and now < known.renew:
            return known.text
        meta, account = pod["metadata"], pod["spec"].get("serviceAccountName") or "default"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        spec = {"audiences": [key[0]] if key[0] else [], "expirationSeconds": seconds, "boundObjectRef": bound}
        path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        try:
            made = await self._api.create(path, {"spec": spec})
        except ApiError as error:
            raise ConfigError(f"token of service account {account!r}: {error}", event="FailedMount") from error
        status = made["status"]
        ends = datetime.fromisoformat(status["expirationTimestamp"])
        self._tokens[key] = _Token(status["token"], now + (ends - now) * _RENEW)
        return self._tokens[key].text


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files into a folder, all at once: they are links through one link, which is exchanged."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = folder / _DATA
    old = data.resolve() if data.is_symlink() else None
    if old is not None and _content(old) == dict(files):
        return
    fresh = folder / f"..{secrets.token_hex(8)}"
    for name, content in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(content)
    link = folder / "..data_new"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.replace(data)
    tops = {name.partition("/")[0] for name in files}
    for name in tops:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{_DATA}/{name}")
    for path in folder.iterdir():
        if path.is_symlink() and not path.name.startswith("..") and path.name not in tops:
            path.unlink()
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


async def refresh_forever(write: Callable[[], Awaitable[None]], warn: Callable[[str], None]) -> None:
    """Call ``write`` every few seconds until cancelled; tell each failure once in a row."""
    told = ""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            await write()
        except ConfigError as error:
            if str(error) != told:
                told = str(error)
                warn(told)
        else:
            told = ""
