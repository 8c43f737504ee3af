"""What a check answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Result", "Status", "failed", "passed", "unseen", "warned"]


class Status(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and not as well as it could."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """This user may not see it, or it cannot be seen from outside."""


@dataclass(frozen=True, slots=True)
class Result:
    """One answer.

    Attributes:
        check: What was asked, as a short name.
        status: How it is.
        message: In words.
        fixes: Commands that mend it, to be run as they are.
    """

    check: str
    status: Status
    message: str
    fixes: tuple[str, ...] = ()


def passed(check: str, message: str) -> Result:
    """Return that all is well."""
    return Result(check, Status.OK, message)


def warned(check: str, message: str, *fixes: str) -> Result:
    """Return what could be better."""
    return Result(check, Status.WARNING, message, fixes)


def failed(check: str, message: str, *fixes: str) -> Result:
    """Return what does not work."""
    return Result(check, Status.FAILED, message, fixes)


def unseen(check: str, message: str, *fixes: str) -> Result:
    """Return what could not be looked at."""
    return Result(check, Status.UNKNOWN, message, fixes)
