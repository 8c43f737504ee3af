"""The node agent's one door to the apiserver: plain JSON objects over kubernetes.aio's connection."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
from kubernetes.aio import client, config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

__all__ = ["ApiError", "KubeApi"]

_LOG: Final = logging.getLogger(__name__)
_MERGE: Final = "application/strategic-merge-patch+json"
_CALL: Final = aiohttp.ClientTimeout(total=30)
_RETRY_SECONDS: Final = 0.5
_WATCH_SECONDS: Final = 300
_CONNECTIONS: Final = 64


class ApiError(Exception):
    """The apiserver refused a call, or could not be reached (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}" if status else message)
        self.status = status


class KubeApi:
    """Calls that a node makes. Use as an async context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._client: client.ApiClient | None = None

    async def __aenter__(self) -> Self:
        settings = client.Configuration()
        try:
            await config.load_kube_config(str(self._kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise ValueError(f"kubeconfig {self._kubeconfig}: {error}") from error
        settings.connection_pool_maxsize = _CONNECTIONS
        self._client = client.ApiClient(settings)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read an object or a list.

        Raises:
            ApiError: As for every call.
        """
        return await self._call("GET", path, query=query)

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in a collection."""
        return await self._call("POST", path, body=body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a strategic merge patch."""
        return await self._call("PATCH", path, body=body, content_type=_MERGE)

    async def delete_now(self, path: str, uid: str) -> None:
        """Delete an object without a grace period, if it still is the one with that uid."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        await self._call("DELETE", path, body=body)

    async def watch(self, path: str) -> AsyncIterator[tuple[str, Any]]:
        """List a collection and follow it for ever, through ends of streams, errors and expired versions.

        Yields:
            ("LISTED", all objects) after each list, then (ADDED | MODIFIED | DELETED, object).
        """
        while True:
            try:
                found = await self.get(path)
                yield "LISTED", found.get("items") or []
                version = found["metadata"]["resourceVersion"]
                async for kind, item in self._follow(path, version):
                    yield kind, item
            except ApiError as error:
                _LOG.warning("watch of %s: %s; listing again", path, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self, path: str, version: str) -> AsyncIterator[tuple[str, Any]]:
        while True:
            query = {
                "watch": "true",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(_WATCH_SECONDS),
            }
            timeout = aiohttp.ClientTimeout(total=_WATCH_SECONDS + 60, sock_connect=10)
            response = await self._send("GET", path, query=query, timeout=timeout)
            async with response:
                if response.status != 200:  # noqa: PLR2004 - OK
                    raise ApiError(response.status, await response.text())
                async for event in _events(response):
                    item = event["object"]
                    if event["type"] == "ERROR":
                        # 410 Gone: the version is too old to go on from.
                        raise ApiError(item.get("code", 0), item.get("message", "watch failed"))
                    version = item["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["type"], item

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        response = await self._send(method, path, query=query, body=body, content_type=content_type, timeout=_CALL)
        try:
            text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, f"{method} {path}: {type(error).__name__}: {error}") from error
        if response.status >= 300:  # noqa: PLR2004 - not a success
            raise ApiError(response.status, _message(text))
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - it is aiohttp's own kind of timeout
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> aiohttp.ClientResponse:
        if self._client is None:
            raise RuntimeError("KubeApi is used outside of its context")
        _, url, headers, payload, _ = await self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = await self._client.call_api(method, url, headers, payload, _request_timeout=timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, f"{method} {path}: {type(error).__name__}: {error}") from error
        response: aiohttp.ClientResponse = answer.response
        return response


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    # Objects can be longer than the reader's limit for a line.
    rest = b""
    try:
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield json.loads(line)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ApiError(0, f"the stream broke: {error}") from error


def _message(text: bytes) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text.decode(errors="replace")
    return str(found.get("message", found)) if isinstance(found, dict) else str(found)
