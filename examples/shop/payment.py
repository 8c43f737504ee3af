"""The payment service: takes about LATENCY_MS for a charge, and fails a share ERROR_RATE of them on purpose.

An injected failure carries ``x-shop-fault: injected``, so that a failure without it is somebody else's fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
from pathlib import Path

from aiohttp import web
from serving import serve

VERSION = os.environ.get("VERSION", "dev")
LATENCY_MS = float(os.environ.get("LATENCY_MS", "20"))
LATENCY_SPREAD = float(os.environ.get("LATENCY_SPREAD", "0.2"))
"""Standard deviation of the logarithm of the handler's time: 0.2 puts the 99th percentile at 1.6 × the median."""
ERROR_RATE = float(os.environ.get("ERROR_RATE", "0"))
ERROR_RATE_FILE = os.environ.get("ERROR_RATE_FILE", "")
"""A file that says the share in place of ERROR_RATE while it is there: for a version that breaks later, when one likes."""


def error_rate() -> float:
    """Return the share of charges that fail now."""
    with contextlib.suppress(OSError, ValueError):
        return float(Path(ERROR_RATE_FILE).read_text(encoding="utf-8"))
    return ERROR_RATE


async def charge(_: web.Request) -> web.Response:
    """Charge a card that does not exist."""
    await asyncio.sleep(random.lognormvariate(math.log(LATENCY_MS / 1000), LATENCY_SPREAD))
    headers = {"x-payment-version": VERSION}
    if random.random() < error_rate():
        return web.json_response(
            {"version": VERSION, "error": "card terminal on fire"},
            status=500,
            headers=headers | {"x-shop-fault": "injected"},
        )
    return web.json_response({"version": VERSION, "charged": True}, headers=headers)


if __name__ == "__main__":
    application = web.Application()
    application.router.add_get("/charge", charge)
    serve(application, 8080)
