"""A metric's evidence beside what it is measured against: the margin and the noise on the same scale. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from analysis.model.policy import ErrorPolicy, LatencyPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Scale", "Scales", "evidence_entry", "state_of"]

Scale = Literal["difference", "ratio", "value"]
State = Literal["fine", "worse", "open"]
_ERRORS: Final = ErrorPolicy()
_LATENCY: Final = LatencyPolicy()
_PERCENT: Final = 100.0


@dataclass(frozen=True)
class Scales:
    """What a Rollout tolerates.

    Attributes:
        error_ratio: Tolerated ratio of the error rates.
        error_points: Share of errors tolerated beyond it.
        error_noise: The same two of what nobody minds.
        latency_ratio: Tolerated slow-down.
        latency_noise: Slow-down that nobody minds.
    """

    error_ratio: float = _ERRORS.ratio
    error_points: float = _ERRORS.absolute
    error_noise: tuple[float, float] = (_ERRORS.noise_ratio, _ERRORS.noise_absolute)
    latency_ratio: float = _LATENCY.ratio
    latency_noise: float = _LATENCY.noise_ratio

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Scales:
        """Read a Rollout's spec as the API server has it."""
        analysis = spec.get("analysis") or {}
        errors, latency = analysis.get("errors") or {}, analysis.get("latency") or {}
        return cls(
            error_ratio=_number(errors.get("maxRatio"), _ERRORS.ratio),
            error_points=_number(errors.get("maxIncreasePercent"), _ERRORS.absolute * _PERCENT) / _PERCENT,
            error_noise=(
                _number(errors.get("noiseRatio"), _ERRORS.noise_ratio),
                _number(errors.get("noiseIncreasePercent"), _ERRORS.noise_absolute * _PERCENT) / _PERCENT,
            ),
            latency_ratio=_number(latency.get("maxRatio"), _LATENCY.ratio),
            latency_noise=_number(latency.get("noiseRatio"), _LATENCY.noise_ratio),
        )

    def of_metric(self, metric: str, baseline: float | None) -> tuple[Scale, float | None, float | None]:
        """Return a metric's scale, margin and noise.

        Args:
            metric: Its name in ``status.evidence``.
            baseline: The baseline's value, from which the margin of the difference in errors follows.
        """
        if metric == "latency":
            return "ratio", self.latency_ratio, self.latency_noise
        if metric == "errors":
            if baseline is None:
                return "difference", None, None
            ratio, points = self.error_noise
            return (
                "difference",
                _rounded((self.error_ratio - 1.0) * baseline + self.error_points),
                _rounded((ratio - 1.0) * baseline + points),
            )
        return (
            ("ratio" if metric == "gross-latency" else "difference" if metric == "gross-errors" else "value"),
            None,
            None,
        )


def evidence_entry(raw: Mapping[str, Any], scales: Scales) -> dict[str, Any]:
    """Return an entry of ``status.evidence`` as the API has it."""
    metric, baseline = str(raw.get("metric", "")), raw.get("baseline")
    scale, margin, noise = scales.of_metric(metric, baseline)
    lower, upper = raw.get("interval") or (None, None)
    return {
        "metric": metric,
        "scale": scale,
        "words": raw.get("words", ""),
        "canary": raw.get("canary"),
        "baseline": baseline,
        "canaryCount": raw.get("canaryCount", 0),
        "baselineCount": raw.get("baselineCount", 0),
        "difference": raw.get("difference"),
        "lower": lower,
        "upper": upper,
        "margin": margin,
        "noise": noise,
        "rollbackE": raw.get("rollbackE", 1.0),
        "rollbackAt": raw.get("rollbackAt", 0.0),
        "promoteE": raw.get("promoteE", 1.0),
        "promoteAt": raw.get("promoteAt", 0.0),
        "burnRate": raw.get("burnRate"),
        "state": state_of(raw),
    }


def state_of(raw: Mapping[str, Any]) -> State:
    """Return whether an e-value has reached its threshold."""
    if _reached(raw, "rollback"):
        return "worse"
    return "fine" if _reached(raw, "promote") else "open"


def _reached(raw: Mapping[str, Any], side: str) -> bool:
    at = raw.get(f"{side}At") or 0.0
    return bool(at > 0.0 and raw.get(f"{side}E", 1.0) >= at)


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
