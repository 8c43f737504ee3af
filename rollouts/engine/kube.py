"""The one door to the Kubernetes API for writes and single reads; watching is kopf's part (``rollouts.handlers``)."""

from __future__ import annotations

import json
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from kubernetes.aio import client, config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

__all__ = [
    "APPLY", "MERGE", "STRATEGIC", "ConflictError", "Kube", "KubeError", "NotLeaderError", "connect", "object_path",
]  # fmt: skip

_LOG = logging.getLogger(__name__)
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
_TIMEOUT_SECONDS: Final = 30.0
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_ERRORS_FROM: Final = 400


class KubeError(Exception):
    """The API server refused a request.

    Attributes:
        status: HTTP status.
        reason: The API server's reason, e.g. ``Forbidden``.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ConflictError(KubeError):
    """The object changed since it was seen, or exists already: look again."""


class NotLeaderError(KubeError):
    """Another replica may lead by now: nothing was sent."""


class Kube:
    """A connection to the API server that speaks plain JSON objects."""

    def __init__(
        self,
        api: client.ApiClient,
        left: Callable[[], float] | None = None,
        answered: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self._api = api
        self._left = left
        self._answered = answered

    def guarded(self, left: Callable[[], float]) -> Kube:
        """Return the same connection for one who writes only while it leads.

        Args:
            left: For how many more seconds it surely does.
        """
        return Kube(self._api, left, self._answered)

    @asynccontextmanager
    async def acting(self, token: str) -> AsyncIterator[Kube]:
        """Connect to the same API server as whoever a bearer token belongs to, and as nobody else.

        Args:
            token: Somebody's; the API server's authorization, admission and audit see that user.
        """
        ours = self._api.configuration
        theirs = client.Configuration(host=ours.host, api_key={"BearerToken": f"Bearer {token}"})
        # Not the client certificate: it would be us who asks.
        for name in ("ssl_ca_cert", "ca_cert_data", "verify_ssl", "tls_server_name", "proxy", "proxy_headers"):
            setattr(theirs, name, getattr(ours, name))
        async with client.ApiClient(theirs) as api:
            yield Kube(api)

    def _patience(self, method: str) -> float:
        """Return how long a request may take: a write no longer than the lease surely holds."""
        if method == "GET" or self._left is None:
            return _TIMEOUT_SECONDS
        if (left := self._left()) <= 0:
            raise NotLeaderError(0, "NotLeader", f"{method}: this controller does not lead (any more)")
        return min(_TIMEOUT_SECONDS, left)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any] | None:
        """Return the answer; None when there is nothing at the path.

        Raises:
            NotLeaderError: It would be a write of one who does not lead.
            ConflictError: Status 409.
            KubeError: Any other refusal.
        """
        _, url, headers, sent, post = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        patience = self._patience(method)
        if method != "GET":
            _LOG.debug("%s %s", method, path)
        code, began = 0, time.monotonic()
        try:
            answer = await self._api.call_api(method, url, headers, sent, post, _request_timeout=patience)
            code = int(answer.status)
            data = await answer.read()  # type: ignore[no-untyped-call]
        except client.ApiException as error:
            code = int(error.status or 0)
            raise _refusal(code, str(error.body or error.reason)) from None
        finally:
            if self._answered is not None:
                self._answered(method, code, time.monotonic() - began)
        if answer.status == _NOT_FOUND:
            return None
        if answer.status >= _ERRORS_FROM:
            raise _refusal(answer.status, data.decode(errors="replace"))
        return json.loads(data) if data else {}


def _refusal(status: int, body: str) -> KubeError:
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = {}
    details = parsed if isinstance(parsed, dict) else {}
    kind = ConflictError if status == _CONFLICT else KubeError
    return kind(status, str(details.get("reason", "")), str(details.get("message", body)))


@asynccontextmanager
async def connect(
    kubeconfig: Path | None, answered: Callable[[str, int, float], None] | None = None
) -> AsyncIterator[Kube]:
    """Connect with a kubeconfig file, or inside a pod with its service account.

    Args:
        kubeconfig: None in a pod.
        answered: Told of each request: its verb, the answer's code (0 where none came), and the seconds it took.
    """
    configuration = client.Configuration()
    if kubeconfig is None:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig), client_configuration=configuration, persist_config=False
        )
    async with client.ApiClient(configuration) as api:
        yield Kube(api, answered=answered)


_PLURALS: Final = {
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "Service": "services",
    "Pod": "pods",
    "Rollout": "rollouts",
    "TrafficSplit": "trafficsplits",
    "Event": "events",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Lease": "leases",
}


def object_path(api_version: str, kind: str, namespace: str, name: str = "") -> str:
    """Return the path of an object, or without ``name`` of its collection."""
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    path = f"{root}/namespaces/{namespace}/{_PLURALS[kind]}"
    return f"{path}/{name}" if name else path
