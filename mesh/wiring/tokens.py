"""Who shows a token: the API server knows (TokenReview), and what it said is remembered for a moment."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from mesh.proxy.callers import RefusedError, bearer_token
from mesh.proxy.identityfiles import AUDIENCE
from mesh.wiring.kinds import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from mesh.wiring.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mesh.wiring.kube import Kube

__all__ = ["Caller", "Tokens", "may_read", "reading_middleware"]

log = logging.getLogger(__name__)
_VALID_SECONDS: Final = 60.0
_INVALID_SECONDS: Final = 5.0
_STALE_SECONDS: Final = 3600.0
"""How long the API server's last word counts while it cannot be asked: an outage of it must not become one of ours."""
_MOST: Final = 20_000
_POD: Final = "authentication.kubernetes.io/pod-name"
_PREFIX: Final = "system:serviceaccount:"
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Caller:
    """Who showed a valid token.

    Attributes:
        user: The user's name.
        uid: The user's uid.
        groups: The user's groups.
        extra: What else the API server knows.
    """

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def pod(self) -> str:
        """``namespace/pod`` that the token was made for; empty where it was made for no pod."""
        namespace, _, account = self.user.removeprefix(_PREFIX).partition(":")
        names = dict(self.extra).get(_POD, ())
        return f"{namespace}/{names[0]}" if self.user.startswith(_PREFIX) and account and names else ""


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller | None
    since: float


class Tokens:
    """Asks the API server about tokens.

    Args:
        kube: The client.
        clock: Monotonic seconds.
        audience: What the tokens must be made for.
    """

    def __init__(self, kube: Kube, *, clock: Callable[[], float], audience: str = AUDIENCE) -> None:
        self._kube = kube
        self._clock = clock
        self._audience = audience
        self._known: dict[bytes, _Known] = {}

    async def caller(self, token: str) -> Caller | None:
        """Return who shows the token; None for one that is not valid.

        Raises:
            KubeError: The API server cannot be asked.
        """
        if not token:
            return None
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        known = self._known.get(digest)
        if known and now - known.since < (_VALID_SECONDS if known.caller else _INVALID_SECONDS):
            return known.caller
        try:
            status = await self._kube.ask(TOKEN_REVIEWS, {"token": token, "audiences": [self._audience]})
        except KubeError as error:
            unreachable = error.status == 0 or error.status >= _SERVER_ERROR
            if unreachable and known and known.caller and now - known.since < _STALE_SECONDS:
                return known.caller
            raise
        caller = _caller(status, self._audience)
        self._remember(digest, _Known(caller, now))
        return caller

    async def admit(self, token: str, proxy: str) -> None:
        """Return when the token was made for the proxy's pod; see ``mesh.proxy.callers.Authenticate``.

        The API server vouches that the pod exists and runs under the token's service account: the token is bound to
        the pod, and no longer valid when it is gone.
        """
        try:
            caller = await self.caller(token)
        except KubeError as error:
            raise RefusedError(f"{proxy}: its token cannot be checked: {error}") from error
        if caller is None:
            shown = "its token is not valid" if token else "it shows no token"
            raise RefusedError(f"{proxy}: {shown}: a sidecar needs the projected token for audience {self._audience}")
        if not caller.pod:
            raise RefusedError(f"{proxy}: the token of {caller.user} was made for no pod", known=True)
        if caller.pod != proxy:
            raise RefusedError(f"{proxy}: the token is that of pod {caller.pod}", known=True)

    def _remember(self, digest: bytes, known: _Known) -> None:
        self._known.pop(digest, None)
        self._known[digest] = known
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]


def _caller(status: Mapping[str, Any], audience: str) -> Caller | None:
    # An API server that knows no audiences answers without them: then the token is not for us.
    if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    extra = tuple(sorted((key, tuple(values)) for key, values in (user.get("extra") or {}).items()))
    return Caller(user.get("username", ""), user.get("uid", ""), tuple(user.get("groups") or ()), extra)


async def may_read(kube: Kube, caller: Caller, path: str) -> bool:
    """Say whether a caller may get a path of ours (SubjectAccessReview on the nonResourceURL).

    Raises:
        KubeError: The API server cannot be asked.
    """
    spec = {
        "user": caller.user,
        "uid": caller.uid,
        "groups": list(caller.groups),
        "extra": {key: list(values) for key, values in caller.extra},
        "nonResourceAttributes": {"path": path, "verb": "get"},
    }
    return bool((await kube.ask(SUBJECT_ACCESS_REVIEWS, spec)).get("allowed"))


def reading_middleware(kube: Kube, tokens: Tokens) -> Any:
    """Return aiohttp middleware that asks for a token on every path under ``/v1/``."""

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.startswith("/v1/"):
            headers = {name.lower(): value for name, value in request.headers.items()}
            try:
                caller = await tokens.caller(bearer_token(headers))
                allowed = caller is not None and await may_read(kube, caller, request.path)
            except KubeError as error:
                raise web.HTTPServiceUnavailable(text=f"the token cannot be checked: {error}\n") from error
            if caller is None:
                raise web.HTTPUnauthorized(
                    text=f"show a service account's token for audience {AUDIENCE} (Authorization: Bearer …)\n",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            if not allowed:
                raise web.HTTPForbidden(
                    text=f"{caller.user} may not get {request.path}: give it a ClusterRole for it\n"
                )
        return await handler(request)

    return check
