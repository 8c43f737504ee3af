"""The frontend: one call to the payment service for each request, whose status and version it passes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from serving import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAYMENT_URL = os.environ.get("PAYMENT_URL", "http://payment/charge")
PROXY = os.environ.get("http_proxy")
PASSED_ON = ("x-payment-version", "x-shop-fault")
CLIENT = web.AppKey("client", aiohttp.ClientSession)


async def _client(app: web.Application) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=300)
    timeout = aiohttp.ClientTimeout(total=8)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        app[CLIENT] = session
        yield


async def home(request: web.Request) -> web.Response:
    """Sell something."""
    try:
        async with request.app[CLIENT].get(PAYMENT_URL, proxy=PROXY) as answer:
            body = await answer.read()
            headers = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
            return web.Response(body=body, status=answer.status, headers=headers, content_type="application/json")
    except (aiohttp.ClientError, TimeoutError) as error:
        return web.json_response({"error": f"frontend to payment: {error!r}"}, status=502)


if __name__ == "__main__":
    application = web.Application()
    application.cleanup_ctx.append(_client)
    application.router.add_get("/", home)
    serve(application, 8080)
