"""What the controller counts of its own work, in memory: a restart begins at zero, as counters may for their readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from rollouts.api.status import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Meters"]

_LOOKS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_REQUESTS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Meters:
    """The counters. All labels are words of ours, HTTP's or the configuration's, so their number is bounded.

    Attributes:
        registry: What is scraped.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each one, which no query of ours reads
        self.registry: Final = CollectorRegistry()
        made = self.registry
        self._decisions = Counter(
            "coalmine_decisions", "Transitions of Rollouts, by the Event's reason.", ["decision"], registry=made
        )
        self._releases = Counter("coalmine_releases", "Releases that ended.", ["outcome"], registry=made)
        self._looks = Histogram(
            "coalmine_controller_reconcile_duration_seconds",
            "How long a look at a Rollout took.",
            buckets=_LOOKS,
            registry=made,
        )
        self._waits = Histogram(
            "coalmine_controller_reconcile_lag_seconds",
            "How much later a look began than it was wanted: by a change or by the time that the last one had set.",
            buckets=_LOOKS,
            registry=made,
        )
        self._errors = Counter(
            "coalmine_controller_reconcile_errors", "Looks that failed and are tried again.", registry=made
        )
        self._requests = Counter(
            "coalmine_controller_api_requests",
            "Requests to the API server besides watches; code is 0 where no answer came.",
            ["verb", "code"],
            registry=made,
        )
        self._answers = Histogram(
            "coalmine_controller_api_request_duration_seconds",
            "How long the API server took to answer.",
            ["verb"],
            buckets=_REQUESTS,
            registry=made,
        )
        self._told = Counter(
            "coalmine_notifications",
            "Tries to tell of a transition, by sink and result.",
            ["sink", "result"],
            registry=made,
        )
        for outcome in get_args(Outcome):  # so that the first of each is an increase
            self._releases.labels(outcome)

    def decided(self, reasons: Iterable[str]) -> None:
        """Count transitions that were just written."""
        for reason in reasons:
            self._decisions.labels(reason).inc()

    def ended(self, outcomes: Iterable[str]) -> None:
        """Count releases that just ended."""
        for outcome in outcomes:
            self._releases.labels(outcome).inc()

    def looked(self, *, waited: float, took: float, failed: bool) -> None:
        """Count a look at a Rollout.

        Args:
            waited: Seconds from when it was wanted to when it began.
            took: Seconds.
            failed: Whether it is tried again.
        """
        self._waits.observe(max(0.0, waited))
        self._looks.observe(took)
        if failed:
            self._errors.inc()

    def answered(self, verb: str, code: int, seconds: float) -> None:
        """Count a request to the API server; ``code`` is 0 where no answer came."""
        self._requests.labels(verb, str(code)).inc()
        self._answers.labels(verb).observe(seconds)

    def told(self, sink: str, result: str) -> None:
        """Count a try to tell of a transition: ``delivered``, ``later`` (it is tried again), ``unclear``, ``refused``."""
        self._told.labels(sink, result).inc()
