"""What Prometheus may scrape from the shop (text format 0.0.4): requests by status code, and how long they took."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_CODES: Final[Counter[int]] = Counter()
_BUCKETS: Final = [0] * (len(BOUNDS) + 1)
_SUM: Final = [0.0]
_OWN: Final = ("/healthz", "/metrics")


@web.middleware
async def count(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Count a request when it is answered."""
    if request.path in _OWN:
        return await handler(request)
    began = time.perf_counter()
    answer = await handler(request)
    took = time.perf_counter() - began
    _CODES[answer.status] += 1
    _BUCKETS[bisect.bisect_left(BOUNDS, took)] += 1
    _SUM[0] += took
    return answer


async def page(_: web.Request) -> web.Response:
    """``/metrics``."""
    lines = ["# TYPE http_requests_total counter"]
    lines += [f'http_requests_total{{code="{code}"}} {number}' for code, number in sorted(_CODES.items())]
    lines.append("# TYPE http_request_duration_seconds histogram")
    total = 0
    for bound, number in zip((*BOUNDS, "+Inf"), _BUCKETS, strict=True):
        total += number
        lines.append(f'http_request_duration_seconds_bucket{{le="{bound}"}} {total}')
    lines += [f"http_request_duration_seconds_sum {_SUM[0]:.6f}", f"http_request_duration_seconds_count {total}"]
    return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")
