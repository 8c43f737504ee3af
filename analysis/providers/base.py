"""What a source of metrics is. There are two kinds: sources of counts, which the judge's counting tests take, and sources of values.

Failures tell the caller what to do and are never parsed::

    SourceError            something went wrong; nothing is known about the canary
    ├── UnavailableError   may pass by itself (unreachable, 5xx, 429, timeout): ask again later
    └── ConfigurationError will not pass by itself (401, unknown metric, two series): names the field and the fix
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from analysis.model.counts import Window

__all__ = ["ConfigurationError", "Context", "CountSource", "Jobs", "SourceError", "UnavailableError", "ValueSource"]


class SourceError(Exception):
    """A source could not answer. Never evidence for or against the canary."""


class UnavailableError(SourceError):
    """It may pass by itself: ask again later.

    Attributes:
        retry_after: Seconds that the service asked to be left alone; None when it did not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NothingYetError(UnavailableError):
    """The source answers, and holds nothing of what is asked for yet."""


class ConfigurationError(SourceError):
    """It will not pass by itself; the message names the field and the fix."""


class Jobs(Protocol):
    """Kubernetes Jobs of the Rollout's namespace, for sources that run one."""

    async def run(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create a Job unless there is one of its name, wait until it has ended, and return it as it is then.

        A Job has ended when its status has a condition Complete or Failed. Cancelled, it stops waiting and leaves the Job:
        asked again with the same name, it waits on for the same one. Jobs that it creates are owned by the Rollout.

        Args:
            job: The Job (batch/v1), with ``metadata.name`` and without a namespace.

        Raises:
            ConfigurationError: The API server refuses it; the message says why.
            UnavailableError: The API server could not be reached, or the Job was deleted before it ended.
        """
        ...


@dataclass(frozen=True)
class Context:
    """What a source may use besides its own settings.

    Attributes:
        namespace: Where the Rollout is.
        secret: Returns one key of a Secret of that namespace (name, key). Raises ConfigurationError when it is missing.
        clock: Unix seconds.
        subject: Which metric of which release is measured (``payment/7d9c/smoke-test``); always the same for that one, and
            another for every other. It names what a source makes.
        jobs: Runs Jobs; None where there is no cluster.
    """

    namespace: str
    secret: Callable[[str, str], Awaitable[str]]
    clock: Callable[[], float]
    subject: str = ""
    jobs: Jobs | None = None


class CountSource(Protocol):
    """A source of counts per pod, for both arms."""

    async def read(self, since: float, until: float) -> Sequence[Window]:
        """Return the windows that end after ``since`` and not after ``until`` (Unix seconds), in order, without overlap.

        It may be asked again for the same time and then answers the same; what has not been scraped yet comes later.

        Raises:
            SourceError: Nothing could be read.
        """
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


class ValueSource(Protocol):
    """A source of one number."""

    async def measure(self, at: float) -> float | None:
        """Return the value at a time (Unix seconds); None when there is none (no data, NaN).

        Asked again for the same time, also after a restart, it answers the same where the service can: a Job is not run
        twice. It may take as long as a Job takes.

        Raises:
            SourceError: Nothing could be read.
        """
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...
