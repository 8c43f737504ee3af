"""What a Rollout's status was over time: transitions, weights, the evidence. Pure; fed with each change that the watch brings.

The past is kept in memory only. The evidence itself is in the cluster and survives a restart; its drawing begins anew, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rollouts.dashboard.columns import Columns
from rollouts.dashboard.evidence import Scale, Scales, state_of
from rollouts.views.words import unix

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Series", "Track"]

_MOST_ITEMS: Final = 200
_MOST_METRICS: Final = 16
_KEPT_AFTER_END: Final = 400
_FRESH_SECONDS: Final = 2.0
"""A release that began as lately as this before it was first seen was seen from its begin."""
_DECIDED: Final = frozenset({"Promote", "RollBack"})
_TURNED: Final = ("promote", "rollback")
_EVIDENCE: Final = (
    "t",
    "estimate",
    "lower",
    "upper",
    "margin",
    "noise",
    "canary",
    "baseline",
    "rollbackE",
    "promoteE",
)


@dataclass
class _Metric:
    scale: Scale
    columns: Columns = field(default_factory=lambda: Columns(*_EVIDENCE))
    rollback_at: float = 0.0
    promote_at: float = 0.0
    crossed: dict[str, Any] | None = None
    told: int = 0

    def dump(self, *, fresh: bool) -> dict[str, Any]:
        return {
            "scale": self.scale,
            **self.columns.dump(self.told if fresh else 0),
            "rollbackAt": self.rollback_at,
            "promoteAt": self.promote_at,
            "crossed": self.crossed,
        }


class Series:
    """One release over time.

    Attributes:
        revision: What is released.
        began: Unix seconds.
        ended: Likewise; None while it runs.
    """

    def __init__(self, revision: str, began: float, since: float, *, complete: bool) -> None:
        """Begin to record.

        Args:
            revision: What is released.
            began: When it began.
            since: When it is seen first.
            complete: Whether that is its begin.
        """
        self.revision, self.began = revision, began
        self.ended: float | None = None
        self._since, self._complete = since, complete
        self._outcome = ""
        self._weights = Columns("t", "configured", "acknowledged", "actual", "step")
        self._metrics: dict[str, _Metric] = {}
        self._decisions: list[dict[str, Any]] = []
        self._told = (0, 0)
        self._anew = True
        self._step: tuple[Any, Any] = (None, None)

    def add(self, status: Mapping[str, Any], scales: Scales, now: float) -> None:
        """Take the status in."""
        self._weigh(status, now)
        step = (status.get("stepIndex"), status.get("stepStartedAt"))
        before, self._step = self._step, step
        if step[0] != before[0]:
            for metric in self._metrics.values():
                metric.crossed = None
        for raw in status.get("evidence") or ():
            self._judge(raw, scales, now)
        self._decide(status, before, now)

    def end(self, status: Mapping[str, Any], now: float) -> None:
        """Take in that it has ended."""
        if self.ended is not None:
            return
        self._weigh(status, now)
        entries = (e for e in reversed(status.get("history") or ()) if e.get("revision") == self.revision)
        entry: Mapping[str, Any] = next(entries, {})
        self.ended = unix(entry.get("endedAt")) or now
        self._outcome = entry.get("outcome", "")
        for columns in (self._weights, *(m.columns for m in self._metrics.values())):
            while len(columns) > _KEPT_AFTER_END:
                columns.thin()

    def dump(self) -> dict[str, Any]:
        """Return all of it."""
        return self._dump(fresh=False)

    def fresh(self) -> dict[str, Any] | None:
        """Return what came since the last call; None where all of it has to be told anew."""
        dumped = None if self._anew else self._dump(fresh=True)
        self._told = len(self._weights), len(self._decisions)
        for metric in self._metrics.values():
            metric.told = len(metric.columns)
        self._anew = False
        return dumped

    def _dump(self, *, fresh: bool) -> dict[str, Any]:
        weights, decisions = self._told if fresh else (0, 0)
        return {
            "release": {
                "revision": self.revision,
                "began": self.began,
                "ended": self.ended,
                "outcome": self._outcome,
            },
            "since": self._since,
            "complete": self._complete,
            "weights": self._weights.dump(weights),
            "evidence": {name: m.dump(fresh=fresh) for name, m in self._metrics.items()},
            "decisions": self._decisions[decisions:],
        }

    def _weigh(self, status: Mapping[str, Any], now: float) -> None:
        weight = status.get("weight") or {}
        row = (
            weight.get("configured", 0),
            weight.get("acknowledged"),
            weight.get("actual"),
            status.get("stepIndex"),
        )
        last = self._weights.last()
        if last is None or last[1:] != row:
            self._add(self._weights, (now, *row))

    def _judge(self, raw: Mapping[str, Any], scales: Scales, now: float) -> None:
        name = raw.get("metric", "")
        scale, margin, noise = scales.of_metric(name, raw.get("baseline"))
        if name not in self._metrics:
            if len(self._metrics) >= _MOST_METRICS:
                return
            self._metrics[name] = _Metric(scale)
        metric = self._metrics[name]
        lower, upper = raw.get("interval") or (None, None)
        row = (
            raw.get("difference"),
            lower,
            upper,
            margin,
            noise,
            raw.get("canary"),
            raw.get("baseline"),
            raw.get("rollbackE", 1.0),
            raw.get("promoteE", 1.0),
        )
        metric.rollback_at, metric.promote_at = raw.get("rollbackAt", 0.0), raw.get("promoteAt", 0.0)
        last = metric.columns.last()
        if last is None or last[1:] != row:
            self._add(metric.columns, (now, *row))
        towards = {"worse": "rollback", "fine": "promote"}.get(state_of(raw))
        # What was fine may become worse, and that is then the answer.
        if towards is not None and (metric.crossed is None or (metric.crossed["towards"], towards) == _TURNED):
            metric.crossed = {"at": now, "towards": towards}

    def _decide(self, status: Mapping[str, Any], before: tuple[Any, Any], now: float) -> None:
        """Note the judge's decisions: one for each step, and one against the release."""
        verdict = status.get("verdict") or ""
        if verdict not in _DECIDED:
            return
        passed = self._step[0] != before[0]
        # While a step begins the answer may still be that of the one before.
        if verdict == "Promote" and not passed and (self._step[1] is None or self._step[1] != before[1]):
            return
        step = before[0] if passed and before[0] is not None else self._step[0]
        if any(d["verdict"] == verdict and (d["step"] == step or verdict == "RollBack") for d in self._decisions):
            return
        worse = (e.get("metric") for e in status.get("evidence") or () if state_of(e) == "worse")
        self._decisions.append(
            {
                "at": now,
                "verdict": verdict,
                "step": step,
                "metric": next(worse, None) if verdict == "RollBack" else None,
                "words": status.get("summary", ""),
            }
        )

    def _add(self, columns: Columns, row: tuple[float | None, ...]) -> None:
        before = columns.thinned
        columns.add(row)
        self._anew |= columns.thinned != before


