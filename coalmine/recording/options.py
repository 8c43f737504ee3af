"""What the options of ``record`` are made of: times, spans, and a help page in sections."""

from __future__ import annotations

import datetime as dt
import math
import time
from typing import TYPE_CHECKING, Any, Final

import click

from crds.base import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOMENT", "SPAN", "SectionedCommand", "in_section"]


_UNNAMED: Final = "Other options"


class _Span(click.ParamType):  # type: ignore[type-arg]  # generic in click's newest version only
    """A duration, in seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Moment(click.ParamType):  # type: ignore[type-arg]
    """A time, in Unix seconds: RFC 3339 with a zone, Unix seconds, or how long ago."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        for read in (float, _iso, _ago):
            try:
                found = read(value)
            except ValueError:
                continue
            if 0 < found < math.inf:
                return found
        return self.fail(
            f"{value!r} is not a time: write it with its zone, like 2026-11-21T09:00Z or 2026-11-21T09:00:30+01:00, as "
            "Unix seconds, or how long ago it was, like 30m",
            param,
            ctx,
        )


def _iso(text: str) -> float:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found.timestamp()


def _ago(text: str) -> float:
    return time.time() - parse_duration(text)


SPAN = _Span()
MOMENT = _Moment()


class _Option(click.Option):
    """An option that knows its section of the help page."""

    def __init__(self, *args: Any, section: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.section = section


def in_section(section: str) -> Callable[..., Callable[[Any], Any]]:
    """Return what ``click.option`` is, for options of one section."""

    def option(*declared: str, **settings: Any) -> Callable[[Any], Any]:
        return click.option(*declared, cls=_Option, section=section, **settings)

    return option


class SectionedCommand(click.Command):
    """Shows its options by section, in the order in which they were declared."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(param, "section", _UNNAMED), []).append(record)
        last = sections.pop(_UNNAMED, [])
        for name, records in [*sections.items(), (_UNNAMED, last)]:
            with formatter.section(name):
                formatter.write_dl(records)
