"""What pre-flight remembers of a release."""

from __future__ import annotations

from crds.base import Resource

__all__ = ["PreflightNotes"]


class PreflightNotes(Resource):
    """Part of the controller's notes. Times are Unix seconds.

    Attributes:
        told: What was announced since something blocks, as ``reason/result``; without that, what still holds of it.
        blocked: Whether a check kept the release from starting at the last look.
        cleared_at: When none did any more; the progress deadline counts from then.
        complete: Whether all that was found is announced.
    """

    told: tuple[str, ...] = ()
    blocked: bool = False
    cleared_at: float | None = None
    complete: bool = True
