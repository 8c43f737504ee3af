"""How the controller's own surfaces (Slack, signed calls) hand in what somebody decided. Works on every replica.

They have to know for sure who it is. What a gate asks (approvers, distinct people, until when) is judged here from the
Rollout as it is stored, and once more by the controller that leads; both use ``rollouts.core.approvals.judge``.

A gate that names no approvers leaves it to the surface who may use it: each asks its own configuration first.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from rollouts.api.approval import ApprovalStatus
from rollouts.api.names import DECISIONS_ANNOTATION, GROUP, PLURAL, VERSION
from rollouts.core.approvals import judge, read_decisions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from rollouts.api.approval import GateDecision
    from rollouts.api.people import Person
    from rollouts.core.apiserver import Api
    from rollouts.core.approvals import Judged

__all__ = ["NoRolloutError", "asked_of", "submit"]

_TRIES: Final = 8
_MERGE: Final = "application/merge-patch+json"
_FIELD_MANAGER: Final = "coalmine-decisions"


class NoRolloutError(LookupError):
    """There is no such Rollout."""


def asked_of(rollout: Mapping[str, Any]) -> ApprovalStatus | None:
    """Return what a Rollout asks people now, from its stored JSON; None when it asks nothing."""
    raw = (rollout.get("status") or {}).get("approval")
    if not raw:
        return None
    try:
        return ApprovalStatus.model_validate({k: v for k, v in raw.items() if k in _FIELDS})
    except ValidationError:
        return None  # of another version of the controller: nobody can tell what it asks


async def submit(
    kube: Api,
    namespace: str,
    name: str,
    decision: GateDecision,
    *,
    people: Sequence[Person] = (),
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Judged:
    """Hand in a decision; handing it in again changes nothing.

    Args:
        kube: The API server, with the controller's rights and not only while it leads.
        namespace: The Rollout's.
        name: The Rollout's.
        decision: Who decided what; without a time (``at``) it is now.
        people: ``approvals.people`` of the controller's configuration.
        clock: Unix seconds.
        sleep: Waits between two tries.

    Returns:
        Whether it counts, and what follows, or why it does nothing; in words for whoever decided. Only what counts is
        written.

    Raises:
        NoRolloutError: There is none of that name.
        Exception: Whatever ``kube`` raises when the API server refuses or cannot be reached; try again.
    """
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}"
    now = clock()
    if not decision.at:
        decision = decision.model_copy(update={"at": _stamp(now)})
    for attempt in range(_TRIES):
        rollout = await kube.request("GET", path)
        if rollout is None:
            raise NoRolloutError(f"there is no Rollout {name} in namespace {namespace}")
        asked, written = asked_of(rollout), _written(rollout)
        if asked is not None:
            # What was handed in a moment ago, and the controller has not looked at yet.
            asked = _with(asked, [d for d in written if d.gate == asked.gate], people, now)
        judged = judge(asked, decision, people, now)
        if not judged.counted:
            return judged
        kept = [d for d in written if d.gate == decision.gate]
        try:
            await kube.request(
                "PATCH",
                path,
                query={"fieldManager": _FIELD_MANAGER},
                content_type=_MERGE,
                body=_patch(rollout, [*kept, decision]),
            )
        except Exception as error:
            if getattr(error, "status", 0) != HTTPStatus.CONFLICT or attempt == _TRIES - 1:
                raise
            await sleep(0.05 * 2**attempt)
        else:
            return judged
    raise AssertionError("the last try returns or raises")


_FIELDS: Final = frozenset(f.alias or name for name, f in ApprovalStatus.model_fields.items())


def _written(rollout: Mapping[str, Any]) -> tuple[GateDecision, ...]:
    return read_decisions((rollout["metadata"].get("annotations") or {}).get(DECISIONS_ANNOTATION))


def _with(
    asked: ApprovalStatus, written: Sequence[GateDecision], people: Sequence[Person], now: float
) -> ApprovalStatus:
    for decision in written:
        if judge(asked, decision, people, now).counted:
            asked = asked.model_copy(update={"decisions": (*asked.decisions, decision)})
    return asked


def _patch(rollout: Mapping[str, Any], decisions: Sequence[GateDecision]) -> dict[str, Any]:
    text = json.dumps([d.dump() for d in decisions], separators=(",", ":"), ensure_ascii=False)
    version = rollout["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version, "annotations": {DECISIONS_ANNOTATION: text}}}


def _stamp(now: float) -> str:
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
