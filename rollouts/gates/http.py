"""Decisions by signed calls: ``POST /approvals/{namespace}/{name}``, for programs such as a change-management system.

The signature is that of standardwebhooks.com, as hooks send it: headers ``webhook-id``, ``webhook-timestamp``,
``webhook-signature``. Whose key it is says who decides. The body names the gate (``status.approval.gate``), so that a call
which comes again or late answers nothing else.

==========  ==================================================================================
status      meaning
==========  ==================================================================================
200         counted (``Counted``), or it was before (``Double``)
400         the body or a header is wrong; nothing was looked at
401         no configured key made the signature, or the time is too far away
403         the key may not decide there, or the gate does not name it (``Forbidden``)
404         there is no such Rollout
409         the gate is not asked any more (``Stale``), or its time is over (``Late``)
503         the API server cannot be reached now; the same call may be sent again
==========  ==================================================================================
"""

from __future__ import annotations

import hmac
import logging
import re
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from aiohttp import web
from pydantic import Field, ValidationError

from analysis.providers.base import ConfigurationError
from crds.base import Resource
from rollouts.api.approval import MOST_COMMENT, GateDecision, Verdict, Via
from rollouts.core.approvals import Answer
from rollouts.gates.decisions import NoRolloutError, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollouts.api.people import Approvals, Caller
    from rollouts.core.apiserver import Api

    Sign = Callable[[str, str, int, bytes, str], str]

__all__ = ["TOLERANCE_SECONDS", "Call", "make_app"]

_LOG = logging.getLogger(__name__)
TOLERANCE_SECONDS: Final = 300
"""A call may be this old, or this far in the future."""
_LARGEST: Final = 16 * 1024
_ID: Final = re.compile(r"[!-~]{1,128}")
_STATUS: Final = {
    Answer.COUNTED: HTTPStatus.OK,
    Answer.DOUBLE: HTTPStatus.OK,
    Answer.LATE: HTTPStatus.CONFLICT,
    Answer.STALE: HTTPStatus.CONFLICT,
    Answer.FORBIDDEN: HTTPStatus.FORBIDDEN,
}


class Call(Resource):
    """The body of a call."""

    gate: Annotated[str, Field(min_length=1, max_length=256)]
    verdict: Verdict
    comment: Annotated[str, Field(max_length=MOST_COMMENT)] = ""


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


def make_app(kube: Api, approvals: Approvals, sign: Sign, *, clock: Callable[[], float] = time.time) -> web.Application:
    """Return the application of ``/approvals``; it works on every replica.

    Args:
        kube: The API server, not only while this replica leads.
        approvals: The controller's configuration of them.
        sign: Returns the signature of secret, id, timestamp and body; the last argument names the setting for errors.
        clock: Unix seconds.
    """

    async def decide(request: web.Request) -> web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        body = await request.read()
        try:
            caller, key = _caller(request, body, approvals.callers, sign, clock())
            call = _call(caller, namespace, body)
        except _RefusedError as refused:
            _LOG.warning("a call to %s from %s was refused: %s", request.path, request.remote, refused)
            return web.json_response({"error": str(refused)}, status=refused.status)
        decision = GateDecision(
            id=f"http:{caller.name}:{key}"[:256],
            gate=call.gate,
            verdict=call.verdict,
            by=caller.name,
            via=Via.HTTP,
            comment=call.comment,
        )
        try:
            judged = await submit(kube, namespace, name, decision, people=approvals.people, clock=clock)
        except NoRolloutError as error:
            return web.json_response({"error": str(error)}, status=HTTPStatus.NOT_FOUND)
        except Exception:  # noqa: BLE001 - the API server, or the way there
            _LOG.exception("what caller %s decided about %s/%s could not be stored", caller.name, namespace, name)
            words = "it could not be stored now: send the same call again"
            return web.json_response({"error": words}, status=HTTPStatus.SERVICE_UNAVAILABLE)
        _LOG.info("caller %s, %s of %s/%s: %s", caller.name, call.verdict, namespace, name, judged.words)
        return web.json_response({"answer": judged.answer, "words": judged.words}, status=_STATUS[judged.answer])

    app = web.Application(client_max_size=_LARGEST)
    app.router.add_post("/{namespace}/{name}", decide)
    return app


def _caller(request: web.Request, body: bytes, callers: Sequence[Caller], sign: Sign, now: float) -> tuple[Caller, str]:
    """Return whose key signed a call, and the call's id."""
    key, said = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(key) or not (said.isascii() and said.isdigit()):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "webhook-id or webhook-timestamp is missing or wrong")
    if abs(now - int(said)) > TOLERANCE_SECONDS:
        words = f"webhook-timestamp is more than {TOLERANCE_SECONDS} s away from this clock"
        raise _RefusedError(HTTPStatus.UNAUTHORIZED, words)
    given = [one.encode() for one in request.headers.get("webhook-signature", "").split()]
    for caller in callers:
        try:
            secret = Path(caller.secret_file).read_text().strip()
            wanted = sign(secret, key, int(said), body, "approvals.callers").encode()
        except (OSError, ValueError, ConfigurationError) as error:
            _LOG.warning("approvals.callers: the key of %s cannot be used: %s", caller.name, error)
            continue
        if any(hmac.compare_digest(wanted, one) for one in given):
            return caller, key
    raise _RefusedError(HTTPStatus.UNAUTHORIZED, "webhook-signature is not that of any key in approvals.callers")


def _call(caller: Caller, namespace: str, body: bytes) -> Call:
    if caller.namespaces and namespace not in caller.namespaces:
        raise _RefusedError(HTTPStatus.FORBIDDEN, f"caller {caller.name} may not decide in namespace {namespace}")
    try:
        return Call.model_validate_json(body)
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors())
        raise _RefusedError(HTTPStatus.BAD_REQUEST, words) from None