class Track:
    """One Rollout over time."""

    def __init__(self) -> None:
        self.series: Series | None = None
        self._items: list[dict[str, Any]] = []
        self._told = 0
        self._version = ""
        self._seen = False

    def add(self, rollout: Mapping[str, Any], now: float) -> bool:
        """Take a Rollout in as it is now.

        Returns:
            Whether it is another version than the last one.
        """
        version = str((rollout.get("metadata") or {}).get("resourceVersion", ""))
        if version and version == self._version:
            return False
        self._version = version
        status = rollout.get("status") or {}
        internal = status.get("internal") or {}
        self._announce(internal.get("announcements") or ())
        self._release(status, internal, Scales.of(rollout.get("spec") or {}), now)
        self._seen = True
        return True

    def timeline(self, *, fresh: bool = False) -> dict[str, Any]:
        """Return the transitions; with ``fresh`` those since the last such call."""
        told = self._told if fresh else 0
        if fresh:
            self._told = self._items[-1]["number"] if self._items else 0
        return {
            "since": self._items[0]["number"] if self._items else 0,
            "items": [item for item in self._items if item["number"] > told],
        }

    def _announce(self, announcements: Any) -> None:
        last = self._items[-1]["number"] if self._items else 0
        for raw in announcements:
            if raw.get("number", 0) > last:
                item = {key: raw.get(key) for key in ("number", "at", "type", "reason", "note")}
                self._items.append({**item, "type": item["type"] or "Normal"})
        del self._items[:-_MOST_ITEMS]

    def _release(self, status: Mapping[str, Any], internal: Mapping[str, Any], scales: Scales, now: float) -> None:
        series = self.series
        revision, began = internal.get("target") or "", float(internal.get("began") or 0.0)
        if not internal.get("open"):
            if series is not None:
                series.end(status, now)
            return
        if series is None or (series.revision, series.began) != (revision, began):
            complete = self._seen or now - began < _FRESH_SECONDS
            series = self.series = Series(revision, began, began if complete else now, complete=complete)
        series.add(status, scales, now)
