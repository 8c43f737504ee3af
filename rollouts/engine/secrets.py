"""Secret values, read when they are needed and never kept."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import aiohttp

from analysis.providers.base import ConfigurationError, UnavailableError
from rollouts.engine.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rollouts.engine.kube import Kube

__all__ = ["secret_data", "secret_reader"]

_FORBIDDEN: Final = 403
_SERVER_ERRORS: Final = 500


def secret_reader(kube: Kube, namespace: str) -> Callable[[str, str], Awaitable[str]]:
    """Return a function that reads one key of a Secret of a namespace."""

    async def read(name: str, key: str) -> str:
        where = _where(namespace, name)
        data = await _data(kube, namespace, name)
        if key not in data:
            keys = ", ".join(sorted(data)) or "nothing"
            raise ConfigurationError(f"{where} has no key {key!r} (it has {keys}): add it, or correct the reference")
        return _text(where, key, data[key])

    return read


async def secret_data(kube: Kube, namespace: str, name: str) -> dict[str, str]:
    """Return all keys of a Secret with their values.

    Raises:
        ConfigurationError: There is none, it may not be read, or a value is not text.
        UnavailableError: It cannot be read now.
    """
    data = await _data(kube, namespace, name)
    return {key: _text(_where(namespace, name), key, value) for key, value in data.items()}


def _where(namespace: str, name: str) -> str:
    return f"Secret {name} in namespace {namespace}"


def _text(where: str, key: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ConfigurationError(f"{where}: key {key!r} is not text") from None


async def _data(kube: Kube, namespace: str, name: str) -> dict[str, str]:
    where = _where(namespace, name)
    try:
        found = await kube.request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
    except KubeError as error:
        raise _refused(where, namespace, error) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise UnavailableError(f"{where} cannot be read now: {str(error) or type(error).__name__}") from None
    if found is None:
        raise ConfigurationError(f"there is no {where}: create it, or correct the reference")
    return found.get("data") or {}


def _refused(where: str, namespace: str, error: KubeError) -> Exception:
    if error.status == _FORBIDDEN:
        return ConfigurationError(
            f"the controller may not read {where}: bind ClusterRole coalmine-controller-secrets to it in this namespace "
            f"(kubectl create rolebinding coalmine-secrets -n {namespace} --clusterrole coalmine-controller-secrets "
            "--user system:coalmine:controller)"
        )
    if error.status >= _SERVER_ERRORS or not error.status:
        return UnavailableError(f"{where} cannot be read now: {error}")
    return ConfigurationError(f"{where} cannot be read: {error}")
