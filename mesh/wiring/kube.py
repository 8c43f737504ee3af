"""The one door to Kubernetes: plain JSON objects by kind, with errors that say what to do next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from kubernetes.aio import client, config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["AbsentError", "ConflictError", "GoneError", "Kind", "Kube", "KubeError", "WatchEvent"]

FIELD_MANAGER: Final = "coalmine-mesh"
_APPLY: Final = "application/apply-patch+yaml"
_FIRST_ERROR, _NOT_FOUND, _CONFLICT, _GONE = 400, 404, 409, 410
_WATCH_SECONDS: Final = 300
_PAGE: Final = 500


class KubeError(Exception):
    """The API server refused a request or could not be reached. Try again later.

    Attributes:
        status: HTTP status; 0 when there was no answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AbsentError(KubeError):
    """There is no such object, or the server does not know the kind."""


class GoneError(KubeError):
    """The watch's position is too old: list again."""


class ConflictError(KubeError):
    """The object exists already, or has changed meanwhile."""


_ERRORS: Final = {_NOT_FOUND: AbsentError, _CONFLICT: ConflictError, _GONE: GoneError}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object in one version of its API."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """As in ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the path of the collection or of an object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, f"namespaces/{namespace}" if namespace else None, self.plural, name, subresource]
        return "/".join(p for p in parts if p)


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A change, or a bookmark (no change, only the position)."""

    type: str
    object: dict[str, Any]


class Kube:
    """A client. Use ``connect`` to make one, and ``close`` it."""

    def __init__(self, api: Any) -> None:
        self._api = api

    @classmethod
    async def connect(cls, kubeconfig: str | None) -> Kube:
        """Return a client for a kubeconfig file, or for the cluster that this process runs in.

        Raises:
            KubeError: The kubeconfig cannot be used.
        """
        settings = client.Configuration()
        load_file: Any = config.load_kube_config
        load_here: Any = config.load_incluster_config
        try:
            if kubeconfig:
                await load_file(config_file=kubeconfig, client_configuration=settings, persist_config=False)
            else:
                load_here(client_configuration=settings)
        except config.ConfigException as error:
            raise KubeError(0, f"--kubeconfig {kubeconfig or '(in cluster)'}: {error}") from error
        return cls(client.ApiClient(configuration=settings))

    async def close(self) -> None:
        """End all connections."""
        await self._api.close()

    async def list_all(self, kind: Kind) -> tuple[list[dict[str, Any]], str]:
        """Return all objects of a kind, with ``apiVersion`` and ``kind`` set, and the position to watch from."""
        items: list[dict[str, Any]] = []
        query = {"limit": str(_PAGE)}
        while True:
            page = await self._json("GET", kind.path(), query=query)
            type_meta = {"apiVersion": kind.api_version, "kind": kind.kind}
            items += [{**item, **type_meta} for item in page.get("items") or ()]
            position = page["metadata"]["resourceVersion"]
            if not (token := page["metadata"].get("continue")):
                return items, position
            query = {"limit": str(_PAGE), "continue": token}

    async def watch(self, kind: Kind, position: str) -> AsyncIterator[WatchEvent]:
        """Yield changes after a position until the server ends the watch, which it does every few minutes.

        Raises:
            GoneError: The position is too old.
            KubeError: The connection broke.
        """
        query = {
            "watch": "true",
            "resourceVersion": position,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        # No total time; a connection that is dead without notice is found when the watch should have ended.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_WATCH_SECONDS + 30)
        response = await self._request("GET", kind.path(), query=query, timeout=timeout)
        try:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _error(event["object"].get("code", 0), event["object"].get("message", str(event)))
                yield WatchEvent(event["type"], event["object"])
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise KubeError(0, f"watch of {kind.plural} broke: {error!r}") from error
        finally:
            response.close()

    async def apply(self, kind: Kind, manifest: dict[str, Any], *, status: bool = False) -> dict[str, Any]:
        """Apply an object, or its status only, server-side as its owner; return the object.

        With ``metadata.uid``, an object of the same name that was made anew meanwhile is left alone (ConflictError).
        """
        meta = manifest["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        path = kind.path(meta.get("namespace"), meta["name"], "status" if status else None)
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **manifest}
        return await self._json("PATCH", path, query=query, body=body, content_type=_APPLY)

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """Return an object.

        Raises:
            AbsentError: There is none.
        """
        return await self._json("GET", kind.path(namespace, name))

    async def replace(self, kind: Kind, manifest: dict[str, Any], *, status: bool = False) -> dict[str, Any]:
        """Replace an object, or its status only; its ``metadata.resourceVersion`` must be the server's (ConflictError)."""
        meta = manifest["metadata"]
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **manifest}
        path = kind.path(meta.get("namespace"), meta["name"], "status" if status else None)
        return await self._json("PUT", path, body=body)

    async def ask(self, kind: Kind, spec: dict[str, Any]) -> dict[str, Any]:
        """Return the status that the server gives to a review, which it stores nowhere."""
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec}
        found: dict[str, Any] = (await self._json("POST", kind.path(), body=body)).get("status") or {}
        return found

    async def token(self, namespace: str, account: str, audience: str, seconds: int) -> str:
        """Return a new token of a service account (TokenRequest)."""
        accounts = Kind("", "v1", "ServiceAccount", "serviceaccounts")
        spec = {"audiences": [audience], "expirationSeconds": seconds}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        made = await self._json("POST", accounts.path(namespace, account, "token"), body=body)
        return str(made["status"]["token"])

    async def create(self, kind: Kind, manifest: dict[str, Any]) -> bool:
        """Create an object; return False when it exists already."""
        try:
            await self._json("POST", kind.path(manifest["metadata"].get("namespace")), body=manifest)
        except ConflictError:
            return False
        return True

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        response = await self._request(method, path, query=query, body=body, content_type=content_type)
        try:
            found: dict[str, Any] = json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise KubeError(0, f"{method} {path}: {error!r}") from error
        return found

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 - aiohttp's own
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        call = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        limit = timeout or aiohttp.ClientTimeout(total=30)
        try:
            answer = await self._api.call_api(*call, _request_timeout=limit)
            response: aiohttp.ClientResponse = answer.response
            if response.status >= _FIRST_ERROR:
                text = (await response.read()).decode(errors="replace")
                raise _error(response.status, f"{method} {path}: {_message(text)}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubeError(0, f"{method} {path}: {error!r}") from error
        return response


def _error(status: int, message: str) -> KubeError:
    return _ERRORS.get(status, KubeError)(status, message)


def _message(text: str) -> str:
    try:
        return str(json.loads(text).get("message", text))
    except ValueError:
        return text.strip()[:500]
