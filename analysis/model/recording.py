"""A recorded release as JSON Lines: a header, then one line for each time, version, pod and route.

The format is documented in docs/recordings.md. Reading is strict: what is wrong is said with its line, field and fix.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy
from crds.base import Resource
from crds.explain import explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["FORMAT", "InvalidRecording", "Recording", "dump", "header_line", "load", "window_lines"]

FORMAT: Final = "coalmine.dev/recording/v1"
_SAME: Final = 1e-6
_E, _L, _P = ErrorPolicy(), LatencyPolicy(), Policy(())
_Model = TypeVar("_Model", bound=Resource)
_Count = Annotated[int, Field(ge=0, strict=True)]
_Time = Annotated[float, Field(allow_inf_nan=False)]


class InvalidRecording(ValueError):  # noqa: N818 - it reads as what it is about
    """A recording cannot be read; the message says the line, the field and the fix."""


@dataclass(frozen=True)
class Recording:
    """A recorded release.

    Attributes:
        bounds_ms: Upper bounds of the latency buckets, milliseconds, ascending.
        step_starts: When the share of traffic changed, Unix seconds.
        pods_started: When pods started, Unix seconds.
        windows: The counts, in order of time.
        title: What it is, for people.
        policy: What the judge was asked; None where that is not known.
    """

    bounds_ms: tuple[float, ...]
    step_starts: tuple[float, ...] = ()
    pods_started: dict[str, float] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    title: str = ""
    policy: Policy | None = None


class _Errors(Resource):
    ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = _E.ratio
    absolute: Annotated[float, Field(ge=0, le=1)] = _E.absolute
    warm_up: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _E.warm_up
    slo: Annotated[float | None, Field(gt=0, le=1)] = None
    noise_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = _E.noise_ratio
    noise_absolute: Annotated[float, Field(ge=0, le=1)] = _E.noise_absolute


class _Latency(Resource):
    ratio: Annotated[float, Field(gt=1, allow_inf_nan=False)] = _L.ratio
    warm_up: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _L.warm_up
    noise_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = _L.noise_ratio


class _Policy(Resource):
    """What the judge was asked; errors or latency are null where they were not judged."""

    errors: _Errors | None = _Errors()
    latency: _Latency | None = _Latency()
    rollback_alpha: Annotated[float, Field(gt=0, lt=0.5)] = _P.rollback_alpha
    promotion_alpha: Annotated[float, Field(gt=0, lt=0.5)] = _P.promotion_alpha

    @classmethod
    def of(cls, policy: Policy) -> _Policy:
        """Return the policy as it is written."""
        return cls(
            errors=None if policy.errors is None else _Errors(**asdict(policy.errors)),
            latency=None if policy.latency is None else _Latency(**asdict(policy.latency)),
            rollback_alpha=policy.rollback_alpha,
            promotion_alpha=policy.promotion_alpha,
        )

    def read(self, bounds_ms: tuple[float, ...]) -> Policy:
        """Return what is written as a policy."""
        return Policy(
            bounds_ms,
            None if self.errors is None else ErrorPolicy(**self.errors.model_dump()),
            None if self.latency is None else LatencyPolicy(**self.latency.model_dump()),
            self.rollback_alpha,
            self.promotion_alpha,
        )


class _Header(Resource):
    format: Annotated[Literal["coalmine.dev/recording/v1"], Field(description="Version of the format.")]
    bounds_ms: Annotated[
        tuple[float, ...], Field(description="Upper bounds of the latency buckets, milliseconds.")
    ] = ()
    step_starts: Annotated[tuple[_Time, ...], Field(description="When the share of traffic changed.")] = ()
    pods_started: Annotated[dict[str, _Time], Field(description="When each pod started.")] = Field(default_factory=dict)
    title: str = ""
    policy: Annotated[_Policy | None, Field(description="What the judge was asked.")] = None

    @model_validator(mode="after")
    def _bounds_ascend(self) -> _Header:
        if any(a >= b for a, b in pairwise(self.bounds_ms)) or min(self.bounds_ms, default=1) <= 0:
            msg = "boundsMs must be above 0 and ascending: sort them"
            raise ValueError(msg)
        return self


class _Line(Resource):
    time: Annotated[_Time, Field(description="Start of the window, Unix seconds.")]
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False, description="Length of the window.")] = 1.0
    arm: Annotated[Literal["canary", "baseline"], Field(description="Which version.")]
    pod: str = ""
    route: str = ""
    attempts: _Count
    errors: _Count = 0
    requests: _Count = 0
    request_errors: _Count = 0
    latency: Annotated[tuple[_Count, ...], Field(description="Attempts by bucket, one more than boundsMs.")] = ()

    @model_validator(mode="after")
    def _errors_are_attempts(self) -> _Line:
        if self.errors > self.attempts:
            msg = f"errors ({self.errors}) are more than attempts ({self.attempts}): errors are a part of the attempts"
            raise ValueError(msg)
        return self


def load(lines: Iterable[str], source: str = "recording") -> Recording:
    """Read a recording.

    Args:
        lines: Its lines.
        source: Its name, for messages.

    Raises:
        InvalidRecording: Something is wrong with it.
    """
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    number, first = next(numbered, (1, ""))
    header = _parse(_Header, first, f"{source}:{number}")
    buckets = len(header.bounds_ms) + 1
    spans: dict[float, tuple[float, dict[tuple[str, str, str], PodCounts]]] = {}
    for number, text in numbered:
        where = f"{source}:{number}"
        line = _parse(_Line, text, where)
        if line.latency and len(line.latency) != buckets:
            raise InvalidRecording(
                f"{where}: latency has {len(line.latency)} counts and boundsMs makes {buckets}: give one more than the bounds"
            )
        length, pods = spans.setdefault(line.time, (line.seconds, {}))
        key = (line.arm, line.pod, line.route)
        if key in pods:
            raise InvalidRecording(
                f"{where}: {line.arm} pod {line.pod!r} is told twice at time {line.time:g}: keep one"
            )
        if abs(length - line.seconds) > _SAME:
            raise InvalidRecording(
                f"{where}: seconds is {line.seconds:g} and {length:g} at the same time {line.time:g}"
            )
        pods[key] = PodCounts(
            Arm(line.arm),
            line.pod,
            line.attempts,
            line.errors,
            line.latency,
            line.requests,
            line.request_errors,
            line.route,
        )
    windows = tuple(
        Window(start, start + length, tuple(pods.values())) for start, (length, pods) in sorted(spans.items())
    )
    for one, other in pairwise(windows):
        if other.start < one.end - _SAME:
            raise InvalidRecording(
                f"{source}: the windows at {one.start:g} and {other.start:g} overlap: make seconds at most their distance"
            )
    policy = None if header.policy is None else header.policy.read(header.bounds_ms)
    return Recording(header.bounds_ms, header.step_starts, dict(header.pods_started), windows, header.title, policy)


def _parse(model: type[_Model], text: str, where: str) -> _Model:
    try:
        return model.model_validate(json.loads(text, parse_constant=_no_constant))
    except json.JSONDecodeError as error:
        raise InvalidRecording(f"{where}: this is not JSON ({error.msg}): write one JSON object a line") from None
    except ValidationError as error:
        raise InvalidRecording(f"{where}: {'; '.join(explain(error, model, root=''))}".replace(": .", ": ")) from None
    except ValueError as error:
        raise InvalidRecording(f"{where}: {error}") from None


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number that can be recorded: leave the line out where nothing was measured")


def dump(recording: Recording) -> Iterator[str]:
    """Return the lines of a recording, without line ends."""
    yield header_line(recording)
    for window in recording.windows:
        yield from window_lines(window)


def header_line(recording: Recording) -> str:
    """Return the first line."""
    header = _Header(
        format=FORMAT,
        bounds_ms=recording.bounds_ms,
        step_starts=recording.step_starts,
        pods_started=recording.pods_started,
        title=recording.title,
        policy=None if recording.policy is None else _Policy.of(recording.policy),
    )
    # Of the policy null says something: not judged.
    return json.dumps(header.model_dump(mode="json", by_alias=True, exclude=None if recording.policy else {"policy"}))


def window_lines(window: Window) -> Iterator[str]:
    """Return the lines of one window."""
    for pod in window.pods:
        line = {
            "time": window.start,
            "seconds": round(window.end - window.start, 6),
            "arm": str(pod.arm),
            "pod": pod.pod,
            "route": pod.route,
            "attempts": pod.attempts,
            "errors": pod.errors,
            "requests": pod.requests,
            "requestErrors": pod.request_errors,
            "latency": list(pod.latency),
        }
        yield json.dumps({key: value for key, value in line.items() if value not in ("", [])})
