"""The hold as a webhook, for API servers that have no MutatingAdmissionPolicy. The logic is ``rollouts.api.admission.review``."""

from __future__ import annotations

import base64
import json
import logging
import ssl
from typing import TYPE_CHECKING, Any

from aiohttp import web

from rollouts.api.admission import HOLD_PATH, review
from rollouts.api.author import AUTHOR_PATH, stamp_author
from rollouts.api.floors import AUTOSCALERS, FLOOR_PATH, floor_patch
from rollouts.api.stamps import APPROVALS_PATH, stamp_decision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    Review = Callable[[Mapping[str, Any]], list[dict[str, Any]]]

__all__ = ["answer", "make_app", "serve_hold"]

_LOG = logging.getLogger(__name__)


def answer(admission_review: dict[str, Any], judge: Review = review) -> dict[str, Any]:
    """Return the answer to an AdmissionReview (v1).

    What we cannot judge is refused with the reason: the hold fails closed.

    Args:
        admission_review: The question.
        judge: Returns the JSON patch for its ``request``.

    Raises:
        KeyError: It is not an AdmissionReview with a request.
    """
    request = admission_review["request"]
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    try:
        patch = judge(request)
    except (ValueError, KeyError, TypeError) as error:
        _LOG.warning("refused an admission request: %s", error)
        response |= {"allowed": False, "status": {"code": 400, "message": f"coalmine: {error}"}}
    else:
        if patch:
            encoded = base64.b64encode(json.dumps(patch).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": encoded}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def _floor(floors: Callable[[str, str], int], autoscalers: Sequence[str]) -> Review:
    def judge(request: Mapping[str, Any]) -> list[dict[str, Any]]:
        if request["userInfo"]["username"] not in autoscalers:
            return []
        return floor_patch(request, floors(request["namespace"], request["name"]))

    return judge


def make_app(
    floors: Callable[[str, str], int] = lambda _namespace, _name: 0, autoscalers: Sequence[str] = AUTOSCALERS
) -> web.Application:
    """Return the application; the API server posts its questions to ``HOLD_PATH``, ``FLOOR_PATH`` and so on.

    Args:
        floors: Says below how many replicas a Deployment (namespace, name) must not go.
        autoscalers: Users whom that concerns.
    """

    def asks(judge: Review) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                return web.json_response(answer(await request.json(), judge))
            except (ValueError, KeyError, TypeError) as error:
                raise web.HTTPBadRequest(text=f"the body is not an AdmissionReview: {error!r}") from error

        return handle

    # A Deployment may be as large as an etcd entry (1.5 MiB), and a review holds the old and the new one.
    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_post(HOLD_PATH, asks(review))
    app.router.add_post(FLOOR_PATH, asks(_floor(floors, autoscalers)))
    app.router.add_post(APPROVALS_PATH, asks(stamp_decision))
    app.router.add_post(AUTHOR_PATH, asks(stamp_author))
    return app


async def serve_hold(address: str, cert: Path, key: Path, app: web.Application | None = None) -> web.AppRunner:
    """Serve the webhook over TLS.

    Args:
        address: ``HOST:PORT``; port 0 takes a free one (``runner.addresses`` says which).
        cert: The server's certificate chain, PEM.
        key: Its key, PEM.
        app: What ``make_app`` returned; by default one that knows no floors.

    Returns:
        The running server; ``await runner.cleanup()`` ends it.

    Raises:
        ValueError: The address has no port.
        OSError: The address is taken, or the certificate cannot be read.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        msg = f"--webhook-address {address!r} is not HOST:PORT: write it like 127.0.0.1:9443"
        raise ValueError(msg)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    runner = web.AppRunner(app or make_app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=context).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
