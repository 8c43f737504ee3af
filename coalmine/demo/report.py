"""The file that ``coalmine demo --json`` writes. docs/demo.md explains each field."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from coalmine.demo.releases import Outcome

__all__ = ["DemoReport", "ReleaseReport"]


class _Report(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReleaseReport(_Report):
    """One release."""

    name: str
    version: Annotated[str, Field(description="Image tag.")]
    expected: Outcome
    outcome: Outcome
    reason: Annotated[str, Field(description="The controller's own words from the Rollout's history.")]
    decision_seconds: Annotated[float | None, Field(description="From the commit to the decision; None without one.")]
    rollback_seconds: Annotated[
        float | None,
        Field(description="From the first bad response to weight 0 at every proxy; None without a rollback."),
    ]
    weights: Annotated[
        tuple[int, ...], Field(description="The canary's shares in percent that every proxy acknowledged, in order.")
    ]
    actual_share: Annotated[
        dict[str, float],
        Field(
            description="By acknowledged weight: the canary's share of the answers while it was in force, in percent."
        ),
    ]
    requests: Annotated[dict[str, int], Field(description="Answers by version, from the commit to the end.")]
    failed: Annotated[dict[str, int], Field(description="Of those, the failed ones.")]
    kubectl_exit_code: Annotated[
        int | None, Field(description="Of `kubectl rollout status`; None when it had to be ended.")
    ]
    failed_by_us: Annotated[int, Field(description="Failures that the shop did not make on purpose.")]

    @property
    def as_expected(self) -> bool:
        """Whether it ended as it must, kubectl said so too, and nothing failed by us."""
        exit_code = 0 if self.expected is Outcome.PROMOTED else 1
        return self.outcome is self.expected and self.kubectl_exit_code == exit_code and self.failed_by_us == 0


class DemoReport(_Report):
    """A whole run."""

    releases: tuple[ReleaseReport, ...]
    failed_by_us: Annotated[
        int, Field(description="Failures that the shop did not make on purpose, over the whole run.")
    ]
    failures: Annotated[tuple[str, ...], Field(description="What is known of the first of those.")] = ()
    trouble: Annotated[
        tuple[str, ...], Field(description="What else went wrong: e.g. an apply that failed, records that were lost.")
    ] = ()
    rate: Annotated[float, Field(description="Requests a second that were asked for.")]
    requests: Annotated[int, Field(description="Requests on record over the whole run.")]
    seconds: Annotated[float, Field(description="From the first commit to the end of the last release.")]

    @property
    def ok(self) -> bool:
        """Whether everything went as it must."""
        return (
            bool(self.releases)
            and all(r.as_expected for r in self.releases)
            and self.failed_by_us == 0
            and not self.trouble
        )
