"""How many pods outlier detection can take out: what a percentage means for the pods that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Capacity", "capacity"]

_FULL: Final = 100


@dataclass(frozen=True, slots=True)
class Capacity:
    """What outlier detection can do to the endpoints of one cluster.

    Attributes:
        live: Endpoints that get requests.
        percent: ``maxEjectionPercent`` in force.
    """

    live: int
    percent: int

    @property
    def most(self) -> int:
        """Endpoints that can be out at a time: Envoy ejects one more only while the share stays within the percentage."""
        return self.live * self.percent // _FULL

    @property
    def left(self) -> int:
        """Endpoints that always go on serving."""
        return self.live - self.most

    @property
    def least_percent(self) -> int:
        """The smallest percentage that ejects anybody; 100 for a single endpoint."""
        return -(-_FULL // self.live) if self.live else _FULL

    @property
    def sentence(self) -> str:
        """What that means, for people."""
        if not self.live:
            return "there are no live pods, so there is nobody to eject"
        pods = "1 live pod" if self.live == 1 else f"{self.live} live pods"
        if self.most == 0:
            return f"{self.percent} % of {pods} is less than one: nobody is ever ejected"
        if self.left == 0:
            return f"{self.percent} % of {pods} is all: when all fail, callers get 503 no healthy upstream"
        return f"{self.percent} % of {pods}: at most {self.most} ejected at a time, at least {self.left} left"


def capacity(live: int, percent: int) -> Capacity:
    """Return what outlier detection can do to a pool.

    Args:
        live: Endpoints that get requests: ready and not draining.
        percent: ``maxEjectionPercent`` in force, 0 to 100.

    Raises:
        ValueError: A number is out of its range.
    """
    if live < 0 or not 0 <= percent <= _FULL:
        raise ValueError(f"capacity of {live} pods at {percent} %: write pods ≥ 0 and a percentage from 0 to 100")
    return Capacity(live, percent)
