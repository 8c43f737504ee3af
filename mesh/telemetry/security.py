"""How much of what a caller sent to a Service was mutual TLS, in the last two minutes, as the caller's sidecar saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.telemetry.recent import Recent
from mesh.xds import standard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.telemetry.counters import Point, Values

__all__ = ["Secured", "Security"]

_NONE: Final = "-"
_TAG: Final = {name: number for number, name in enumerate(standard.TAGS)}


class Secured(NamedTuple):
    """What is counted apart.

    Attributes:
        source: The calling proxy, ``namespace/pod``.
        namespace: Of the Service that its requests went to.
        service: That Service.
        mutual: Whether the called side proved who it is.
    """

    source: str
    namespace: str
    service: str
    mutual: bool


class Security:
    """Requests by caller, Service and kind of connection.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._recent: Recent[Secured] = Recent(clock=clock)

    def add(self, proxy: str, news: Mapping[Point, Values]) -> None:
        """Take what is new of a proxy (``namespace/pod``). Requests that reached nobody tell nothing."""
        for point, values in news.items():
            if point.stat != standard.REQUESTS or point.tags[_TAG["reporter"]] != "source":
                continue
            namespace, _, service = point.tags[_TAG["backend"]].partition("/")
            mutual = point.tags[_TAG["peer"]] not in {"", _NONE}
            if service in {"", _NONE} or not (mutual or point.tags[_TAG["flags"]] in {"", _NONE}):
                continue
            self._recent.add(Secured(proxy, namespace, service, mutual), int(values[0]))

    def read(self, seconds: float) -> Mapping[Secured, int]:
        """Return the requests of the last seconds.

        Args:
            seconds: How far back.
        """
        return self._recent.read(seconds)
