"""What holds for every answer: headers that keep a page to itself, the host that was asked for, errors as JSON."""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from rollouts.dashboard.errors import ApiError, error_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["HEADERS", "guard", "host_is_ours"]

_LOG = logging.getLogger(__name__)
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_LOCAL: Final = (".svc", ".svc.cluster.local", ".localhost")


def host_is_ours(host: str, hosts: Sequence[str]) -> bool:
    """Say whether a Host header is a name of ours.

    A page of somebody else's could make its own name lead to our address (DNS rebinding) and then read what people may
    read without a token; its name would be in this header. An address cannot be made to lead elsewhere.

    Args:
        host: The header.
        hosts: Names from the configuration.
    """
    name = host.lower()
    if name.startswith("["):
        name = name.partition("]")[0].removeprefix("[")
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    name = name.rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return True
    if name == "localhost" or name.endswith(_LOCAL):
        return True
    return any(name == known or (known.startswith("*.") and name.endswith(known[1:])) for known in hosts)


def _elsewhere(host: str) -> ApiError:
    return ApiError(
        web.HTTPMisdirectedRequest.status_code,
        f"{host} is not a name of this dashboard",
        "add it to dashboard.hosts in the controller's configuration, or use the address",
    )


def guard(hosts: Sequence[str], *, tls: bool) -> Any:
    """Return aiohttp middleware for the dashboard's own pages; sub-applications are left alone but for the headers.

    Args:
        hosts: Names from the configuration.
        tls: Whether the pages are served over TLS.
    """
    headers = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if tls else {})

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if len(request.match_info.apps) > 1:
                return await handler(request)
            ours = host_is_ours(request.host, hosts)
            response = await handler(request) if ours else error_answer(_elsewhere(request.host))
        except ApiError as error:
            response = error_answer(error)
        except web.HTTPException as error:
            if not request.path.startswith("/api/"):
                raise
            response = error_answer(ApiError(error.status, error.text or error.reason))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - people get an answer in any case
            _LOG.exception("%s %s", request.method, request.path)
            response = error_answer(ApiError(500, "this is a defect of the controller: its log has more"))
        if not response.prepared:
            response.headers.update(headers)
        return response

    return check
