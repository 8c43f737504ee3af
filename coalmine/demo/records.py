"""The load's records: what each request met. No I/O."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NO_VERSION", "LoadLine", "Request", "Traffic", "failed_by_us", "parse_line", "traffic_by_version"]

NO_VERSION: Final = "none"
"""Stands for the version of a request that no payment pod answered."""
INJECTED: Final = "injected"
_OK: Final = range(200, 400)


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the load.

    Attributes:
        ended: When its answer was complete, Unix seconds.
        latency_ms: Milliseconds from sending it to the end of the answer.
        status: HTTP status; 0 for no answer at all.
        version: Version of the payment pod that answered; ``NO_VERSION`` where none did.
        note: Empty for a success, ``injected`` for a failure on purpose, else what is known of the failure.
    """

    ended: float
    latency_ms: float
    status: int
    version: str
    note: str = ""

    @property
    def failed(self) -> bool:
        """Whether the customer got no proper answer."""
        return self.status not in _OK

    @property
    def injected(self) -> bool:
        """Whether the shop failed it on purpose; every other failure is Coalmine's."""
        return self.failed and self.note == INJECTED


@dataclass(frozen=True, slots=True)
class LoadLine:
    """One second of the load.

    Attributes:
        seq: Counts up by one; a gap means lost lines.
        start: Unix seconds.
        end: Unix seconds.
        sent: Requests sent.
        waiting: Requests without an answer at ``end``.
        requests: Those that ended.
    """

    seq: int
    start: float
    end: float
    sent: int
    waiting: int
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """One version's requests over a while.

    Attributes:
        requests: How many ended.
        failed: Of those, how many failed.
        rate: Requests a second.
        p50: Median latency in milliseconds.
        p99: 99th percentile of the latency in milliseconds.
    """

    requests: int
    failed: int
    rate: float
    p50: float
    p99: float


def parse_line(text: str) -> LoadLine:
    """Parse one line of ``examples/shop/load.py``.

    Raises:
        ValueError: It is not such a line; the text is quoted in the message.
    """
    try:
        line = json.loads(text)
        start = float(line["start"])
        requests = tuple(
            Request(start + ms / 1000, float(latency), int(status), version or NO_VERSION, note)
            for ms, latency, status, version, note in line["done"]
        )
        return LoadLine(int(line["seq"]), start, float(line["end"]), int(line["sent"]), int(line["waiting"]), requests)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"not a line of the load's records ({error}): {text[:120]!r}"
        raise ValueError(msg) from error


def failed_by_us(requests: Iterable[Request]) -> tuple[Request, ...]:
    """Return the failures that the shop did not make on purpose."""
    return tuple(r for r in requests if r.failed and not r.injected)


def traffic_by_version(requests: Iterable[Request], since: float, until: float) -> dict[str, Traffic]:
    """Sum up the requests that ended in ``[since, until)``, Unix seconds, by version."""
    groups: dict[str, list[Request]] = {}
    for request in requests:
        if since <= request.ended < until:
            groups.setdefault(request.version, []).append(request)
    span = max(until - since, 1e-9)
    return {version: _sum_up(group, span) for version, group in sorted(groups.items())}


def _sum_up(group: list[Request], span: float) -> Traffic:
    latencies = sorted(r.latency_ms for r in group)
    return Traffic(
        len(group),
        sum(r.failed for r in group),
        len(group) / span,
        _quantile(latencies, 0.5),
        _quantile(latencies, 0.99),
    )


def _quantile(ordered: list[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
