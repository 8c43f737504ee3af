"""The hold as a webhook, for API servers that have no MutatingAdmissionPolicy. The logic is ``rollouts.api.admission.review``."""

from __future__ import annotations

import base64
import json
import logging
import ssl
from typing import TYPE_CHECKING, Any

from aiohttp import web

from rollouts.api.admission import HOLD_PATH, review

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["answer", "make_app", "serve_hold"]

_LOG = logging.getLogger(__name__)


def answer(admission_review: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to an AdmissionReview (v1).

    What we cannot judge is refused with the reason: the hold fails closed.

    Raises:
        KeyError: It is not an AdmissionReview with a request.
    """
    request = admission_review["request"]
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    try:
        patch = review(request)
    except (ValueError, KeyError, TypeError) as error:
        _LOG.warning("refused an admission request: %s", error)
        response |= {"allowed": False, "status": {"code": 400, "message": f"coalmine: {error}"}}
    else:
        if patch:
            encoded = base64.b64encode(json.dumps(patch).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": encoded}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


async def _hold(request: web.Request) -> web.Response:
    try:
        return web.json_response(answer(await request.json()))
    except (ValueError, KeyError, TypeError) as error:
        raise web.HTTPBadRequest(text=f"the body is not an AdmissionReview: {error!r}") from error


def make_app() -> web.Application:
    """Return the application; the API server posts its questions to ``HOLD_PATH``."""
    # A Deployment may be as large as an etcd entry (1.5 MiB), and a review holds the old and the new one.
    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_post(HOLD_PATH, _hold)
    return app


async def serve_hold(address: str, cert: Path, key: Path) -> web.AppRunner:
    """Serve the webhook over TLS.

    Args:
        address: ``HOST:PORT``; port 0 takes a free one (``runner.addresses`` says which).
        cert: The server's certificate chain, PEM.
        key: Its key, PEM.

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
    runner = web.AppRunner(make_app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=context).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
