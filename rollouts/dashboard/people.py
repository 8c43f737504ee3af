"""Who shows a token, and what that user may do: the API server knows (TokenReview, SubjectAccessReview)."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import GROUP, PLURAL
from rollouts.engine.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollouts.engine.kube import Kube

__all__ = ["Answer", "NoTokenError", "People", "Person"]

_TOKEN_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_REMEMBERED: Final = 30.0
_REFUSED: Final = 5.0
_MOST_REMEMBERED: Final = 1000
_AT_ONCE: Final = 8
_LONGEST: Final = 16_384


class NoTokenError(Exception):
    """Nobody showed a token that the API server knows."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever a token belongs to."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether somebody may do something, and why not."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    value: Any
    until: float


class People:
    """Asks the API server, a few questions at once."""

    def __init__(self, kube: Kube, *, clock: Callable[[], float]) -> None:
        """Make one.

        Args:
            kube: Asks as the controller.
            clock: Monotonic seconds.
        """
        self._kube, self._clock = kube, clock
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._known: dict[bytes, _Known] = {}

    async def person(self, token: str, *, fresh: bool = False) -> Person:
        """Return who shows a token.

        Args:
            token: What was shown; empty for none.
            fresh: Whether the API server is asked in any case, as before an action.

        Raises:
            NoTokenError: There is none, or it is not valid.
            KubeError: The API server cannot be asked.
        """
        if not token:
            raise NoTokenError("this needs a Kubernetes token (Authorization: Bearer …)")
        if len(token) > _LONGEST or not token.isascii() or not token.isprintable():
            raise NoTokenError("what was shown is no Kubernetes token")
        digest = b"token" + hashlib.sha256(token.encode()).digest()
        person = None if fresh else self._remembered(digest)
        if person is None:
            status = await self._ask(_TOKEN_REVIEWS, "authentication.k8s.io/v1", "TokenReview", {"token": token})
            user = status.get("user") or {}
            person = (
                Person(
                    name=user.get("username", ""),
                    uid=user.get("uid", ""),
                    groups=tuple(user.get("groups") or ()),
                    extra=tuple((k, tuple(v)) for k, v in sorted((user.get("extra") or {}).items())),
                )
                if status.get("authenticated")
                else ""
            )
            self._remember(digest, person, _REMEMBERED if person else _REFUSED)
        if not isinstance(person, Person):
            raise NoTokenError("the API server does not know this token: it is wrong, too old, or of another cluster")
        return person

    async def may(self, person: Person, verb: str, namespace: str, name: str = "", *, fresh: bool = False) -> Answer:
        """Say whether somebody may do something to Rollouts.

        Args:
            person: Who.
            verb: E.g. ``patch``.
            namespace: Where; empty for everywhere.
            name: Of the Rollout; empty for all.
            fresh: Whether the API server is asked in any case.

        Raises:
            KubeError: The API server cannot be asked.
        """
        digest = repr((person, verb, namespace, name)).encode()
        if not fresh and isinstance(known := self._remembered(digest), Answer):
            return known
        spec = {
            "user": person.name,
            "uid": person.uid,
            "groups": list(person.groups),
            "extra": {key: list(values) for key, values in person.extra},
            "resourceAttributes": {
                "group": GROUP,
                "resource": PLURAL,
                "verb": verb,
                **({"namespace": namespace} if namespace else {}),
                **({"name": name} if name else {}),
            },
        }
        status = await self._ask(_ACCESS_REVIEWS, "authorization.k8s.io/v1", "SubjectAccessReview", spec)
        allowed = bool(status.get("allowed"))
        where = f"in namespace {namespace}" if namespace else "in the whole cluster"
        why = f"{person.name} may not {verb} {PLURAL}.{GROUP}{f' {name}' if name else ''} {where}"
        answer = Answer(allowed, "" if allowed else why)
        self._remember(digest, answer, _REMEMBERED if allowed else _REFUSED)
        return answer

    async def _ask(self, path: str, api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        async with self._slots:
            answer = await self._kube.request(
                "POST", path, body={"apiVersion": api_version, "kind": kind, "metadata": {}, "spec": spec}
            )
        if answer is None:
            raise KubeError(404, "NotFound", f"the API server has no {kind}")
        status: dict[str, Any] = answer.get("status") or {}
        return status

    def _remembered(self, digest: bytes) -> Any:
        known = self._known.get(digest)
        return known.value if known is not None and self._clock() < known.until else None

    def _remember(self, digest: bytes, value: Any, seconds: float) -> None:
        self._known.pop(digest, None)
        self._known[digest] = _Known(value, self._clock() + seconds)
        while len(self._known) > _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
