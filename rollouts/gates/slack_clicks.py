"""What a click in Slack does: it opens a dialog; the dialog decides at a gate or gives a command. Or nothing, with the reason.

Everything is looked up anew when the dialog comes back: who may, whether the release is still the same, whether that makes
sense now. What is written is written onto the very version that was looked at.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from rollouts.api import names
from rollouts.api.approval import GateDecision, Verdict, Via
from rollouts.gates.decisions import NoRolloutError, asked_of, submit
from rollouts.gates.slack_dialogs import Ask, comment_of, dialog, nothing_done
from rollouts.views.slack_actions import DIALOG, PREFIX, Action, Target, command_value, ending_of, possible
from rollouts.views.slack_text import bold, escape
from rollouts.views.words import unix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from rollouts.api.people import Person
    from rollouts.api.slack import Slack
    from rollouts.core.apiserver import Api
    from rollouts.gates.slack_groups import Groups

__all__ = ["Clicks", "Desk"]

_LOG = logging.getLogger(__name__)
_MERGE: Final = "application/merge-patch+json"
_FIELD_MANAGER: Final = "coalmine-slack"
_TRIES: Final = 8
_MOST_COMMENT_IN_COMMAND: Final = 200
_COMMANDS: Final = {
    Action.PAUSE: names.PAUSE_ANNOTATION,
    Action.RESUME: names.RESUME_ANNOTATION,
    Action.ROLL_BACK: names.ABORT_ANNOTATION,
}
_DONE: Final = {
    Action.PAUSE: "is paused",
    Action.RESUME: "goes on",
    Action.ROLL_BACK: "is taken back",
}


class Desk(Protocol):
    """What is asked of Slack while somebody waits for an answer."""

    async def open_dialog(self, trigger: str, view: Mapping[str, Any]) -> None:
        """Open a dialog for whoever clicked."""

    async def tell(self, channel: str, user: str, text: str) -> None:
        """Tell one person something."""


class _NoError(Exception):
    """It is not done; the words say why."""


class Clicks:
    """Answers clicks. It keeps nothing that matters: every replica may have one."""

    def __init__(
        self,
        desk: Desk,
        groups: Groups,
        kube: Api,
        settings: Slack,
        *,
        people: Sequence[Person] = (),
        namespaces: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Make one.

        Args:
            desk: Slack.
            groups: Who belongs to which user group.
            kube: The API server, with the controller's rights and not only while it leads.
            settings: The configuration.
            people: ``approvals.people`` of the configuration.
            namespaces: Those that the controller watches; none: all.
            clock: Unix seconds.
            sleep: Waits between two tries.
        """
        self._desk = desk
        self._groups = groups
        self._kube = kube
        self._settings = settings
        self._people = people
        self._namespaces = frozenset(namespaces)
        self._clock = clock
        self._sleep = sleep

    async def handle(self, payload: Mapping[str, Any], at: float) -> None:
        """Answer one interaction, whatever it is. It raises nothing: there is nobody who would hear it.

        Args:
            payload: As Slack sends it.
            at: When Slack sent it, Unix seconds: one that is sent again later by somebody else keeps its time.
        """
        try:
            match payload.get("type"):
                case "block_actions":
                    for action in payload.get("actions") or ():
                        if str(action.get("action_id", "")).startswith(PREFIX):
                            await self._clicked(payload, action)
                case "view_submission" if (payload.get("view") or {}).get("callback_id") == DIALOG:
                    await self._confirmed(payload, at)
        except Exception:  # noqa: BLE001 - a payload of Slack's own that was never seen before
            _LOG.exception("an interaction from Slack was not answered")

    async def _clicked(self, payload: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
        user = str(payload["user"]["id"])
        channel = str((payload.get("channel") or {}).get("id") or (payload.get("container") or {}).get("channel_id"))
        try:
            action = Action(str(raw["action_id"]).removeprefix(PREFIX))
            ask = Ask(action, Target.read(raw.get("value")), channel)
        except ValueError as error:
            _LOG.warning("a click of %s is not understood: %s", user, error)
            return

        async def ask_again() -> None:
            rollout = await self._read(ask.target)
            await self._check(ask, rollout, user)
            await self._desk.open_dialog(str(payload.get("trigger_id", "")), dialog(ask, rollout))

        await self._try(ask, user, ask_again)

    async def _confirmed(self, payload: Mapping[str, Any], at: float) -> None:
        user, view = payload["user"], payload["view"]
        try:
            ask = Ask.read(view.get("private_metadata"))
        except ValueError as error:
            _LOG.warning("a dialog of %s is not understood: %s", user.get("id"), error)
            return
        comment = comment_of(view)

        async def act() -> None:
            if ask.action.decides:
                words = await self._decide(ask, str(user["id"]), comment)
            else:
                words = await self._command(ask, user, str(view.get("id", "")), comment, at)
            await self._tell(ask, str(user["id"]), words)

        await self._try(ask, str(user["id"]), act)

    async def _try(self, ask: Ask, user: str, do: Callable[[], Awaitable[None]]) -> None:
        """Do it, or say why not."""
        try:
            await do()
        except _NoError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - they are told, whatever it is
            _LOG.warning("%s of %s/%s by %s: %s", ask.action, ask.target.namespace, ask.target.name, user, error)
            why = f"it could not be done now ({error}); click again, or use the command coalmine"
        else:
            return
        await self._tell(ask, user, nothing_done(ask.target, ask.action, why))

    async def _tell(self, ask: Ask, user: str, words: str) -> None:
        try:
            await self._desk.tell(ask.channel, user, words)
        except Exception as error:  # noqa: BLE001 - Slack may be away; what was done is done
            _LOG.warning("%s is not told %r: %s", user, words, error)

    async def _read(self, target: Target) -> Mapping[str, Any]:
        if self._namespaces and target.namespace not in self._namespaces:
            raise _NoError(f"this controller does not watch namespace {target.namespace}")
        rollout = await self._kube.request("GET", _path(target))
        if rollout is None or rollout["metadata"].get("uid") != target.uid:
            raise _NoError("there is no such Rollout any more")
        return rollout

    async def _check(self, ask: Ask, rollout: Mapping[str, Any], user: str) -> None:
        """Raise the reason why somebody may not do this now.

        Raises:
            _NoError: They may not, or it comes too late.
        """
        status, target = rollout.get("status") or {}, ask.target
        if (entry := ending_of(rollout, target.release)) is not None:
            outcome, ended = entry.get("outcome"), entry.get("endedAt")
            raise _NoError(f"this release is over ({outcome} at {ended})")
        if status.get("startedAt") != target.release:
            raise _NoError("this release is over; another one has begun")
        approval = status.get("approval") or {}
        if ask.action.decides and approval.get("gate") != target.gate:
            raise _NoError("this question is answered, or its step is over")
        if ask.action not in possible(rollout):
            raise _NoError(f"it makes no sense now: the release is {status.get('phase')}: {status.get('message', '')}")
        if not await self._may(ask, rollout, user):
            raise _NoError(
                "this gate does not name you (approvers)"
                if ask.action.decides
                else "you are not among those who may (slack.commands of the controller's configuration)"
            )

    async def _may(self, ask: Ask, rollout: Mapping[str, Any], user: str) -> bool:
        asked = asked_of(rollout)
        approvers = asked.approvers if asked else None
        if ask.action.decides and approvers is not None and not approvers.anybody:
            named, groups = approvers.slack_users, approvers.slack_groups
        else:  # nobody is named: it is left to who may command from here
            named, groups = self._settings.commands.users, self._settings.commands.user_groups
        return user in named or bool(await self._groups.of(user, groups))

    async def _decide(self, ask: Ask, user: str, comment: str) -> str:
        rollout = await self._read(ask.target)
        await self._check(ask, rollout, user)
        asked = asked_of(rollout)
        approvers = asked.approvers if asked else None
        alone = (
            approvers is None or user in approvers.slack_users
        )  # Slack may be away: the groups are of no matter then
        groups = frozenset() if alone or approvers is None else await self._groups.of(user, approvers.slack_groups)
        verdict = Verdict.APPROVE if ask.action is Action.APPROVE else Verdict.REJECT
        decision = GateDecision(
            id=f"slack-{user}-{_digest(ask.target.uid, ask.target.gate, verdict)}",
            gate=ask.target.gate,
            verdict=verdict,
            by=user,
            via=Via.SLACK,
            groups=tuple(sorted(groups)),
            comment=comment,
        )
        try:
            judged = await submit(
                self._kube,
                ask.target.namespace,
                ask.target.name,
                decision,
                people=self._people,
                clock=self._clock,
                sleep=self._sleep,
            )
        except NoRolloutError:
            raise _NoError("there is no such Rollout any more") from None
        if not judged.counted:
            raise _NoError(judged.words)
        done = "approved" if verdict is Verdict.APPROVE else "rejected"
        return f"✔ You {done} {bold(f'{ask.target.namespace}/{ask.target.name}')}: {escape(judged.words)}"

    async def _command(self, ask: Ask, user: Mapping[str, Any], view: str, comment: str, at: float) -> str:
        person, annotation = str(user["id"]), _COMMANDS[ask.action]
        name = str(user.get("username") or user.get("name") or person)
        value = command_value(_stamp(at), name, person, view, comment[:_MOST_COMMENT_IN_COMMAND])
        for attempt in range(_TRIES):
            rollout = await self._read(ask.target)
            _refuse_repeated(rollout["metadata"].get("annotations") or {}, view, at)
            await self._check(ask, rollout, person)
            version = rollout["metadata"]["resourceVersion"]
            try:
                await self._kube.request(
                    "PATCH",
                    _path(ask.target),
                    query={"fieldManager": _FIELD_MANAGER},
                    content_type=_MERGE,
                    body={"metadata": {"resourceVersion": version, "annotations": {annotation: value}}},
                )
            except Exception as error:
                if getattr(error, "status", 0) != HTTPStatus.CONFLICT or attempt == _TRIES - 1:
                    raise
                await self._sleep(0.05 * 2**attempt)
            else:
                break
        return f"✔ {bold(f'{ask.target.namespace}/{ask.target.name}')} {_DONE[ask.action]}"


def _refuse_repeated(annotations: Mapping[str, str], view: str, at: float) -> None:
    """Refuse a dialog that was taken before: its command stands there, or a later one from Slack does.

    Raises:
        _NoError: It is the same again.
    """
    for annotation in _COMMANDS.values():
        written = str(annotations.get(annotation, ""))
        if f"in Slack ({view})" in written:
            raise _NoError("this click was taken already")
        if " in Slack (" in written and (unix(written.partition(" ")[0]) or 0.0) > at:
            raise _NoError("something else was done from Slack after this click")


def _path(target: Target) -> str:
    return f"/apis/{names.GROUP}/{names.VERSION}/namespaces/{target.namespace}/{names.PLURAL}/{target.name}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _stamp(now: float) -> str:
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
