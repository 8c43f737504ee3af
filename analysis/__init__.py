"""The judge: counts in, a verdict with its evidence out. ``analysis.replay`` judges recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.run.replay import replay

__all__ = ["replay"]


def __getattr__(name: str) -> Any:
    """Import on use: whoever needs a model only shall not wait for the judge."""
    if name == "replay":
        from analysis.run.replay import replay as found  # noqa: PLC0415

        return found
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
