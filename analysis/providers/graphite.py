"""Graphite: the render API.

Documented at https://graphite.readthedocs.io/en/stable/render_api.html.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, RootModel

from analysis.providers.answers import single
from analysis.providers.http import Call, Http
from analysis.providers.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from analysis.api.services import Graphite
    from analysis.providers.base import Context, ValueSource

__all__ = ["open_values"]

_AGGREGATORS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "avg": statistics.fmean,
    "min": min,
    "max": max,
    "sum": math.fsum,
    "last": lambda values: values[-1],
}


class _Series(BaseModel):
    target: str = ""
    datapoints: list[tuple[float | None, float]]


class _Answer(RootModel[list[_Series]]):
    pass


def open_values(settings: Graphite, context: Context) -> ValueSource:
    """Return the source for a target."""
    return _Source(settings, context)


class _Source:
    def __init__(self, settings: Graphite, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = Http("Graphite", settings, context)

    async def measure(self, at: float) -> float | None:
        settings, secrets = self._settings, Secrets(self._context.secret)
        form = {
            "target": settings.query,
            "from": str(math.floor(at - settings.interval)),
            "until": str(math.floor(at)),
            "format": "json",
        }
        headers = {"Authorization": await secrets.basic(settings.basic_auth)} if settings.basic_auth else {}
        url = f"{settings.address.rstrip('/')}/render"
        answer = await self._http.read(_Answer, Call("POST", url, headers=headers, body=form), secrets)
        series = single(answer.root, "series", settings.query, "wrap it in sumSeries(…) or averageSeries(…)")
        values = (
            [value for value, _ in series.datapoints if value is not None and math.isfinite(value)] if series else []
        )
        return _AGGREGATORS[settings.aggregator](values) if values else None

    async def close(self) -> None:
        await self._http.close()
