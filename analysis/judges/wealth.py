"""Log wealth of a test: bets, restarts, pods that differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.stats.bets import LOG_STAKES_WORSE, log_least_mean, log_random_effects
from analysis.stats.counting import Array, log_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.judges.cells import Restart
    from analysis.stats.pods import Spread

__all__ = ["QUIET", "rollback", "rollback_at_most"]

QUIET: Final = math.log(20.0)
"""Below this log wealth a test neither rolls back nor holds up a promotion."""


def rollback(
    likelihood: Array,
    margin: Array | None,
    spread: Spread,
    begun: Sequence[Restart],
    stakes: Array = LOG_STAKES_WORSE,
) -> Array:
    """Log wealth against "not worse than noise, up to what pods differ by".

    Each restart divides the bets' mean likelihood by its mean under a t-distributed log ratio between pods (the null),
    with its own estimate of what pods differ by. With an absolute margin its wealth is the smaller of that and of the
    test of that margin: both nulls must be refuted.

    Args:
        likelihood: Log wealth of each bet since each restart, … × restarts × bets: several tests at once.
        margin: The same with the absolute margin's price; None without one.
        spread: Variance of the arms' log ratio from pods alone, for each restart, … × restarts.
        begun: The restarts.
        stakes: Log stakes of the bets; one for all tests or one for each.
    """
    null = log_random_effects(np.sqrt(spread.variance), spread.dof)
    return _mixed(log_mean(likelihood, stakes) - log_mean(likelihood, null), margin, begun, stakes)


def rollback_at_most(
    likelihood: Array, margin: Array | None, begun: Sequence[Restart], stakes: Array = LOG_STAKES_WORSE
) -> Array:
    """An upper bound of ``rollback``, whatever pods differ by: often all that is asked is whether it is quiet."""
    return _mixed(log_mean(likelihood, stakes) - log_least_mean(likelihood), margin, begun, stakes)


def _mixed(wealth: Array, margin: Array | None, begun: Sequence[Restart], stakes: Array) -> Array:
    """The mean over the restarts, each of which must refute the margin too."""
    if margin is not None:
        wealth = np.minimum(wealth, log_mean(margin, stakes))
    shares = np.array([restart.stake for restart in begun])
    kept = max(1.0 - float(shares.sum()), 1e-12)
    whole = np.zeros((*wealth.shape[:-1], wealth.shape[-1] + 1))  # what is not staked yet stays
    whole[..., :-1] = wealth
    return log_mean(whole, np.log(np.append(shares, kept)))
