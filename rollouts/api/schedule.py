"""When releases may start."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from crds.base import Duration, Resource

__all__ = ["Freeze", "ReleaseWindow"]

_ANY_TIME = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def _cron(value: str) -> str:
    try:
        next(CronSim(value, _ANY_TIME))
    except (CronSimError, StopIteration):
        msg = f"{value!r} is no schedule that ever comes: write minute, hour, day, month and weekday, e.g. 0 9 * * 1-5"
        raise ValueError(msg) from None
    return value


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"{value!r} is no time zone: write an IANA name, e.g. Europe/Berlin"
        raise ValueError(msg) from None
    return value


class ReleaseWindow(Resource):
    """A time in which releases may start, again and again."""

    schedule: Annotated[
        str,
        AfterValidator(_cron),
        Field(max_length=128, description="When it opens, as a CronJob says it: 0 9 * * 1-5."),
    ]
    duration: Annotated[Duration, Field(gt=0, description="How long it stays open (8h).")]
    time_zone: Annotated[
        str,
        AfterValidator(_zone),
        Field(max_length=64, description="IANA time zone of the schedule, e.g. Europe/Berlin."),
    ] = "UTC"


class Freeze(Resource):
    """A time in which no release starts, whatever the windows say."""

    start: Annotated[AwareDatetime, Field(description="From when, RFC 3339 (2026-12-20T00:00:00Z).")]
    end: Annotated[AwareDatetime, Field(description="Until when, RFC 3339.")]
    reason: Annotated[str, Field(max_length=256, description="Shown to whoever waits.")] = ""

    @model_validator(mode="after")
    def _ends_later(self) -> Freeze:
        if self.end <= self.start:
            msg = "end is not after start: a freeze lasts from start to end"
            raise ValueError(msg)
        return self
