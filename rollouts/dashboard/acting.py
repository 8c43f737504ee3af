"""What people do from the pages: as themselves, with their own token, so that the API server judges and records the person."""

from __future__ import annotations

import datetime as dt
import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import GROUP, PLURAL, VERSION
from rollouts.dashboard.commands import COMMANDS, patch_of, refusal, verbs_of
from rollouts.dashboard.errors import ApiError
from rollouts.dashboard.people import NoTokenError
from rollouts.engine.kube import MERGE, KubeError, object_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollouts.dashboard.people import People, Person
    from rollouts.engine.cache import Key
    from rollouts.engine.kube import Kube

__all__ = ["FIELD_MANAGER", "Actions", "read_comment"]

_LOG = logging.getLogger(__name__)
FIELD_MANAGER: Final = "coalmine-dashboard"
_MOST_COMMENT: Final = 500
_EVENTS: Final = "events.k8s.io/v1"
_INVALID: Final = frozenset({400, 422})
_OBTAIN: Final = "get one of your own: kubectl create token SERVICEACCOUNT -n NAMESPACE, or what your kubeconfig's exec plugin prints"
_GRANT: Final = "a Role with verbs {verbs} on {plural}.{group} in namespace {namespace}, bound to {user}"


def read_comment(body: bytes, content_type: str) -> str:
    """Return an action's comment.

    Args:
        body: The request's.
        content_type: Its media type; anything but JSON could come from a form of somebody else's page.

    Raises:
        ApiError: It is no JSON of this form.
    """
    if content_type != "application/json":
        raise ApiError(415, f"Content-Type {content_type} is not taken", "send application/json")
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError(400, f"the body is no JSON: {error}", 'send {"comment": "why"} or {}') from None
    comment = parsed.get("comment", "") if isinstance(parsed, dict) and not parsed.keys() - {"comment"} else None
    if not isinstance(comment, str) or len(comment) > _MOST_COMMENT:
        raise ApiError(
            400,
            f"the body is no object with at most comment, a text of up to {_MOST_COMMENT} characters",
            'send {"comment": "why"} or {}',
        )
    return comment.strip()


class Actions:
    """Gives commands in people's names."""

    def __init__(self, kube: Kube, people: People, *, instance: str, clock: Callable[[], float]) -> None:
        """Make one.

        Args:
            kube: The controller's connection: Events are posted with it, and nothing else.
            people: Knows who shows a token.
            instance: This process's name, for Events.
            clock: Unix seconds.
        """
        self._kube, self._people, self._instance, self._clock = kube, people, instance, clock

    async def give(self, key: Key, command: str, token: str, comment: str) -> dict[str, Any]:
        """Give a command.

        Args:
            key: To which Rollout.
            command: One of ``COMMANDS``.
            token: Whose.
            comment: Why.

        Raises:
            ApiError: It was not given; says why and what to do.
        """
        namespace, name = key
        if command not in COMMANDS:
            raise ApiError(404, f"there is no action {command}", f"use one of {', '.join(COMMANDS)}")
        try:
            person = await self._people.person(token, fresh=True)
            await self._may(person, key, "patch")
            rollout = await self._rollout(key)
            for verb in verbs_of(rollout, command)[1:]:
                await self._may(person, key, verb)
            if reason := refusal(rollout, command):
                raise ApiError(409, f"{name} cannot be told to {command} now: {reason}", "look at it again")
            async with self._kube.acting(token) as theirs:
                patched = await theirs.request(
                    "PATCH",
                    _path(key),
                    body=patch_of(command, uuid.uuid4().hex, comment),
                    content_type=MERGE,
                    query={"fieldManager": FIELD_MANAGER},
                )
        except NoTokenError as error:
            raise ApiError(401, str(error), _OBTAIN) from None
        except KubeError as error:
            raise _refused(error, key) from None
        except (OSError, TimeoutError) as error:
            raise ApiError(
                503, f"the API server does not answer: {error or type(error).__name__}", "try again"
            ) from None
        if patched is None:
            raise ApiError(404, f"there is no Rollout {name} in namespace {namespace}")
        await self._audit(rollout, command, person, comment)
        return {"action": command, "namespace": namespace, "name": name, "user": person.name, "at": self._clock()}

    async def _may(self, person: Person, key: Key, verb: str) -> None:
        answer = await self._people.may(person, verb, *key, fresh=True)
        if not answer.allowed:
            fix = _GRANT.format(verbs=verb, plural=PLURAL, group=GROUP, namespace=key[0], user=person.name)
            raise ApiError(403, answer.reason, f"give it {fix}")

    async def _rollout(self, key: Key) -> Mapping[str, Any]:
        rollout = await self._kube.request("GET", _path(key))
        if rollout is None:
            raise ApiError(404, f"there is no Rollout {key[1]} in namespace {key[0]}")
        return rollout

    async def _audit(self, rollout: Mapping[str, Any], command: str, person: Person, comment: str) -> None:
        """Record who did what; the API server's own audit log has it as well."""
        metadata = rollout["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        words = f"{person.name} said {command} in the dashboard" + (f": {comment}" if comment else "")
        _LOG.info("%s/%s: %s", namespace, name, words)
        moment = dt.datetime.fromtimestamp(self._clock(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        event = {
            "apiVersion": _EVENTS,
            "kind": "Event",
            "metadata": {"name": f"{name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "eventTime": moment,
            "reportingController": f"{GROUP}/dashboard",
            "reportingInstance": self._instance,
            "action": COMMANDS[command].label.replace(" ", ""),
            "reason": "DashboardAction",
            "type": "Normal",
            "note": words[:1000],
            "regarding": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": "Rollout",
                "name": name,
                "namespace": namespace,
                "uid": metadata["uid"],
            },
        }
        try:
            await self._kube.request("POST", object_path(_EVENTS, "Event", namespace), body=event)
        except (KubeError, OSError, TimeoutError) as error:
            _LOG.warning("%s/%s: the Event of it could not be posted: %s", namespace, name, error)


def _path(key: Key) -> str:
    return object_path(f"{GROUP}/{VERSION}", "Rollout", *key)


def _refused(error: KubeError, key: Key) -> ApiError:
    if error.status in {401, 403}:
        return ApiError(error.status, str(error), _OBTAIN if error.status == 401 else "ask whoever gives out roles")  # noqa: PLR2004
    if error.status == 404:  # noqa: PLR2004
        return ApiError(404, f"there is no Rollout {key[1]} in namespace {key[0]}")
    if error.status in _INVALID:
        return ApiError(422, str(error), "the API server's admission has the last word")
    if error.status == 409:  # noqa: PLR2004
        return ApiError(409, str(error), "try again")
    return ApiError(503, f"the API server does not answer: {error}", "try again")
