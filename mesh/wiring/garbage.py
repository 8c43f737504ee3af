"""When Python looks for cycles among all that the control plane knows."""

from __future__ import annotations

import asyncio
import gc
from typing import Final

__all__ = ["collect_rarely"]

_YOUNG, _OLDER, _NEVER = 10_000, 10, 2**30
_PERIOD: Final = 300.0


async def collect_rarely() -> None:
    """Collect what is young as always, and everything every five minutes only, until cancelled.

    By itself Python looks through everything whenever it has grown by a quarter, which is in the middle of a change, and
    stands still for a tenth of a second and more meanwhile.
    """
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, _OLDER, _NEVER)
    try:
        while True:
            await asyncio.sleep(_PERIOD)
            gc.collect()
    finally:
        gc.set_threshold(*before)
