"""Steady load: RATE requests a second whether or not the answers keep up (an open loop), each of them on record.

Writes one JSON line a second to stdout: ``seq`` (counts up by one), ``start`` and ``end`` (Unix seconds), ``sent``,
``waiting`` (sent and not yet answered) and ``done``, with one entry ``[ms, latency_ms, status, version, note]`` for each
request that ended in that second. ``ms`` counts from ``start``; status 0 is no answer at all; ``note`` is empty for a
success, ``injected`` for a failure that the shop made on purpose, else what is known of the failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import Any

import aiohttp

URL = os.environ.get("TARGET_URL", "http://frontend/")
PROXY = os.environ.get("http_proxy")
RATE = float(os.environ.get("RATE", "100"))
OK = 400


class Load:
    """The requests under way, and the records since the last line."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.tasks: set[asyncio.Task[None]] = set()
        self.seq = self.sent = 0
        self.start = time.time()
        self.done: list[list[Any]] = []

    async def request(self) -> None:
        """Send one request and record how it ended."""
        began, status, version, note = time.perf_counter(), 0, "", ""
        try:
            async with self.session.get(URL, proxy=PROXY) as answer:
                body = await answer.read()
                status, version = answer.status, answer.headers.get("x-payment-version", "")
                if status >= OK:
                    note = answer.headers.get("x-shop-fault") or body[:200].decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            note = f"load to frontend: {error!r}"
        latency = (time.perf_counter() - began) * 1000
        self.done.append([round((time.time() - self.start) * 1000), round(latency, 1), status, version, note])

    async def send(self, stop: asyncio.Event) -> None:
        """Send at the rate; a late wake-up is made good at once, so the rate holds on a busy machine."""
        began, count = time.perf_counter(), 0
        while not stop.is_set():
            while count < (time.perf_counter() - began) * RATE:
                count += 1
                self.sent += 1
                task = asyncio.create_task(self.request())
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            await asyncio.sleep(max(0.001, count / RATE - (time.perf_counter() - began)))

    def report(self) -> None:
        """Write the line of the second that ends now."""
        end = time.time()
        line = {
            "seq": self.seq,
            "start": self.start,
            "end": end,
            "sent": self.sent,
            "waiting": len(self.tasks),
            "done": self.done,
        }
        print(json.dumps(line, separators=(",", ":")), flush=True)
        self.seq, self.sent, self.start, self.done = self.seq + 1, 0, end, []


async def main() -> None:
    """Send and report until SIGTERM, then wait for the answers that are still to come."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=300)
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        load = Load(session)
        sender = asyncio.create_task(load.send(stop))
        while not stop.is_set():
            await asyncio.wait([sender], timeout=1.0)
            load.report()
        await asyncio.gather(sender, *load.tasks)
        load.report()


if __name__ == "__main__":
    asyncio.run(main())
