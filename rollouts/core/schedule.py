"""Whether a release may start now, and when it may. Pure."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cronsim import CronSim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollouts.api.schedule import Freeze, ReleaseWindow

__all__ = ["Closed", "closed"]

_MOST_LOOKS: Final = 64
"""Freezes and windows that may follow each other before nobody can say when releases start again."""
_MINUTE: Final = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Closed:
    """No release starts now.

    Attributes:
        why: In words.
        opens: Unix seconds at which releases may start again; None where that is not a matter of time.
    """

    why: str
    opens: float | None = None


def closed(windows: Sequence[ReleaseWindow], freezes: Sequence[Freeze], now: float) -> Closed | None:
    """Return why no release may start now; None when it may.

    Args:
        windows: Times in which releases may start; none for any time.
        freezes: Times in which none may.
        now: Unix seconds.
    """
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    if (freeze := _frozen(freezes, moment)) is not None:
        reason = f" ({freeze.reason})" if freeze.reason else ""
        why = f"releases are frozen{reason} until {_text(freeze.end)}"
    elif _is_open(windows, moment):
        return None
    else:
        why = "no release window (spec.releaseWindows) is open"
    opens = _opens(windows, freezes, moment)
    return Closed(why, opens.timestamp() if opens else None)


def _opens(windows: Sequence[ReleaseWindow], freezes: Sequence[Freeze], moment: dt.datetime) -> dt.datetime | None:
    for _ in range(_MOST_LOOKS):
        if (freeze := _frozen(freezes, moment)) is not None:
            moment = freeze.end
        elif not _is_open(windows, moment):
            moment = min(next(CronSim(w.schedule, _local(w, moment))) for w in windows)
        else:
            return moment
    return None


def _frozen(freezes: Sequence[Freeze], moment: dt.datetime) -> Freeze | None:
    return next((f for f in freezes if f.start <= moment < f.end), None)


def _is_open(windows: Sequence[ReleaseWindow], moment: dt.datetime) -> bool:
    return not windows or any(_opened(w, moment) for w in windows)


def _opened(window: ReleaseWindow, moment: dt.datetime) -> bool:
    # The schedule has whole minutes; one that opens in this very minute counts.
    here = _local(window, moment).replace(second=0, microsecond=0)
    begun = next(CronSim(window.schedule, _local(window, here + _MINUTE), reverse=True), None)
    return begun is not None and (moment - begun).total_seconds() < window.duration


def _local(window: ReleaseWindow, moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).astimezone(zoneinfo.ZoneInfo(window.time_zone))


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
